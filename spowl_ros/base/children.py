# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Processes that this one starts: they leave Ctrl-C to this one, and those of a pool end with it.

Ctrl-C in a terminal goes to every process of the group. A child that took it would print a
traceback, or die before this process has asked it to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
import contextlib
import ctypes
import multiprocessing
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
import os
import signal
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LEFT_TO_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class _Child(SpawnProcess):
    """A new Python, not a fork: forked threads of ONNX Runtime would hang."""

    def start(self) -> None:
        """Start it with the signals blocked, so that it never sees one."""
        resource_tracker.ensure_running()  # it unblocks signals, so must run before
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_PARENT)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        """Do the work, in the new process."""
        for number in _LEFT_TO_PARENT:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_PARENT)
        super().run()


class ChildContext(SpawnContext):
    """Makes children that leave signals to this process; otherwise as multiprocessing's."""

    Process = _Child  # type: ignore[assignment]


@contextlib.contextmanager
def pool(count: int, opening: Callable[..., object] | None = None, arguments: tuple[Any, ...] = ()
         ) -> Iterator[ProcessPoolExecutor]:
    """
    Yield a pool of processes; if the block raises, as on Ctrl-C, they are killed.

    The kernel ends them when this process ends, however that happens.

    :param opening: each process calls it first, with the arguments
    """
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(count, ChildContext(), _begin,
                             (os.getpid(), opening, arguments)) as workers:
        try:
            yield workers
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            raise


def _begin(parent: int, opening: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    """Begin a process of a pool."""
    end_with_parent(signal.SIGKILL, parent)()
    if opening is not None:
        opening(*arguments)


def end_with_parent(number: signal.Signals = signal.SIGTERM, parent: int | None = None
                    ) -> Callable[[], None]:
    """
    Return a function that a new child calls first: it asks for a signal when this process ends.

    Start the child from the main thread: the kernel ties the signal to the end of that thread.

    :param parent: process id of the parent; None: of this process
    """
    expected = parent or os.getpid()
    prctl = getattr(ctypes.CDLL(None), 'prctl', None)  # looked up here: not safe after a fork

    def ask() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, number)
            if os.getppid() != expected:  # the parent ended before we asked
                os._exit(1)

    return ask


def child(work: Callable[..., object], *arguments: Any, daemon: bool = False
          ) -> tuple[Connection, _Child]:
    """
    Start a process that calls a function; return a pipe to it, and the process.

    :param work: its first argument is the pipe's other end
    """
    ours, theirs = multiprocessing.Pipe()
    process = _Child(target=work, args=(theirs, *arguments), daemon=daemon)
    process.start()
    theirs.close()  # else this end would not see the process die
    return ours, process
