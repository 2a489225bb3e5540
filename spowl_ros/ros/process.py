# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One node as one process: start, orderly end on a signal, one line on a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import gc
import os
from pathlib import Path
import signal
import stat
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, NoReturn, Protocol, cast
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
_CRASHED = 1
_LAST_RESORT_S = 8.0
"""How long a process may take to end once it is told to."""
_FROZEN_S = 0.5
"""How long whoever started this process may be frozen."""
_SHUTDOWN_S = 1.0
_POLL_S = 0.25
_ended = threading.Event()
_told_since = threading.Event()
_abandoned: list[str] = []


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


def abandon(reason: str) -> None:
    """Have `run` end this process by force once the node is closed: a thread of it hangs."""
    _abandoned.append(reason)


def end_now(reason: str) -> NoReturn:
    """End this process by force, with a line that says why."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f'error: {reason}\n'.encode())
    os._exit(_CRASHED)


def _end_within_bounds() -> None:
    """
    Make sure that the process ends in time when a signal comes, whatever hangs.

    Python calls a signal's handler in the main thread alone, and never while that is in a library
    that does not return. So a thread hears of it from the C handler, by a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def listen() -> None:
        os.read(reader, 1)
        _ended.set()
        _begin_last_resort()

    threading.Thread(target=listen, name='signals', daemon=True).start()


def _begin_last_resort() -> None:
    """End the process by force after a while, unless it has ended by itself."""
    if _told_since.is_set():
        return
    _told_since.set()

    def force() -> None:
        time.sleep(_LAST_RESORT_S)
        end_now(f'did not end within {_LAST_RESORT_S:.0f} s of being told to; ended by force')

    threading.Thread(target=force, name='last resort', daemon=True).start()


def _lose_what_nobody_reads() -> None:
    """Lose lines, rather than wait, where whoever started this process does not read them."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                os.set_blocking(stream.fileno(), False)


def parent_is_frozen(parent: int | None = None) -> bool:
    """Whether a process, by default the one that started this one, is stopped (as by Ctrl-Z)."""
    try:
        status = Path(f'/proc/{parent or os.getppid()}/stat').read_text(encoding='ascii')
    except OSError:  # not Linux, or it has ended
        return False
    return status.rpartition(')')[2].split()[0] == 'T'


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
    signals. ``close`` is called while the middleware still works. A node whose starter is frozen
    ends as well: nobody could end it.
    """
    end_on_signals()
    _end_within_bounds()
    _lose_what_nobody_reads()
    try:
        with _errors_kept():
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
    frozen = 0
    while not _ended.wait(_POLL_S):
        frozen = frozen + 1 if parent_is_frozen() else 0
        if frozen * _POLL_S >= _FROZEN_S:
            crashes.append(SpowlError('the process that started this node is frozen, so that '
                                      'nobody could end it; ended by itself'))
            break
    _ended.set()
    _begin_last_resort()
    try:
        node.close()
    except Exception as error:
        crashes.append(error)
    finally:
        executor.shutdown(_SHUTDOWN_S)
        rclpy.try_shutdown()
        thread.join(_SHUTDOWN_S)
    for reason in _abandoned:
        end_now(reason)
    return _complain(crashes[0]) if crashes else 0


@contextlib.contextmanager
def _errors_kept() -> Iterator[None]:
    """Keep back what C code writes to standard error; an exception says the same in one line."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
        kept.seek(0)
        os.write(2, kept.read())


def _complain(error: BaseException) -> int:
    """Say in one line what is wrong; rclpy's own errors are about what the node was given."""
    expected = isinstance(error, SpowlError) or type(error).__module__.startswith('rclpy')
    with contextlib.suppress(OSError):  # nobody reads it
        print(to_line(error if expected else crash(error)), file=sys.stderr, flush=True)
    return SpowlError.EXIT_CODE
