# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reads, writes and recovers rosbag2 bags without a ROS installation.

Imports `base` only. Begin with `reader`.
"""
