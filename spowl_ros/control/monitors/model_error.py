# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: the world changes as the model predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register
from spowl_ros.control.monitors.calibration import HeldOutEpisode, Table, quantile_table


@dataclass(frozen=True)
class ModelErrorSettings:
    """When the model is no longer believed."""

    rule: Rule = group(Rule, level='off', trigger=2, release=5)
    quantile: float = setting(
        0.999, 'quantile of the errors on held-out episodes from which the limit follows',
        low=0.5, high=1.0)
    factor: float = setting(1.0, 'factor on the quantile; the product is the limit',
                            low=0.1, high=100.0)
    hysteresis: float = setting(0.8, 'fraction of the limit below which an error is clear again',
                                low=0.0, high=1.0)


@register
class ModelErrorMonitor(Monitor[ModelErrorSettings]):
    """
    Alarm when the encoded latent is far from the one predicted at the last decision.

    Without calibration the limit is infinity, and it never alarms: it can only report then.
    """

    name = 'model_error'
    settings_type = ModelErrorSettings
    stage = Stage.AFTER_PLANNING
    rank = 10
    foresees = True
    judges_plans = True
    table = 'model_error'

    def judge(self, context: Context) -> Reading:
        """Judge the distance of two latents; unknown without a plan or a prediction."""
        s = self.settings
        limit = s.factor * self.grounds.calibration.at(self.table, s.quantile, math.inf)
        error = math.nan if context.plan is None else context.plan.model_error
        return self.judged(error, limit, s.hysteresis * limit,
                           f'model error {error:.4g}, limit {limit:.4g}')

    @classmethod
    def calibrate(cls, episodes: Sequence[HeldOutEpisode], discount: float) -> Table:
        """Return the quantiles of the errors."""
        errors = [decision.plan.model_error for episode in episodes
                  for decision in episode.decisions if decision.plan is not None]
        return quantile_table([error for error in errors if not math.isnan(error)])
