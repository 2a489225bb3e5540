# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: distance and closing speed to hazards from the raw scans, without any network."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class SensorMarginSettings:
    """How near a hazard may come."""

    rule: Rule = group(Rule, level='off', release=2)
    margin: float = setting(0.05, 'metres kept free around the edge of a hazard',
                            low=0.0, high=3.0)
    lookahead: float = setting(0.3, 'seconds for which the closing speed is extrapolated',
                               low=0.0, high=10.0)
    hysteresis: float = setting(0.05, 'metres beyond the margin at which the reading is clear '
                                      'again',
                                low=0.0, high=3.0)


@register
class SensorMarginMonitor(Monitor[SensorMarginSettings]):
    """Alarm when a hazard is within the margin, or will be within the look-ahead."""

    name = 'sensor_margin'
    settings_type = SensorMarginSettings
    stage = Stage.BEFORE_PLANNING
    rank = 40
    foresees = True

    def judge(self, context: Context) -> Reading:
        """Judge the nearest hazards; the value is minus the expected distance, metres."""
        margin, lookahead = self.settings.margin, self.settings.lookahead
        worst, hazard = -math.inf, None
        for nearest in context.hazards:
            expected = nearest.distance - lookahead * max(nearest.closing_speed, 0.0)
            if -expected > worst:
                worst, hazard = -expected, nearest
        if hazard is not None and worst > -margin:
            return self.alarm(worst, -margin, (
                f'{hazard.field}: hazard at {hazard.distance:.2f} m, '
                f'nearing at {hazard.closing_speed:.2f} m/s, margin {margin:.2f} m'))
        return Reading(self.name, worst, -margin,
                       clear=worst <= -(margin + self.settings.hysteresis))
