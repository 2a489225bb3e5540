# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Programs that observe a running system over ROS 2 and command nothing.

Imports `ros` and the rooms below, never `nodes`. Begin with `watcher`.
"""
