# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the process of a command does on Ctrl-C and the other signals to end.

The first signal raises KeyboardInterrupt, once. A second one within SAME_REQUEST_S repeats it
(`timeout` and others send two); a later one ends the process at once. After LATEST_S the
process ends by force. A verb may handle signals in its own way while it works.

The process skips the last part of Python's own cleanup, in which a signal would kill it, and a
library's thread would abort it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from spowl_ros.base.environment import signals_to_end
from spowl_ros.base.errors import INTERRUPTED

SAME_REQUEST_S = 1.0
LATEST_S = 10.0
"""Seconds from a signal, or from the end of the work, until the process ends by force."""
_AGAIN_S = 0.05


class Interrupts:
    """The signals to end, from the start of the command until the process is gone."""

    def __init__(self) -> None:
        self._told = 0.0
        self._lost = False
        self._code: int | None = None

    @property
    def told(self) -> bool:
        """Whether a signal has come; libraries turn its KeyboardInterrupt into other errors."""
        return self._told > 0.0

    def handle(self) -> None:
        """Handle the signals from now on; end the process as the last of its exit functions."""
        atexit.register(self._leave)
        sys.unraisablehook = self._on_ignored
        for number in signals_to_end():
            signal.signal(number, self.interrupt)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """
        Take a signal.

        :raises KeyboardInterrupt: it is the first one
        """
        if not self._told or self._lost:
            if not self._told:
                self._told = time.monotonic()
                call_after(LATEST_S, _end, INTERRUPTED)
            self._lost = False
            raise KeyboardInterrupt
        if time.monotonic() - self._told > SAME_REQUEST_S:
            _end(INTERRUPTED)

    def ignore(self, code: int) -> None:
        """Let no signal spoil the exit code from now on, and nothing delay the end for long."""
        for number in signals_to_end():
            signal.signal(number, signal.SIG_IGN)
        self._code = code
        _flush()
        call_after(LATEST_S, _end, code)

    def _on_ignored(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raise KeyboardInterrupt again where Python ignores exceptions, as in a destructor."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        self._lost = True
        call_after(_AGAIN_S, os.kill, os.getpid(), signal.SIGINT)

    def _leave(self) -> None:
        if self._code is not None:
            _flush()
            os._exit(self._code)


INTERRUPTS = Interrupts()
"""Those of this process."""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def call_after(seconds: float, function: Callable[..., object], *arguments: Any) -> None:
    """Call a function in another thread after a time, unless the process ends before."""
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()


def _end(code: int) -> None:
    import multiprocessing

    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)
