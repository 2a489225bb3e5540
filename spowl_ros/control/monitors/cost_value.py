# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: the plan's discounted cost, corrected by the observed costs, stays in budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors import calibration
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class CostValueSettings:
    """How much discounted cost a plan may be expected to bring, with which confidence."""

    rule: Rule = group(Rule, level='off')
    budget: float = setting(5.0, 'greatest upper bound of the discounted cost of a plan', low=0.0)
    coverage: float = setting(0.9, 'share of decisions whose true discounted cost should lie '
                                   'below the bound',
                              low=0.5, high=0.999)
    hysteresis: float = setting(0.8, 'fraction of the budget below which a bound is clear again',
                                low=0.0, high=1.0)
    window: int = setting(
        calibration.WINDOW, 'decisions over which a cost is summed to judge its prediction; fewer '
        'where the bundle was calibrated on episodes shorter than the default', low=1, high=10000)
    rate: float = setting(
        0.05, 'step size with which the bound follows observed costs; 0: it stays',
        low=0.0, high=1.0)


class AdaptiveBound:
    """
    Offset with which a cost value covers the true discounted cost at a wanted rate.

    It starts from the split-conformal offset of held-out episodes and follows the observed costs:
    adaptive conformal inference (Gibbs and Candes, 2021), applied to the offset itself.

    :param offset: the conformal offset at ``settings.coverage``
    :param discount: discount per decision of the cost value
    :param longest: greatest window, 0 if there is none: where episodes are short, a longer one
        would never be whole
    """

    def __init__(self, offset: float, discount: float, settings: CostValueSettings,
                 longest: int = 0) -> None:
        self.offset = offset
        self._window = min(settings.window, longest or settings.window)
        self._discount = discount
        self._settings = settings
        self._pending: deque[float] = deque()
        self._costs: deque[float] = deque()

    def reset(self) -> None:
        """Begin a new episode: drop pending predictions, keep the learned offset."""
        self._pending.clear()
        self._costs.clear()

    def record(self, predicted: float, cost: float) -> None:
        """
        Record one decision.

        :param predicted: cost value of the action executed at the last decision
        :param cost: the cost of that action; not finite if it is not known
        """
        if self._settings.rate == 0.0:
            return
        if not math.isfinite(cost) or math.isnan(predicted):
            self.reset()
            return
        self._pending.append(predicted)
        self._costs.append(cost)
        if len(self._costs) == self._window:
            true = sum(cost * self._discount**step for step, cost in enumerate(self._costs))
            missed = true > self._pending.popleft() + self.offset
            self._costs.popleft()
            self.offset += self._settings.rate * (missed - (1.0 - self._settings.coverage))


@register
class CostValueMonitor(Monitor[CostValueSettings]):
    """Alarm when the upper bound of the plan's discounted cost exceeds the budget."""

    name = 'cost_value'
    settings_type = CostValueSettings
    stage = Stage.AFTER_PLANNING
    rank = 20
    foresees = True
    judges_plans = True
    learned_in = ('cost_offset',)
    table = 'cost_offset'

    def prepare(self) -> None:
        """Begin with the calibrated bound, expecting nothing."""
        self._bound = self._new_bound()
        self._expected = math.nan

    def _new_bound(self) -> AdaptiveBound:
        tables = self.grounds.calibration
        return AdaptiveBound(tables.at(self.table, self.settings.coverage, 0.0),
                             self.grounds.cost_discount, self.settings,
                             tables.window if tables.window < calibration.WINDOW else 0)

    def change(self, settings: CostValueSettings) -> None:
        """Use other settings; keep the learned offset unless the change invalidates it."""
        before, now = self.settings, settings
        super().change(settings)
        if (now.coverage, now.window, now.rate) != (before.coverage, before.window, before.rate):
            self._bound = self._new_bound()

    def interrupt(self) -> None:
        """Drop pending predictions; keep the learned offset."""
        self._bound.reset()
        self._expected = math.nan

    def record(self, decision: Decision) -> None:
        """Remember the cost value of the executed action."""
        self._expected = executed_cost_value(decision)

    def judge(self, context: Context) -> Reading:
        """Judge a plan's cost value plus the bound's offset; unknown without a plan."""
        self._bound.record(self._expected, context.cost)
        predicted = math.nan if context.plan is None else context.plan.plan_cost_value
        bound, budget = predicted + self._bound.offset, self.settings.budget
        return self.judged(bound, budget, self.settings.hysteresis * budget, (
            f'discounted cost of the plan at most {bound:.3g} '
            f'({predicted:.3g} predicted), budget {budget:.3g}'))

    @property
    def learned(self) -> tuple[float, ...]:
        """The bound's offset."""
        return (self._bound.offset,)

    def recall(self, *learned: float) -> None:
        """Restore an offset; not-a-number changes nothing."""
        (offset,) = learned
        if math.isfinite(offset):
            self._bound.offset = offset

    @classmethod
    def calibrate(cls, episodes: Sequence[calibration.HeldOutEpisode],
                  discount: float) -> calibration.Table:
        """Return the offsets that cover the discounted cost of whole windows."""
        window = calibration.window_of(episodes)
        predicted, true = [], []
        for episode in episodes:
            sums = calibration.discounted_sums(episode.costs, discount, window, episode.terminated)
            for decision, total in zip(episode.decisions, sums, strict=False):
                if not math.isnan(value := executed_cost_value(decision)):
                    predicted.append(value)
                    true.append(float(total))
        return calibration.conformal_table(predicted, true)


def executed_cost_value(decision: Decision) -> float:
    """Return the cost value of the executed action; not-a-number if none is known."""
    if decision.plan is None:
        return math.nan
    return {'plan': decision.plan.plan_cost_value,
            'policy': decision.plan.policy_cost_value}.get(decision.source, math.nan)
