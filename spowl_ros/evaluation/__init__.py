# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Episodes driven in simulation and what they amount to: returns, costs, calibration, latency.

Begin with `episodes`.
"""
