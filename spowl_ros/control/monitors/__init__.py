# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Runtime monitors: one file each. A monitor judges one decision and returns a `Reading`.

Imports `base` and the control room's values. Begin with `base`.
"""
