# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of controllers in simulation: returns, costs, calibration, latency.

Imports `sim`, `control` and `base`, but no PyTorch. Begin with `episodes`.
"""
