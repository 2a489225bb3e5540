# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The command `spowl`, one verb per file.

May import every other room; a verb imports heavy libraries inside its `run`. Begin with `main`.
"""
