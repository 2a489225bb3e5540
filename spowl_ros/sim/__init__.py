# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A task as a robot: observations, rewards and costs step by step, without ROS.

Begin with `environment`.
"""
