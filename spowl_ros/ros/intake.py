# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes messages past the executor: those that wait in a queue, or all in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
import threading
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

from spowl_ros.ros.ages import MessageInfo

_LOOK_S = 0.5
"""How often the thread looks whether the middleware has been shut down."""
_END_S = 2.0
"""Longest time that a message in work may take when the thread is ended."""


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
