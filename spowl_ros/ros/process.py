# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs one node in one process: start, clean end on a signal, one line for an error."""

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
from typing import Any, NoReturn
import warnings

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from spowl_ros.base.environment import signals_to_end
from spowl_ros.base.errors import SpowlError, crash, to_line

LOG_PERIOD_S = 5.0
"""Least time from one log message to the same one again."""
_CRASHED = 1
_LAST_RESORT_S = 8.0
"""Longest time that a process takes to end once told to, seconds."""
_FROZEN_S = 0.5
"""Longest time that the parent process may be frozen, seconds."""
_SHUTDOWN_S = 1.0
_POLL_S = 0.25
_ended = threading.Event()
_told_since = threading.Event()
_abandoned: list[str] = []


class FinishedError(Exception):
    """Raised in a callback by a node that has done its work; the process ends with code 0."""


def told_to_end() -> bool:
    """Whether this process was told to end; for code that waits while its node is being made."""
    return _ended.is_set()


def end_on_signals() -> threading.Event:
    """
    Return the event that every signal to end sets from now on.

    The handlers raise nothing: Python ignores exceptions in some places, as during cleanup.
    """
    _ended.clear()
    for number in signals_to_end():
        signal.signal(number, lambda *_: _ended.set())
    return _ended


def abandon(reason: str) -> None:
    """Make `run` end this process by force once the node is closed, because a thread hangs."""
    _abandoned.append(reason)


def end_now(reason: str) -> NoReturn:
    """End this process by force, with a line that says why."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f'error: {reason}\n'.encode())
    os._exit(_CRASHED)


def _end_within_bounds() -> None:
    """
    Make the process end in time after a signal, even if something hangs.

    Python calls a signal handler only in the main thread, and not while that thread is in a
    library call that does not return. So the C handler wakes a thread through a pipe.
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
    """End the process by force after a while, unless it ends by itself."""
    if _told_since.is_set():
        return
    _told_since.set()

    last_resort = threading.Timer(_LAST_RESORT_S, end_now, [
        f'did not end within {_LAST_RESORT_S:.0f} s of being told to; ended by force'])
    last_resort.daemon = True
    last_resort.start()


def _lose_what_nobody_reads() -> None:
    """Drop output lines instead of blocking when the parent process does not read them."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                os.set_blocking(stream.fileno(), False)


def parent_is_frozen(parent: int | None = None) -> bool:
    """Whether a process, by default the parent, is stopped (as by Ctrl-Z)."""
    try:
        status = Path(f'/proc/{parent or os.getppid()}/stat').read_text(encoding='ascii')
    except OSError:  # not Linux, or it has ended
        return False
    return status.rpartition(')')[2].split()[0] == 'T'


def make_executor() -> Executor:
    """
    Return the executor that all our nodes use.

    rclpy's EventsExecutor answers 0.2 ms sooner in the median. But in our tests it sometimes took
    0.1 s, and sometimes did not end.
    """
    return SingleThreadedExecutor()


def keep_time(priority: int) -> bool:
    """
    Reduce delays of this process, as far as the system allows.

    All its threads, and those that they start, run before ordinary programs. Garbage collections
    skip the present objects: a full collection would stop the process for tens of milliseconds.

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


def begin(args: Sequence[str] | None) -> None:
    """
    Start rclpy without its signal handlers.

    :param args: None: those of this process
    :raises SpowlError: an argument or a parameter file is bad, or the keystore has no such enclave
    """
    try:
        with _errors_kept():
            rclpy.init(args=list(args) if args is not None else None,
                       signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rcl raises several types
        raise SpowlError(error) from error


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """
    Say what rclpy refuses as an error of the user's input.

    :raises SpowlError: rclpy has raised an error of its own
    """
    try:
        yield
    except Exception as error:
        if not _is_rclpys(error):
            raise
        raise SpowlError(error) from error


def run(make_node: Callable[[], Any], args: Sequence[str] | None = None) -> int:
    """
    Run a node until a signal to end or `FinishedError`; return the process's exit code.

    The executor spins in its own thread, because a main thread inside it would not see signals.
    ``close`` is called while the middleware still works. A node also ends if its parent process
    is frozen, because then nobody could end it.

    :param make_node: makes the node; its method ``close`` stops the robot and closes files
    """
    end_on_signals()
    _end_within_bounds()
    _lose_what_nobody_reads()
    try:
        begin(args)
    except SpowlError as error:
        return _complain(error)
    node, code = None, 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # rclpy warns, then raises it
            node = make_node()
    except Exception as error:
        code = 0 if told_to_end() else _complain(error)
    if node is None:
        gc.collect()  # what was made of it leaves the network
        rclpy.try_shutdown()
        return code
    executor = make_executor()
    executor.add_node(node)
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
        if not _abandoned:  # a hanging thread may use the node
            node.destroy_node()  # else DDS's files in shared memory stay
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


def _is_rclpys(error: BaseException) -> bool:
    """Whether an error is one of rclpy's own; they concern the user's input."""
    return type(error).__module__.startswith('rclpy')


def _complain(error: BaseException) -> int:
    """Print an error as one line; one of the user's input needs no file."""
    expected = isinstance(error, SpowlError) or _is_rclpys(error)
    with contextlib.suppress(OSError):  # nobody reads it
        print(to_line(error if expected else crash(error)), file=sys.stderr, flush=True)
    return SpowlError.EXIT_CODE
