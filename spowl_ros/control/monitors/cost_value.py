# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: the plan's discounted cost, corrected by what costs really were, stays in budget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.monitors.base import Reading, Rule, judge


@dataclass(frozen=True)
class CostValueSettings:
    """How much discounted cost a plan may be expected to bring, with which confidence."""

    rule: Rule = group(Rule, level='off')
    budget: float = setting(5.0, 'greatest upper bound of the discounted cost of a plan', low=0.0)
    coverage: float = setting(0.9, 'how often the true discounted cost is to be below its bound',
                              low=0.5, high=0.999)
    hysteresis: float = setting(0.8, 'a bound up to this part of the budget is clear',
                                low=0.0, high=1.0)
    window: int = setting(100, 'decisions over which a cost is summed to judge its prediction',
                          low=1, high=10000)
    rate: float = setting(
        0.05, 'step by which the bound follows costs, where they are observed; 0: it stays',
        low=0.0, high=1.0)


class AdaptiveBound:
    """
    Offset to a cost value that covers the true discounted cost at a wanted rate.

    Starts from the split-conformal offset of held-out episodes and follows the costs that are
    seen: adaptive conformal inference (Gibbs and Candes, 2021), applied to the offset itself.

    :param offset: the conformal offset at ``settings.coverage``
    :param discount: discount per decision of the cost value
    """

    def __init__(self, offset: float, discount: float, settings: CostValueSettings) -> None:
        self._start = self.offset = offset
        self._discount = discount
        self._settings = settings
        self._pending: deque[float] = deque()
        self._costs: deque[float] = deque()

    def reset(self) -> None:
        """Begin a new episode: what was pending is never judged; the offset stays learned."""
        self._pending.clear()
        self._costs.clear()

    def record(self, predicted: float, cost: float) -> None:
        """
        Take note of one decision.

        :param predicted: cost value of the action that was executed at the last decision
        :param cost: the cost that came of it; not-a-number where cost is not observable
        """
        if self._settings.rate == 0.0:
            return
        if math.isnan(cost) or math.isnan(predicted):
            self.reset()
            return
        self._pending.append(predicted)
        self._costs.append(cost)
        if len(self._costs) == self._settings.window:
            true = sum(cost * self._discount**step for step, cost in enumerate(self._costs))
            missed = true > self._pending.popleft() + self.offset
            self._costs.popleft()
            self.offset += self._settings.rate * (missed - (1.0 - self._settings.coverage))


class CostValueMonitor:
    """Alarm when the upper bound of the plan's discounted cost exceeds the budget."""

    name = 'cost_value'

    def __init__(self, settings: CostValueSettings) -> None:
        self.settings = settings

    def check(self, cost_value: float, offset: float) -> Reading:
        """Judge a plan's cost value raised by the bound's offset; not-a-number says nothing."""
        bound, budget = cost_value + offset, self.settings.budget
        if math.isnan(bound):
            return Reading(self.name, bound, budget)
        return judge(self.name, bound, budget, self.settings.hysteresis * budget, (
            f'discounted cost of the plan at most {bound:.3g} '
            f'({cost_value:.3g} predicted), budget {budget:.3g}'))
