# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes messages past the executor: those that wait in a queue, or all in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
import math
import threading
import time
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

from spowl_ros.ros.messages import nanoseconds

MessageInfo = Mapping[str, Any]
"""What the middleware says of a message, by name; Jazzy's rclpy has no type for it."""
_LOOK_S = 0.5
"""How often the thread looks whether the middleware has been shut down."""
_END_S = 2.0
"""Longest time that a message in work may take when the thread is ended."""
_LONGEST_WAIT_S = 1.0


class Unattended(MutuallyExclusiveCallbackGroup):  # type: ignore[misc]
    """What is in this group is left alone by executors."""

    def can_execute(self, entity: Any) -> bool:
        """Return False."""
        return False


class Intake:
    """
    Waits for messages of a few subscriptions, and calls a function that takes them.

    For each message, rclpy's executor gathers all entities of its node, and makes a wait set of
    them. On a core that slept until then this takes 0.8 ms. This thread waits on the
    subscriptions alone, which must be in the group `Unattended`.

    :param take: takes and handles what waits; called in the thread
    """

    def __init__(self, node: Node, subscriptions: Iterable[Subscription[Any]],
                 take: Callable[[], None]) -> None:
        self._node = node
        self._subscriptions = list(subscriptions)
        self._take = take
        self._ended = False
        self._error: Exception | None = None
        self._wake = GuardCondition(None, None, context=node.context)
        self._alarm = node.create_guard_condition(self._raise)
        self._thread = threading.Thread(target=self._run, name='sensors', daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread; afterwards the subscriptions can be destroyed."""
        self._ended = True
        self._wake.trigger()
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)
        self._node.destroy_guard_condition(self._alarm)
        self._wake.destroy()

    def _run(self) -> None:
        try:
            with ExitStack() as used:
                for entity in (*self._subscriptions, self._wake, self._node.context):
                    used.enter_context(entity.handle)
                self._wait()
        except Exception as error:
            if self._node.context.ok() and not self._ended:
                self._error = error
                self._alarm.trigger()

    def _wait(self) -> None:
        context = self._node.context
        ready = rclpy_implementation.WaitSet(
            len(self._subscriptions), 1, 0, 0, 0, 0, context.handle)
        while not self._ended and context.ok():
            ready.clear_entities()
            for subscription in self._subscriptions:
                ready.add_subscription(subscription.handle)
            ready.add_guard_condition(self._wake.handle)
            ready.wait(int(_LOOK_S * 1e9))
            self._take()

    def _raise(self) -> None:
        """Let an error end the process, as one in a callback of the executor does."""
        assert self._error is not None  # triggered with an error only
        raise self._error


def waiting(subscription: Subscription[Any]) -> Iterator[tuple[Any, MessageInfo]]:
    """
    Yield the messages that wait in a subscription's queue, at most as many as it holds.

    A sender that is faster than the receiver then cannot keep the executor to itself.
    """
    for _ in range(subscription.qos_profile.depth):
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None:
            return
        yield taken


def sent_ago(info: MessageInfo) -> float:
    """Return the seconds since a message was sent, by system clocks; infinite if nobody knows."""
    sent_ns = int(info['source_timestamp'] or 0)
    return (time.time_ns() - sent_ns) * 1e-9 if sent_ns else math.inf


def too_old(info: MessageInfo, limit: float) -> str:
    """
    Return why a message is too old to obey, or from the future, or an empty text.

    It may have waited in a queue while this process was frozen, or in the network.

    :param limit: seconds
    """
    age = sent_ago(info)
    if abs(age) <= limit:
        return ''
    if math.isinf(age):
        return 'a message that does not say when it was sent; use another ROS middleware'
    return (f'a message {age:.2f} s old, limit {limit:.2f} s; are the clocks of all machines the '
            'same?')


def stamped_too_long_ago(message: Any, node: Node, limit: float) -> str:
    """
    Return why a message's own stamp is too old to obey, or from the future, or an empty text.

    A bag that is played, or a relay, sends an old message anew. The stamp may be of the system's
    clock or of the node's, which may be simulated. A message without a stamp says nothing.

    :param limit: seconds
    """
    stamp_ns = nanoseconds(message.header.stamp) if hasattr(message, 'header') else 0
    ages = [abs(now_ns - stamp_ns) * 1e-9
            for now_ns in (time.time_ns(), node.get_clock().now().nanoseconds)]
    if not stamp_ns or min(ages) <= limit:
        return ''
    return (f'a message with a stamp {min(ages):.2f} s away, limit {limit:.2f} s; does a bag or a '
            'relay send it?')


def waited(info: MessageInfo) -> float:
    """Return the seconds that a message lay in the middleware's queue; 0 after a clock step."""
    seconds = (time.time_ns() - info['received_timestamp']) * 1e-9
    return seconds if 0.0 <= seconds < _LONGEST_WAIT_S else 0.0
