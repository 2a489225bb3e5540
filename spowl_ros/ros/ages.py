# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How old a message is, and whether that is too old to obey it."""

from __future__ import annotations

from collections.abc import Mapping
import math
import time
from typing import Any

from rclpy.node import Node

from spowl_ros.ros.messages import nanoseconds

MessageInfo = Mapping[str, Any]
"""What the middleware says of a message, by name; Jazzy's rclpy has no type for it."""
_LONGEST_WAIT_S = 1.0


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
