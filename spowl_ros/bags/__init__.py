# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags in ROS 2's own format (rosbag2): written, read, and rescued where damaged; no rclpy."""
