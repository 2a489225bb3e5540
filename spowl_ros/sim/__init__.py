# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Simulated tasks without ROS: observations, rewards and costs, step by step.

Imports `control` and `base`, but no ROS and no PyTorch. Begin with `environment`.
"""
