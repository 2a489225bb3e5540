# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How a node's functions come to be called: again and again, when asked, or in a thread."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import threading
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros.process import FinishedError
from spowl_ros.ros.qos import EVERY_MESSAGE


def every(node: Node, seconds: float, callback: Callable[[], None]) -> None:
    """Call a function again and again in a node's executor, by the steady clock."""
    node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def follow(node: Node, lock: threading.Lock, kind: type, topic: str,
           callback: Callable[[Any], object], qos: QoSProfile = EVERY_MESSAGE) -> None:
    """Call a function with every message of a topic, while a lock is held."""
    def locked(message: Any) -> None:
        with lock:
            callback(message)

    node.create_subscription(kind, topic, locked, qos)


def serve(node: Node, kind: Any, name: str, act: Callable[[Any], str]) -> None:
    """
    Offer a service of std_srvs: something is done or refused, and one sentence says so.

    :param kind: Trigger or SetBool
    :param act: takes the request and returns what it has done; raises SpowlError to refuse it
    """
    def answer(request: Any, response: Any) -> Any:
        try:
            response.message = act(request)
            response.success = True
        except SpowlError as error:
            response.message = str(error)
        return response

    node.create_service(kind, name, answer)


def work(node: Node, name: str, function: Callable[[], None]) -> threading.Thread:
    """
    Run a function in a thread of its own; its end, or its error, ends `process.run`.

    :param name: of the thread
    """
    outcome: list[Exception] = [FinishedError()]

    def end() -> None:
        raise outcome[-1]

    ended = node.create_guard_condition(end)

    def do() -> None:
        try:
            function()
        except Exception as error:
            outcome.append(error)
        with contextlib.suppress(InvalidHandle):  # the node was closed meanwhile
            ended.trigger()

    thread = threading.Thread(target=do, name=name, daemon=True)
    thread.start()
    return thread
