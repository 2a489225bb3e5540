# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Runtime monitors, one file each. A monitor judges each decision and returns a `Reading`.

Imports the room `base` and the data types of `control`. Begin with the module `base`.
"""
