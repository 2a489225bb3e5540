# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Programs that look at a running system over ROS 2 and command nothing.

Begin with `watcher`.
"""
