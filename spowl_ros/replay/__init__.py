# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A recorded bag decided again: what the controller would do, and what the record says.

Begin with `recording`, then `replay`.
"""
