# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measurements behind every figure that is published; each is a command."""
