# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: every sensor value is a number and within its plausible range."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class ValuesSettings:
    """What a sensor may say."""

    rule: Rule = group(Rule, level='stop', release=3)
    slack: float = setting(0.5, "tolerance beyond a field's range, as a fraction of half its "
                                'width',
                           low=0.0, high=100.0)


@register
class ValuesMonitor(Monitor[ValuesSettings]):
    """Alarm at not-a-number, infinity, and values far out of the contract's range."""

    name = 'values'
    settings_type = ValuesSettings
    stage = Stage.BEFORE_PLANNING
    rank = 20

    def prepare(self) -> None:
        """Find the middle and half the width of each value's range."""
        fields = self.grounds.contract.fields
        sizes = [field.size for field in fields]
        self._names = np.repeat([field.name for field in fields], sizes)
        low = np.repeat([field.low for field in fields], sizes)
        high = np.repeat([field.high for field in fields], sizes)
        self._middle = (low + high) / 2
        self._half = (high - low) / 2

    def judge(self, context: Context) -> Reading:
        """Judge the values; 1 is the edge of the range, the limit lies ``slack`` beyond it."""
        observation, limit = context.observation, 1.0 + self.settings.slack
        finite = np.isfinite(observation.values)
        if not finite.all():
            name = self._names[int(finite.argmin())]
            return self.alarm(math.inf, limit, f'{name} holds values that are not finite '
                                               f'({int((~finite).sum())} in all)')
        excess = np.abs(observation.values - self._middle) / self._half
        worst = int(excess.argmax())
        value = float(excess[worst])
        if value > limit:
            middle, half = self._middle[worst], self._half[worst]
            return self.alarm(value, limit, (
                f'{self._names[worst]} is {observation.values[worst]:.4g}, '
                f'plausible is {middle - half:.4g} to {middle + half:.4g}'))
        return Reading(self.name, value, limit, clear=True)
