# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measurements behind every published figure; each module is a command."""
