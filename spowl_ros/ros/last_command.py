# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The last command of a node that drives: it arrives before its publisher goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rclpy.duration import Duration

if TYPE_CHECKING:
    from rclpy.publisher import Publisher

LONGEST_S = 0.5
"""How long an acknowledgement is waited for; whoever hears takes a few milliseconds."""
_POLL_S = 0.005


def publish_last(publisher: Publisher[Any], message: Any, longest: float = LONGEST_S) -> bool:
    """
    Publish a command and wait until everybody who listens has acknowledged it.

    A publisher that is destroyed at once takes with it what was not yet delivered. A listener that
    hangs or was killed never acknowledges, so the wait has an end.

    :param publisher: a reliable one
    :param longest: seconds to wait at most; two publishers that wait one after the other take
        twice as long
    :return: whether all have acknowledged
    """
    publisher.publish(message)
    end = time.monotonic() + longest
    # Asked again and again rather than once: rclpy holds the interpreter's lock while it waits.
    while not publisher.wait_for_all_acked(Duration()):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True
