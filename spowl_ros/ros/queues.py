# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes messages that wait in the middleware's queues."""

from __future__ import annotations

from collections.abc import Iterator
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo, Subscription

_LONGEST_WAIT_S = 1.0


def waiting(subscription: Subscription[Any]) -> Iterator[tuple[Any, MessageInfo]]:
    """
    Yield the messages that wait in a subscription's queue, at most as many as it holds.

    A sender that is faster than the receiver then cannot keep the executor to itself.
    """
    for _ in range(subscription.qos_profile.depth):
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, False)
        if taken is None:
            return
        yield taken


def waited(info: MessageInfo) -> float:
    """Return the seconds that a message lay in the middleware's queue; 0 after a clock step."""
    seconds = (time.time_ns() - info['received_timestamp']) * 1e-9
    return seconds if 0.0 <= seconds < _LONGEST_WAIT_S else 0.0
