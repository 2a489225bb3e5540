# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Replay of a recorded bag: decide again, compare with the record, measure and report.

Imports `drawing`, `robot`, `bags`, `control` and `base`, but no ROS. Begin with `recording`, then
`replay`.
"""
