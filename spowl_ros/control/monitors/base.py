# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a monitor says at one decision, and who leads when it trips."""

from __future__ import annotations

from dataclasses import dataclass
import enum
import math

from spowl_ros.base.settings import setting


class Level(enum.IntEnum):
    """Who leads, from the most to the least trusting."""

    PLAN = 0
    POLICY = 1
    MONITOR = 2
    STOP = 3


@dataclass(frozen=True)
class Rule:
    """How the arbiter takes one monitor."""

    level: str = setting('policy', 'who leads while tripped; off: the monitor only reports',
                         choices=('off', 'policy', 'monitor', 'stop'))
    trigger: int = setting(1, 'consecutive alarms that trip it', low=1, high=1000)
    release: int = setting(5, 'consecutive clear decisions that release it', low=1, high=10000)


@dataclass(frozen=True)
class Reading:
    """
    One monitor's judgement of one decision.

    Between ``alarm`` and ``clear`` lies the hysteresis: neither is true. Nothing known (a first
    step, a plan that was not made) is neither as well, with not-a-number as value.
    """

    monitor: str
    value: float = math.nan
    """What was judged, in the monitor's unit; larger is worse."""
    limit: float = math.nan
    """The value beyond which it is an alarm."""
    alarm: bool = False
    clear: bool = False
    reason: str = ''
    """One sentence with the numbers, when alarmed."""

    @property
    def known(self) -> bool:
        """Whether the monitor could judge at all."""
        return self.alarm or self.clear or not math.isnan(self.value)


def judge(monitor: str, value: float, limit: float, release: float, reason: str) -> Reading:
    """Compare a value (larger is worse) with the limit that trips and the one that releases."""
    alarm = value > limit
    return Reading(monitor, float(value), float(limit), alarm,
                   clear=not alarm and value <= release, reason=reason if alarm else '')
