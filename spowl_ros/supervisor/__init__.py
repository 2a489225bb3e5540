# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The rules of the supervisor, which overrules the controller and trusts nothing learned.

Imports `base`, and of `control` only `contract`, `avoidance` and `validity`. Begin with `rules`.
"""
