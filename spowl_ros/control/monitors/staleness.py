# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: every sensor is recent, by its stamp and by its arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Reading, Rule

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract
    from spowl_ros.control.observation import Observation


@dataclass(frozen=True)
class StalenessSettings:
    """How old a sensor may be."""

    rule: Rule = group(Rule, level='stop', release=3)
    factor: float = setting(1.0, "age limits are this many times the contract's time-outs",
                            low=0.1, high=100.0)
    future: float = setting(1.5, 'how many control periods a stamp may lie ahead of the clock',
                            low=0.0, high=100.0)


class StalenessMonitor:
    """Alarm when the stamp or the arrival of any field is older than its time-out."""

    name = 'staleness'

    def __init__(self, contract: Contract, settings: StalenessSettings) -> None:
        self.settings = settings
        self._names = [field.name for field in contract.fields]
        self._future = settings.future * contract.control_period
        self.limits = settings.factor * np.array([field.timeout for field in contract.fields])
        """Shape (fields,): greatest age of each field, seconds."""

    def check(self, observation: Observation) -> Reading:
        """Judge the ages; the value is the worst age over its time-out (1 is the limit)."""
        oldest = np.maximum(observation.ages, observation.silences)
        ratios = oldest / self.limits
        worst = int(ratios.argmax())
        value = float(ratios[worst])
        ahead = float(-observation.ages.min())
        if value >= 1.0:
            return Reading(self.name, value, 1.0, alarm=True, reason=(
                f'{self._names[worst]} is {oldest[worst]:.3f} s old, '
                f'limit {self.limits[worst]:.3f} s'))
        if ahead > self._future:
            name = self._names[int(observation.ages.argmin())]
            return Reading(self.name, value, 1.0, alarm=True, reason=(
                f'{name} is stamped {ahead:.3f} s in the future, limit {self._future:.3f} s'))
        return Reading(self.name, value, 1.0, clear=True)
