# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Ground that every other room stands on: errors, names, seeds, YAML, settings, files.

Imports nothing of the package. Begin with `settings`.
"""
