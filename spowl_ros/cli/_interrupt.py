# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Remember Ctrl-C, because a library that is being loaded may swallow KeyboardInterrupt."""

from __future__ import annotations

import signal
import threading

_came = threading.Event()


def remember() -> None:
    """From now on remember Ctrl-C; it still raises KeyboardInterrupt."""
    _came.clear()
    if (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        signal.signal(signal.SIGINT, _on_interrupt)


def check() -> None:
    """
    End what began before Ctrl-C.

    :raises KeyboardInterrupt: Ctrl-C came
    """
    if _came.is_set():
        raise KeyboardInterrupt


def _on_interrupt(*_: object) -> None:
    _came.set()
    raise KeyboardInterrupt
