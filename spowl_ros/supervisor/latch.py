# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The operator's stop: it holds from the start or from a stop until it is released."""

from __future__ import annotations

import math

RELEASE_AFTER_S = 1.0
"""A release is refused this soon after a stop: it may have been sent before the stop."""


class Latch:
    """
    Holds the robot.

    A stop always holds. A release shortly after a stop is refused: if it was sent before the stop,
    it must not undo it. No file keeps the state: a supervisor starts held.

    :param held: whether it holds from the start, and from each `restart` on
    """

    def __init__(self, held: bool) -> None:
        self.held, self.reason = False, ''
        self.last = 'never released' if held else 'released at the start'
        """The last stop or release, and who sent it."""
        self._stopped = -math.inf
        self._held_at_start = held
        self.restart()

    def restart(self) -> None:
        """End a release, as a start does; a stop stays what it is."""
        if self._held_at_start and not self.held:
            self.held, self.reason = True, 'held since it was activated; ~/release lets it drive'

    def stop(self, now: float, who: str, reason: str = 'stopped by an operator') -> None:
        """Hold from now on; `now` is the steady clock, seconds."""
        self.held = True
        self.reason = reason
        self.last = f'stopped by {who}'
        self._stopped = now

    def release(self, now: float, who: str) -> str:
        """Release the robot; return why not, or an empty text."""
        if now - self._stopped < RELEASE_AFTER_S:
            return (f'stopped {now - self._stopped:.2f} s ago; a release counts '
                    f'{RELEASE_AFTER_S:g} s after the last stop')
        self.held, self.reason = False, ''
        self.last = f'released by {who}'
        return ''
