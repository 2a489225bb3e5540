# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: what an episode has cost, and may still cost under the policy, stays in its budget."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spowl_ros.base.settings import group, setting
from spowl_ros.control.decision import is_cost
from spowl_ros.control.monitors.base import Context, Monitor, Reading, Rule, Stage, register


@dataclass(frozen=True)
class BudgetSettings:
    """What an episode may cost; it needs a robot that observes its cost."""

    rule: Rule = group(Rule, level='policy', release=1)
    limit: float = setting(0.0, 'cost that an episode may have; 0: no budget, and no judgement',
                           low=0.0, high=1e9)
    coverage: float = setting(0.95, 'how often what follows is to stay below its bound',
                              low=0.5, high=0.999)
    window: int = setting(100, 'decisions over which what follows is summed', low=1, high=10000)
    rate: float = setting(0.05, 'step, in cost, by which the bound follows what it missed',
                          low=0.0, high=10.0)


class RemainingCost:
    """
    Upper bound of the cost of the next decisions, from predictions and what followed them.

    The bound is the prediction plus an offset. Each window that ends moves the offset: up if its
    cost exceeded the bound, else down (adaptive conformal inference, Gibbs and Candes, 2021). The
    offset is never below zero, so it cannot sink through a long stretch without any cost. If no
    window costs more than B, then after n of them the share of exceeded bounds is at most
    1 - coverage + (B + rate (window + 1)) / (rate n), whatever the costs are.
    """

    def __init__(self, settings: BudgetSettings) -> None:
        self.offset = 0.0
        self.judged = 0
        """Windows that ended."""
        self.missed = 0
        """Those whose cost exceeded their bound."""
        self._settings = settings
        self._bounds: deque[float] = deque()
        self._costs: deque[float] = deque()

    @property
    def coverage(self) -> float:
        """Return the share of bounds that held; not-a-number before any window ended."""
        return 1.0 - self.missed / self.judged if self.judged else math.nan

    def over(self, predicted: float) -> float:
        """Return the bound for a predicted cost."""
        return max(predicted, 0.0) + self.offset

    def begin(self) -> None:
        """Begin an episode: drop the windows that did not end."""
        self._bounds.clear()
        self._costs.clear()

    def expect(self, bound: float) -> None:
        """Take the bound of a decision."""
        self._bounds.append(bound)

    def pay(self, cost: float) -> None:
        """Take the cost of the decision of the last bound."""
        if len(self._costs) < len(self._bounds):
            self._costs.append(cost)
        s = self._settings
        if len(self._costs) == s.window:
            missed = math.fsum(self._costs) > self._bounds.popleft()
            self._costs.popleft()
            self.judged += 1
            self.missed += missed
            self.offset = max(self.offset + s.rate * (missed - (1.0 - s.coverage)), 0.0)


@register
class BudgetMonitor(Monitor[BudgetSettings]):
    """
    Alarm unless cost so far, plus the bound of the policy's remaining cost, is below the budget.

    The idea is that of SOOPER (arXiv 2601.19612). The bound covers what follows in the monitor's
    window, whoever acts: the plan acts only where it is no less safe than the policy. A cost that
    is not observed is no cost of zero: the monitor then alarms. After a cost that is no number it
    alarms until the episode ends, because nobody knows what is spent.
    """

    name = 'budget'
    settings_type = BudgetSettings
    stage = Stage.AFTER_PLANNING
    rank = 30
    learned_in = ('budget_spent', 'budget_left', 'budget_offset', 'budget_coverage',
                  'budget_judged')
    of_the_episode = True

    def prepare(self) -> None:
        """Begin the first episode, with a bound that has learned nothing."""
        self._remaining = RemainingCost(self.settings)
        self.reset()

    def change(self, settings: BudgetSettings) -> None:
        """Use other settings; begin the bound anew if they change how it is found."""
        before = self.settings
        super().change(settings)
        if (before.coverage, before.window, before.rate) != (
                settings.coverage, settings.window, settings.rate):
            self._remaining = RemainingCost(settings)

    def reset(self) -> None:
        """Begin an episode: nothing is spent; keep what the bound learned."""
        self._spent = 0.0
        self._first = True

    def interrupt(self) -> None:
        """Drop the windows that did not end; what is spent stays spent."""
        self._remaining.begin()

    @property
    def silent(self) -> bool:
        """Whether there is no budget."""
        return self.settings.limit == 0.0

    def judge(self, context: Context) -> Reading:
        """Judge spent cost plus the bound of the remaining one; the limit is the budget."""
        limit = self.settings.limit
        first, self._first = self._first, False
        if not first and math.isnan(context.cost):
            self._remaining.begin()
            return self.alarm(math.nan, limit,
                              'cost was not observed, so the budget cannot be kept')
        if not first:
            self._spent += context.cost
            if not is_cost(self._spent):
                self._spent = math.inf
                self._remaining.begin()
                return self.alarm(math.inf, limit, 'a cost of this episode was no number, so '
                                                   'what is spent is not known')
            self._remaining.pay(context.cost)
        predicted = math.nan if context.plan is None else context.plan.policy_cost_value
        if math.isnan(predicted):  # no plan, or a policy without a cost value
            self._remaining.begin()
            if self._spent >= limit:
                return self.alarm(self._spent, limit,
                                  f'{self._spent:.3g} spent, budget {limit:.3g}')
            return Reading(self.name, math.nan, limit)
        bound = self._remaining.over(predicted)
        self._remaining.expect(bound)
        total = self._spent + bound
        if total < limit:
            return Reading(self.name, total, limit, clear=True)
        return self.alarm(total, limit, f'{self._spent:.3g} spent and at most {bound:.3g} to '
                                        f'come, budget {limit:.3g}')

    @property
    def learned(self) -> tuple[float, ...]:
        """Spent and left of the budget; the bound's offset, its coverage and its windows."""
        if self.silent:
            return (math.nan,) * len(self.learned_in)
        remaining = self._remaining
        spent = math.nan if self._first else self._spent  # the episode has no decision yet
        return (spent, self.settings.limit - spent, remaining.offset, remaining.coverage,
                float(remaining.judged))

    def recall(self, *learned: float) -> None:
        """Restore what was spent and the bound; not-a-number changes nothing."""
        spent, _, offset, coverage, judged = learned
        if not math.isnan(spent):
            self._spent, self._first = spent, False
        if math.isfinite(judged):
            self._remaining.offset, self._remaining.judged = offset, int(judged)
            self._remaining.missed = round((1.0 - coverage) * judged) if judged else 0
