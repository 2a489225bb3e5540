# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pictures and videos of episodes.

Imports `control` and `base`, but no ROS. Begin with `picture`.
"""
