# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One node as one process: start, orderly end on a signal, one line on a mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Protocol, cast
import warnings

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from spowl_ros.base.errors import SpowlError, crash, to_line

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

    class ClosingNode(Protocol):
        """A node that has something to do before it goes."""

        def close(self) -> None:
            """End orderly: stop the robot, close files."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ended = threading.Event()


class FinishedError(Exception):
    """Raised in a callback by a node that has done its work; the process ends with code 0."""


def told_to_end() -> bool:
    """Whether this process is to end: for whoever waits while its node is still being made."""
    return _ended.is_set()


def end_on_signals() -> threading.Event:
    """
    Return what SIGINT and SIGTERM set from now on.

    Nothing is raised: an interrupt that is may be raised where Python ignores it, as while it
    tidies up.
    """
    _ended.clear()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: _ended.set())
    return _ended


def make_executor() -> Executor:
    """
    Return the executor that every node of ours uses.

    rclpy's EventsExecutor answers 0.2 ms sooner in the median, but was seen to take 0.1 s now and
    then, and not to end.
    """
    return SingleThreadedExecutor()


def keep_time(priority: int) -> bool:
    """
    Let nothing hold up this process that need not, as far as the system allows.

    All its threads, and those that they will start, come before ordinary programs; and what
    exists by now is left out of garbage collections, which would stop it for tens of milliseconds.

    :param priority: real-time priority (SCHED_FIFO); 0 leaves the scheduling as it is
    :return: whether the system allows it
    """
    gc.collect()
    gc.freeze()
    if not priority:
        return True
    try:
        for thread in os.listdir('/proc/self/task'):
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def run(make_node: Callable[[], ClosingNode], args: Sequence[str] | None = None) -> int:
    """
    Run a node until SIGINT, SIGTERM or `FinishedError`; return the process's exit code.

    The executor spins in a thread of its own, because a main thread inside it would not see
    signals. ``close`` is called while the middleware still works.
    """
    end_on_signals()
    try:
        rclpy.init(args=list(args) if args is not None else None,
                   signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rcl raises several types for a bad argument or parameter file
        return _complain(SpowlError(error))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # rclpy's, before it raises the same
            node = make_node()
    except Exception as error:
        rclpy.try_shutdown()
        return 0 if told_to_end() else _complain(error)
    executor = make_executor()
    executor.add_node(cast('Node', node))
    crashes: list[BaseException] = []

    def spin() -> None:
        try:
            executor.spin()
        except (ExternalShutdownException, FinishedError):
            pass
        except BaseException as error:
            if not _ended.is_set():  # a callback may outlive what it publishes on
                crashes.append(error)
        _ended.set()

    thread = threading.Thread(target=spin, name='executor', daemon=True)
    thread.start()
    while not _ended.wait(1.0):
        pass
    try:
        node.close()
    except Exception as error:
        crashes.append(error)
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
        thread.join(1.0)
    return _complain(crashes[0]) if crashes else 0


def _complain(error: BaseException) -> int:
    """Say in one line what is wrong; rclpy's own errors are about what the node was given."""
    expected = isinstance(error, SpowlError) or type(error).__module__.startswith('rclpy')
    print(to_line(error if expected else crash(error)), file=sys.stderr, flush=True)
    return SpowlError.EXIT_CODE
