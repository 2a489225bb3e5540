# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Notices when one decision takes too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading
import traceback

_CHECKS = 8
"""Number of checks before a limit is reached."""


class Watchdog:
    """
    A thread that acts when the same piece of work has been in progress for too long.

    It counts its own checks instead of reading a clock. So a suspended process or a machine that
    slept does not count as hanging.

    :param work: returns the number of the piece of work in progress; None while there is none
    :param limits: seconds and the action after them, once per piece of work; ascending
    """

    def __init__(self, work: Callable[[], int | None],
                 limits: Sequence[tuple[float, Callable[[], None]]]) -> None:
        self._work = work
        self._limits = list(limits)
        self._period = self._limits[0][0] / _CHECKS
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='watchdog', daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop watching; an action in progress goes on."""
        self._ended.set()

    def _watch(self) -> None:
        seen: int | None = None
        looks = done = 0
        while not self._ended.wait(self._period):
            work = self._work()
            if work is None or work != seen:
                seen, looks, done = work, 0, 0
                continue
            looks += 1
            while done < len(self._limits) and looks * self._period >= self._limits[done][0]:
                done += 1
                try:
                    self._limits[done - 1][1]()
                except Exception:  # the next limit acts all the same
                    traceback.print_exc()
