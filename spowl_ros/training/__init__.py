# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Learning: networks, losses, planner, trainer, export. The one room that imports PyTorch.

Begin with `networks`, then `learner` and `trainer`.
"""
