# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A robot's own topics: which message fills which field of the observation, and where commands go.

Imports `base`, `bags` and `control`. Begin with `config`.
"""
