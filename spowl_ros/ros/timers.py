# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Timers that a simulated or stepped clock does not move."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

if TYPE_CHECKING:
    from rclpy.node import Node


def every(node: Node, seconds: float, callback: Callable[[], None]) -> None:
    """Call a function again and again in a node's executor, by the steady clock."""
    node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
