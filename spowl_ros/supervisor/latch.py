# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The operator's stop: held from the start or from a stop on, until it is released."""

from __future__ import annotations

import math

RELEASE_AFTER_S = 1.0
"""A release this soon after a stop may have been sent before it, and is refused."""


class Latch:
    """
    Hold the robot.

    A stop always holds. A release is another act and loses against any stop near it in time, so
    that one sent before a stop cannot undo it on its way. Nothing of it is kept in a file: a
    supervisor starts held, which needs no file that could be lost.

    :param held: whether it holds from the start
    """

    def __init__(self, held: bool) -> None:
        self.held = held
        self.reason = 'held since the start; ~/release lets it drive' if held else ''
        self.last = 'never released' if held else 'released at the start'
        """What was done last, and by whom."""
        self._stopped = -math.inf

    def stop(self, now: float, who: str, reason: str = 'stopped by an operator') -> None:
        """Hold from a time of the steady clock on, seconds."""
        self.held = True
        self.reason = reason
        self.last = f'stopped by {who}'
        self._stopped = now

    def release(self, now: float, who: str) -> str:
        """Let go; return why not, or an empty text."""
        if now - self._stopped < RELEASE_AFTER_S:
            return (f'stopped {now - self._stopped:.2f} s ago; a release counts '
                    f'{RELEASE_AFTER_S:g} s after the last stop')
        self.held, self.reason = False, ''
        self.last = f'released by {who}'
        return ''
