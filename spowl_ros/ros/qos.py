# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Quality-of-service profiles besides rclpy's own.

Sensors use `qos_profile_sensor_data`; commands use a reliable queue of depth 1: the latest counts.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For a state: a late subscriber receives the last message."""

EVERY_MESSAGE = QoSProfile(depth=1000)
"""For a record that must be complete, as rewards and the clock."""

KEPT = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For publishers of a record: a late subscriber receives its beginning too."""

EVERY_KEPT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""For subscribers to a KEPT record, with room for messages that arrive while they are busy."""

EVERY_SENSOR_MESSAGE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For subscribers that count a sensor's messages."""
