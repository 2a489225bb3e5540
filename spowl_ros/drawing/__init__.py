# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Pictures and videos of episodes.

Begin with `picture`.
"""
