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
from spowl_ros.ros.discovery import DISCOVERY_S

PERIODS = 2.0
"""Control periods within which each node must notice the end of the other."""
LOCK_STEP_S = 5.0
"""The same in lock-step, seconds: there a busy machine must not look like a dead node."""
_SIGNS = 4
"""Signs of life within that time."""
_UNATTENDED_S = 0.5
"""Longest time for which the executor of a partner that acts may hang, seconds."""
ABSENT, ALIVE, LOST = 'absent', 'alive', 'lost'
"""States of a partner: never seen or left in good order, alive, or hanging or dead."""


def signs_of_life(lease: float) -> QoSProfile:
    """Return the profile of `~/alive`: signs come more often than once in the lease, seconds."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
                      liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
                      liveliness_lease_duration=Duration(nanoseconds=round(lease * 1e9)))


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
        qos = signs_of_life(lease)
        self._publisher = node.create_publisher(Empty, '~/alive', qos)
        self._topic = node.create_subscription(
            Empty, f'{partner}/alive', lambda message: None, qos,
            event_callbacks=SubscriptionEventCallbacks(liveliness=self._on_liveliness)).topic_name
        every(node, lease / _SIGNS, self._give_sign)

    @property
    def complaint(self) -> str:
        """One sentence while the partner is lost, else empty."""
        return f'the {self.partner} hangs or has died' if self.state == LOST else ''

    def unattended(self, since: float) -> str:
        """
        Return why a partner that acts must not be trusted; empty if it may.

        What acts may come from another thread than the executor that hears a person.

        :param since: steady time from which on the partner has acted, seconds
        """
        silent = time.monotonic() - max(since, self._changed_at)
        if self.state == LOST and silent > _UNATTENDED_S:
            return self.complaint
        if self.state == ABSENT and silent > DISCOVERY_S:
            return (f'no sign of life of the {self.partner} on {self._topic}; a node that '
                    'commands the robot must give one')
        return ''

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
