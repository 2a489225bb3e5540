# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: decisions are made in time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Reading, Rule, judge


@dataclass(frozen=True)
class DeadlineSettings:
    """How many late decisions are borne before planning is given up for a while."""

    rule: Rule = group(Rule, level='policy', release=20)
    window: int = setting(20, 'decisions looked back on', low=1, high=1000)
    misses: int = setting(1, 'late decisions among them that are borne', low=0, high=1000)


class DeadlineMonitor:
    """Alarm when too many of the last decisions were late; the policy's action is quick."""

    name = 'deadline'

    def __init__(self, settings: DeadlineSettings) -> None:
        self.settings = settings
        self._late: deque[bool] = deque(maxlen=settings.window)

    def reset(self) -> None:
        """Forget past decisions."""
        self._late.clear()

    def record(self, late: bool) -> None:
        """Take note of whether a decision missed its deadline."""
        self._late.append(late)

    def check(self) -> Reading:
        """Judge the number of late decisions in the window."""
        misses, borne = sum(self._late), self.settings.misses
        return judge(self.name, float(misses), borne, borne, (
            f'{misses} of the last {len(self._late)} decisions were late, {borne} are borne'))
