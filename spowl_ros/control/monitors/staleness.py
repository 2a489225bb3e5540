# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: every sensor is recent, by its stamp and by its arrival."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class StalenessSettings:
    """How old a sensor may be."""

    rule: Rule = group(Rule, level='stop', release=3)
    factor: float = setting(1.0, "factor on the contract's time-outs",
                            low=0.1, high=100.0)
    future: float = setting(1.5, 'control periods that a stamp may be ahead of the clock',
                            low=0.0, high=100.0)


@register
class StalenessMonitor(Monitor[StalenessSettings]):
    """Alarm when the stamp or the arrival of any field is older than its time-out."""

    name = 'staleness'
    settings_type = StalenessSettings
    stage = Stage.BEFORE_PLANNING
    rank = 10

    def prepare(self) -> None:
        """Look up each field's name and time-out."""
        fields = self.grounds.contract.fields
        self._names = [field.name for field in fields]
        self._timeouts = np.array([field.timeout for field in fields])

    @property
    def patience(self) -> float:
        """Seconds after which the first sensor is too old."""
        return float((self.settings.factor * self._timeouts).min())

    def judge(self, context: Context) -> Reading:
        """Judge the ages; the value is the worst age over its time-out (1 is the limit)."""
        observation = context.observation
        limits = self.settings.factor * self._timeouts
        future = self.settings.future * self.grounds.contract.control_period
        oldest = np.maximum(observation.ages, observation.silences)
        ratios = oldest / limits
        worst = int(ratios.argmax())
        value = float(ratios[worst])
        ahead = float(-observation.ages.min())
        if value >= 1.0:
            return self.alarm(value, 1.0, f'{self._names[worst]} is {oldest[worst]:.3f} s old, '
                                          f'limit {limits[worst]:.3f} s')
        if ahead > future:
            name = self._names[int(observation.ages.argmin())]
            return self.alarm(value, 1.0, f'{name} is stamped {ahead:.3f} s in the future, '
                                          f'limit {future:.3f} s')
        return Reading(self.name, value, 1.0, clear=True)
