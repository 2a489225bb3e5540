# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The `spowl` command: one module per verb, found by :mod:`spowl_ros.cli.main`."""
