# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bond between two nodes: each notices within a set time that the other hangs or has died."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import LivelinessPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Empty

from spowl_ros.ros.callbacks import every

PERIODS = 2.0
"""Control periods within which each node must notice the end of the other."""
LOCK_STEP_S = 5.0
"""The same in lock-step, seconds: there a busy machine must not look like a dead node."""
_SIGNS = 4
"""Signs of life within that time."""
ABSENT, ALIVE, LOST = 'absent', 'alive', 'lost'
"""States of a partner: never seen or left in good order, alive, or hanging or dead."""


class Bond:
    """
    Sends signs of life, and watches those of a partner.

    It uses the liveliness of DDS, asserted by topic: the node's executor publishes `~/alive`, and
    the partner's middleware reports when that is overdue. Both nodes have a bond of one period. It
    ends where its publisher, subscription and timer are destroyed: the partner then sees this node
    as absent, not lost.

    :param node: sends signs of life while its executor runs
    :param partner: name of the other node, in the same namespace
    :param period: control period on a steady clock, seconds
    :param rate: seconds of the node's clock in one of a steady clock; 0: lock-step
    :param changed: called when the partner's state has changed; its loss is in the log
    :param healthy: returns whether to send a sign of life now
    """

    def __init__(self, node: Node, partner: str, period: float, rate: float,
                 changed: Callable[[], None],
                 healthy: Callable[[], bool] = lambda: True) -> None:
        self._node = node
        self.partner = partner
        self.state = ABSENT
        """One of ABSENT, ALIVE and LOST."""
        self._changed_at = time.monotonic()
        self._changed = changed
        self._healthy = healthy
        lease = PERIODS * period if rate > 0.0 else LOCK_STEP_S
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
                         liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
                         liveliness_lease_duration=Duration(nanoseconds=round(lease * 1e9)))
        self._publisher = node.create_publisher(Empty, '~/alive', qos)
        node.create_subscription(
            Empty, f'{partner}/alive', lambda message: None, qos,
            event_callbacks=SubscriptionEventCallbacks(liveliness=self._on_liveliness))
        every(node, lease / _SIGNS, self._give_sign)

    @property
    def complaint(self) -> str:
        """One sentence while the partner is lost, else empty."""
        return f'the {self.partner} hangs or has died' if self.state == LOST else ''

    @property
    def lost_for(self) -> float:
        """Seconds of the steady clock since the partner was lost; 0 while it is not."""
        return time.monotonic() - self._changed_at if self.state == LOST else 0.0

    def _give_sign(self) -> None:
        if self._healthy():
            self._publisher.publish(Empty())

    def _on_liveliness(self, info: Any) -> None:
        # the middleware forgets a dead partner after a while; here it stays lost
        state = (ALIVE if info.alive_count > 0 else LOST if info.not_alive_count > 0
                 else LOST if self.state == LOST else ABSENT)
        if state != self.state:
            self.state, self._changed_at = state, time.monotonic()
            if self.complaint:
                self._node.get_logger().error(self.complaint)
            self._changed()
