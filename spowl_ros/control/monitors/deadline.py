# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: decisions are made in time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from spowl_ros.base.settings import group, setting
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class DeadlineSettings:
    """How many late decisions are borne before planning is given up for a while."""

    rule: Rule = group(Rule, level='policy', release=20)
    window: int = setting(20, 'number of last decisions that count', low=1, high=1000)
    misses: int = setting(1, 'late decisions among them that are tolerated', low=0, high=1000)


@register
class DeadlineMonitor(Monitor[DeadlineSettings]):
    """Alarm when too many of the last decisions were late; the policy's action is quick."""

    name = 'deadline'
    settings_type = DeadlineSettings
    stage = Stage.BEFORE_PLANNING
    rank = 30
    spares_planning = True

    def prepare(self) -> None:
        """Have no past."""
        self._late: deque[bool] = deque(maxlen=self.settings.window)

    def change(self, settings: DeadlineSettings) -> None:
        """Use other settings; forget the past, which was judged by the old ones."""
        super().change(settings)
        self.prepare()

    def reset(self) -> None:
        """Forget past decisions, but not when measurements were interrupted: late ones do that."""
        self._late.clear()

    def record(self, decision: Decision) -> None:
        """Record whether a decision was late; a stop without an observation never is."""
        if decision.stamps_ns:
            self._late.append(decision.deadline_missed)

    def judge(self, context: Context) -> Reading:
        """Judge the number of late decisions in the window."""
        misses, borne = sum(self._late), self.settings.misses
        return self.judged(misses, borne, borne, (
            f'{misses} of the last {len(self._late)} decisions were late, {borne} are borne'))
