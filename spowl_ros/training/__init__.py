# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Learning: PyTorch lives here and nowhere else in the package."""
