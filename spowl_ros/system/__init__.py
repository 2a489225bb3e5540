# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Nodes of a system and their parameters, and how to start them: here or by launch.

Imports `replay`, `robot`, `sim`, `supervisor`, `control` and `base`, but no ROS messages. Begin
with `nodes`.
"""
