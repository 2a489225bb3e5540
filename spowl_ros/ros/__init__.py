# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Code around rclpy that nodes and clients share: lifecycle, parameters, QoS, diagnostics, markers.

Imports `base`, `control`, `robot` and `sim`. Only `ros`, `nodes` and `clients` import rclpy. Begin
with `process`.
"""
