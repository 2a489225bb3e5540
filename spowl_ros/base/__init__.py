# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What every other room uses: errors, names, seeds, YAML, settings, files.

Imports no other room. Begin with `settings`.
"""
