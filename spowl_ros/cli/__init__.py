# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The command `spowl`: one verb a file.

Begin with `main`.
"""
