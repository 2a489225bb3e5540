# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a node says on /diagnostics, and messages of the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from spowl_ros.ros.callbacks import every

PERIOD_S = 1.0
"""From one report to the next."""
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def status(name: str, level: bytes, message: str, values: Iterable[tuple[str, object]] = (),
           hardware: str = '') -> DiagnosticStatus:
    """Return a status; each value is told as `str` writes it."""
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware,
        values=[KeyValue(key=key, value=str(value)) for key, value in values])


def stamped(stamp: Time, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """Return a message of statuses at a time."""
    message = DiagnosticArray(status=list(statuses))
    message.header.stamp = stamp
    return message


class Diagnostics:
    """
    Reports a node's state once a second, in its executor.

    :param examine: looks at the node's parts and returns their statuses
    """

    def __init__(self, node: Node, examine: Callable[[], Iterable[DiagnosticStatus]]) -> None:
        self._node = node
        self._examine = examine
        self.name = node.get_fully_qualified_name().lstrip('/')
        """Of the node, with its namespace: what the name of each status begins with."""
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        every(node, PERIOD_S, self.report)

    def report(self) -> None:
        """Report now."""
        now = self._node.get_clock().now().to_msg()
        self._publisher.publish(stamped(now, *self._examine()))
