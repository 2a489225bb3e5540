# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishes the last command of a node that drives, and waits until it has arrived."""

from __future__ import annotations

import time
from typing import Any

from rclpy.duration import Duration
from rclpy.publisher import Publisher

LONGEST_S = 0.5
"""Longest wait for an acknowledgement, seconds; a working subscriber takes milliseconds."""
_POLL_S = 0.005


def publish_last(publisher: Publisher[Any], message: Any, longest: float = LONGEST_S) -> bool:
    """
    Publish a command and wait until every subscriber has acknowledged it.

    Destroying a publisher loses messages not yet delivered. A subscriber that hangs or was killed
    never acknowledges, so the wait is bounded.

    :param publisher: a reliable one
    :param longest: longest wait, seconds; two publishers in sequence wait twice as long
    :return: whether all have acknowledged
    """
    publisher.publish(message)
    end = time.monotonic() + longest
    # Poll rather than wait once: rclpy holds the interpreter's lock while it waits.
    while not publisher.wait_for_all_acked(Duration()):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True
