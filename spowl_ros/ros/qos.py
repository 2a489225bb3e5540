# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Qualities of service, beside rclpy's own.

Sensors use `qos_profile_sensor_data`; commands a reliable queue of one, where the latest counts.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""A state: who comes late gets the last one."""

EVERY_MESSAGE = QoSProfile(depth=1000)
"""A record in which none may be missing, as rewards and the clock."""

KEPT = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""A record whose beginning also those get who come late: for publishers."""

EVERY_KEPT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For subscribers to what is KEPT, with room for what comes while they are busy."""

EVERY_SENSOR_MESSAGE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For subscribers that count a sensor's messages."""
