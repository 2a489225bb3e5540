# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Plumbing around rclpy that the nodes share: lifecycle, parameters, QoS, diagnostics, markers.

Only `ros`, `nodes` and `clients` import rclpy. Begin with `process`.
"""
