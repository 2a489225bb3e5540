# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the time of a run goes."""
from __future__ import annotations

import time


class Stopwatch:
    """Seconds spent by named phase since the last reading."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Charge the time since the last lap to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def read(self) -> dict[str, float]:
        """Return the seconds so far and reset."""
        seconds, self.seconds = self.seconds, {}
        return seconds
