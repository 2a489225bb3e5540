# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The budget of an episode: what is spent, what may come, and how often that bound holds."""

from __future__ import annotations

from dataclasses import replace
import math
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Context, Grounds
from spowl_ros.control.monitors.budget import BudgetMonitor, BudgetSettings, RemainingCost
from spowl_ros.control.monitors.calibration import Calibration
from spowl_ros.control.observation import Observation

MOST = 5.0
"""Greatest cost of a window in the streams below."""


def drifting(seed: int, count: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and costs, both of which change their law `parts` times."""
    rng = np.random.default_rng(seed)
    law = rng.uniform(0, 1, (parts, 3)) ** 2
    part = np.minimum(np.arange(count) * parts // count, parts - 1)
    predicted = rng.normal(4 * law[part, 0] - 1, 0.3)
    paid = (rng.random(count) < law[part, 1]) * law[part, 2]
    return predicted, paid


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.8, 0.9, 0.95]),
       st.integers(1, 5), st.sampled_from([0.02, 0.1, 0.5]))
def test_the_bound_fails_no_more_often_than_wanted(seed: int, parts: int, coverage: float,
                                                   window: int, rate: float) -> None:
    """However predictions and costs drift, the long-run error rate is the wanted one at most."""
    found = RemainingCost(BudgetSettings(coverage=coverage, window=window, rate=rate))
    predicted, paid = drifting(seed, 4000, parts)
    for value, cost in zip(predicted, paid, strict=True):
        found.expect(found.over(float(value)))
        found.pay(float(cost))
    assert found.judged == 4000 - window + 1
    allowed = 1 - coverage + (MOST + rate * (window + 1)) / (rate * found.judged)
    assert 1 - found.coverage <= allowed + 1e-9
    assert found.offset >= 0.0


def test_the_bound_is_no_wider_than_needed() -> None:
    """Where predictions are too low at random, the wanted share of bounds holds, and no more."""
    found = RemainingCost(BudgetSettings(coverage=0.9, window=3, rate=0.05))
    rng = np.random.default_rng(0)
    for cost in rng.exponential(1.0, 20_000):
        found.expect(found.over(0.5))
        found.pay(float(cost))
    assert found.coverage == pytest.approx(0.9, abs=0.01)


def test_a_quiet_time_does_not_sink_the_bound() -> None:
    """After thousands of decisions without cost, the first misses raise the bound at once."""
    found = RemainingCost(BudgetSettings(coverage=0.9, window=1, rate=0.5))
    for cost in [0.0] * 5000 + [2.0] * 3:
        found.expect(found.over(0.0))
        found.pay(cost)
    assert found.missed == 3
    assert found.offset == pytest.approx(1.35)


@pytest.fixture
def controller(untrained_bundle: Path) -> Controller:
    """Return a controller with a budget, far from being spent."""
    made = Controller(bundle.load(untrained_bundle))
    made.change(made.settings.change({'budget.limit': 100.0, 'budget.window': 2}))
    return made


def observe(controller: Controller, step: int) -> Observation:
    """Return what a robot that stands still senses."""
    count = len(controller.contract.fields)
    now_ns = 10**12 + step * round(controller.contract.control_period * 1e9)
    return Observation(np.full(controller.contract.size, 0.1, np.float32),
                       np.full(count, now_ns), now_ns, np.zeros(count))


def decide(controller: Controller, step: int, cost: float) -> Decision:
    """Let a robot that stands still decide."""
    return controller.decide(observe(controller, step), cost=cost)


def test_the_policy_leads_once_the_budget_may_be_exceeded(controller: Controller) -> None:
    """Spent and left are recorded; past the budget the policy acts; a new episode has it whole."""
    first = decide(controller, 0, 7.0)  # the cost of the episode before
    assert (first.budget_spent, first.budget_left) == (0.0, 100.0)
    assert math.isnan(first.budget_coverage)
    decide(controller, 1, 0.0)
    second = decide(controller, 2, 30.0)
    assert (second.budget_spent, second.budget_left, second.budget_judged) == (30.0, 70.0, 1.0)
    reading = next(one for one in second.readings if one.monitor == 'budget')
    assert reading.clear and reading.limit == 100.0
    assert second.plan is not None
    assert reading.value == pytest.approx(
        30.0 + max(second.plan.policy_cost_value, 0.0) + second.budget_offset)
    last = decide(controller, 3, 80.0)
    assert (last.source, last.monitor) == ('policy', 'budget')
    assert '110 spent' in last.reason and last.budget_left == -10.0
    assert Decision.from_items(last.to_items()).to_items() == last.to_items()
    controller.reset()
    assert decide(controller, 4, 0.0).budget_spent == 0.0


@pytest.mark.parametrize('step', [60, -60], ids=['a silence', 'a clock set back'])
def test_an_interruption_gives_no_new_budget(controller: Controller, step: int) -> None:
    """What is spent stays spent until another episode begins by word."""
    for earlier in range(3):
        decide(controller, earlier, 30.0)
    found = decide(controller, step, 1.0)
    assert found.budget_spent == 61.0
    assert found.step == 3


@pytest.mark.parametrize('stopped', [False, True], ids=['under way', 'after a stop'])
def test_another_model_gets_no_new_budget(controller: Controller, untrained_bundle: Path,
                                          stopped: bool) -> None:
    """What the episode has spent binds whichever model drives."""
    for step in range(3):
        decide(controller, step, 30.0)
    if stopped:
        controller.stop(10**12, 'waiting for imu')
    other = Controller(bundle.load(untrained_bundle), controller.settings)
    other.succeed(controller)
    found = decide(other, 3, 50.0)
    assert (found.budget_spent, found.step) == (110.0, 3 + stopped)
    assert (found.source, found.monitor) == ('policy', 'budget')


def test_another_model_before_the_first_decision_begins_the_episode(
        controller: Controller, untrained_bundle: Path) -> None:
    """What the episode before has cost is not counted, and the bound stays learned."""
    for step in range(4):
        last = decide(controller, step, 30.0)
    controller.reset()
    other = Controller(bundle.load(untrained_bundle), controller.settings)
    other.succeed(controller)
    found = decide(other, 4, 30.0)
    assert (found.step, found.budget_spent) == (0, 0.0)
    assert (found.budget_offset, found.budget_judged) == (last.budget_offset, last.budget_judged)


def test_a_cost_that_is_not_observed_is_not_zero(controller: Controller) -> None:
    """Without costs the policy leads from the second decision on, and the reason says why."""
    decide(controller, 0, math.nan)
    found = decide(controller, 1, math.nan)
    assert (found.source, found.monitor) == ('policy', 'budget')
    assert 'not observed' in found.reason


def test_after_a_cost_that_is_no_number_the_budget_counts_as_spent(
        controller: Controller) -> None:
    """A valid cost does not clear the alarm; the next episode does. The bound learns nothing."""
    for step, cost in enumerate((0.0, 60.0, 1.0)):
        known = decide(controller, step, cost)
    for step, cost in enumerate((math.inf, 0.0, 0.0, math.nan, 0.0), 3):
        found = decide(controller, step, cost)
        assert (found.source, found.monitor) == ('policy', 'budget')
        assert (found.budget_spent, found.budget_left) == (math.inf, -math.inf)
        assert found.budget_judged == known.budget_judged
        assert Decision.from_items(found.to_items()).to_items() == found.to_items()
    assert 'no number' in found.reason
    controller.reset()
    assert decide(controller, 8, 0.0).budget_spent == 0.0
    assert decide(controller, 9, 1.0).budget_spent == 1.0


@pytest.mark.parametrize(('spent', 'alarm'), [(9.0, False), (10.0, True), (15.0, True)])
def test_a_policy_without_a_cost_value_has_a_budget_too(controller: Controller, spent: float,
                                                        alarm: bool) -> None:
    """What may follow is unknown, but what is spent is not."""
    monitor = BudgetMonitor(BudgetSettings(limit=10.0),
                            Grounds(controller.contract, Calibration(), 0.99))
    plan = decide(controller, 0, 0.0).plan
    assert plan is not None
    unknown = replace(plan, policy_cost_value=math.nan)
    for cost in (0.0, spent):
        reading = monitor.judge(Context(observe(controller, 0), plan=unknown, cost=cost))
    assert (reading.alarm, reading.clear, reading.known) == (alarm, False, alarm)
    assert ('budget 10' in reading.reason) == alarm


@pytest.mark.parametrize('level', ['policy', 'stop'])
@pytest.mark.parametrize('other', [False, True], ids=['the same model', 'another model'])
def test_a_budget_that_is_taken_away_lets_the_plan_lead(
        controller: Controller, untrained_bundle: Path, level: str, other: bool) -> None:
    """A monitor that judges no more would never release what it tripped."""
    controller.change(controller.settings.change({'budget.rule.level': level}))
    decide(controller, 0, 0.0)
    tripped = decide(controller, 1, 150.0)
    assert tripped.monitor == 'budget'
    settings = controller.settings.change({'budget.limit': 0.0})
    if other:
        former, controller = controller, Controller(bundle.load(untrained_bundle), settings)
        controller.succeed(former)
    else:
        controller.change(settings)
    found = decide(controller, 2, 0.0)
    assert found.source == 'plan' and 'budget' not in found.tripped


def test_without_a_budget_nothing_is_recorded(untrained_bundle: Path) -> None:
    """Off, which is the default, a decision is the one that it was before there were budgets."""
    found = decide(Controller(bundle.load(untrained_bundle)), 0, 1.0)
    assert not any('budget' in name for name, _ in found.to_items())


def test_a_bag_that_begins_midway_continues_the_budget(controller: Controller) -> None:
    """What an earlier decision recorded is what the next one builds on."""
    before = [decide(controller, step, 1.0) for step in range(5)][-1]
    wanted = decide(controller, 5, 2.0)
    controller.resume(5, before)
    found = decide(controller, 5, 2.0)
    assert found.budget_spent == wanted.budget_spent == 6.0
    assert replace(found, budget_judged=0.0).budget_coverage == before.budget_coverage
