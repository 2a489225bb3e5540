# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Learning: networks, losses, planner, trainer and export of bundles.

Only this room imports PyTorch. Imports `evaluation`, `robot`, `sim`, `control` and `base`. Begin
with `networks`, then `learner` and `trainer`.
"""
