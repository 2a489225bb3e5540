# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes: the only package that imports rclpy."""
