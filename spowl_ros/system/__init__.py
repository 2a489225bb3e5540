# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Which nodes run with which parameters, and how they are started: here or by launch.

Begin with `nodes`.
"""
