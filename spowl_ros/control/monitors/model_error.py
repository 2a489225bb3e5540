# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: the world moves as the model said it would."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Reading, Rule, judge


@dataclass(frozen=True)
class ModelErrorSettings:
    """When the model is no longer believed."""

    rule: Rule = group(Rule, level='off', trigger=2, release=5)
    quantile: float = setting(
        0.999, 'quantile of the errors on held-out episodes that is the limit', low=0.5, high=1.0)
    factor: float = setting(1.0, 'the limit is this many times the quantile', low=0.1, high=100.0)
    hysteresis: float = setting(0.8, 'an error up to this part of the limit is clear',
                                low=0.0, high=1.0)


class ModelErrorMonitor:
    """
    Alarm when the encoded latent is far from the one predicted at the last decision.

    :param quantile_value: the calibrated error at ``settings.quantile``; infinity without
        calibration, and the monitor never alarms
    """

    name = 'model_error'

    def __init__(self, quantile_value: float, settings: ModelErrorSettings) -> None:
        self.settings = settings
        self._limit = settings.factor * quantile_value

    def check(self, error: float) -> Reading:
        """Judge the distance of two latents; not-a-number says nothing."""
        if math.isnan(error):
            return Reading(self.name, error, self._limit)
        return judge(self.name, error, self._limit, self.settings.hysteresis * self._limit,
                     f'model error {error:.4g}, limit {self._limit:.4g}')
