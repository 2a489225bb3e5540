# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Bags of rosbag2 read, written and recovered without a ROS installation.

Imports `base` only. Begin with `reader`.
"""
