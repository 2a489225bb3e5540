# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The executables, one file each. A node turns messages into values and values into messages.

Begin with `controller`.
"""
