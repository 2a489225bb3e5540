# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Predictions are judged against what followed in the same episode, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spowl_ros.control.decision import Decision
from spowl_ros.control.plan import Plan
from spowl_ros.replay.foresight import CLOSING, coverage, foresight, rank_correlation, sums_after
from spowl_ros.replay.trace import Trace, TraceBuilder

DISCOUNT = 0.9
PLAN = Plan(
    source='policy', plan_action=(0.0,), policy_action=(0.0,), plan_value=0.0, policy_value=0.0,
    plan_cost_value=0.0, policy_cost_value=0.0, value_low=0.0, cost_value_high=0.0,
    value_threshold=0.0, cost_threshold=0.0, counted=0, model_error=0.0, iterations=1)


def make_trace(costs: list[float], predicted: list[float], steps: list[int] | None = None,
               **values: Any) -> Trace:
    """Return a trace in which the policy acts and says the given cost values."""
    builder = TraceBuilder()
    numbers = steps if steps is not None else list(range(len(costs)))
    for step, cost, cost_value in zip(numbers, costs, predicted, strict=True):
        plan = replace(PLAN, policy_cost_value=cost_value)
        builder.add(Decision(step=step, now_ns=step * 100_000_000, action=(0.0,),
                             source='policy', reason='', plan=plan, **values))
        builder.add_outcome('cost', cost)
    return builder.build()


def discounted(amounts: np.ndarray) -> float:
    """Return a discounted sum."""
    return float(np.sum(amounts * DISCOUNT ** np.arange(len(amounts))))


@pytest.mark.parametrize('horizon', [1, 3, 10])
def test_sums_after_equal_the_plain_loop(horizon: int) -> None:
    """Each decision's sum is that of its own and the next amounts of its episode."""
    generator = np.random.default_rng(0)
    amounts = generator.random(50)
    episode = np.repeat([0, 1, 2], [20, 7, 23])
    closing = generator.random(50)
    expected = np.full(50, np.nan)
    for index in range(50):
        end = index + horizon
        if end < 50 and episode[end] == episode[index]:
            expected[index] = discounted(amounts[index:end]) + DISCOUNT**horizon * closing[end]
    found = sums_after(episode, amounts, DISCOUNT, horizon, closing)
    np.testing.assert_allclose(found, expected)


def test_a_true_value_function_has_no_error() -> None:
    """Predictions that are the discounted sums themselves leave no bias at any horizon."""
    costs = (np.random.default_rng(1).random(300) < 0.1).astype(float)
    true = [discounted(costs[index:]) for index in range(300)]
    result = foresight(make_trace(costs.tolist(), true), 'cost_value', DISCOUNT)
    figures = result.to_dict()
    assert figures['decisions'] == 300 - CLOSING
    assert figures['bias'] == pytest.approx(0.0, abs=1e-9)
    assert figures['correlation'] == pytest.approx(1.0)
    assert all(entry['rmse'] < 1e-9 for entry in figures['by_horizon'])
    for point in figures['curve']:
        assert point['predicted'] == pytest.approx(point['followed'])


def test_a_constant_overestimate_shows_as_bias() -> None:
    """At a far horizon the bias is what was added, less what the closing prediction brings."""
    costs = (np.random.default_rng(1).random(300) < 0.1).astype(float)
    wrong = [discounted(costs[index:]) + 2.0 for index in range(300)]
    figures = foresight(make_trace(costs.tolist(), wrong), 'cost_value', DISCOUNT).to_dict()
    assert figures['bias'] == pytest.approx(2.0 * (1.0 - DISCOUNT**CLOSING))
    assert figures['by_horizon'][0]['bias'] == pytest.approx(2.0 * (1.0 - DISCOUNT))


def test_decisions_that_nobody_predicted_are_left_out() -> None:
    """A stop has no value; it is not counted as a prediction of zero."""
    builder = TraceBuilder()
    for step in range(100):
        builder.add(Decision(step=step, now_ns=step, action=(0.0,), source='stop', reason='x'))
    figures = foresight(builder.build(), 'cost_value', DISCOUNT).to_dict()
    assert figures['decisions'] == 0
    assert figures['bias'] is None
    assert figures['curve'] == []


def test_coverage_counts_what_stayed_below_the_bound() -> None:
    """A bound that is always met covers all, one that lies below covers those without cost."""
    costs = [1.0 if index % 20 == 19 else 0.0 for index in range(200)]
    assert coverage(make_trace(costs, [0.0] * 200, cost_offset=10.0), DISCOUNT, 10) == 1.0
    share = coverage(make_trace(costs, [0.0] * 200, cost_offset=0.0), DISCOUNT, 10)
    assert share == pytest.approx(0.5, abs=0.05)
    assert coverage(make_trace([0.0] * 200, [0.0] * 200, cost_offset=-1.0), DISCOUNT, 10) == 1.0
    assert coverage(make_trace([0.0] * 5, [0.0] * 5, cost_offset=0.0), DISCOUNT, 10) is None


def test_rank_correlation_sees_order_only() -> None:
    """A monotonic relation is perfect, whatever its shape; a constant has none."""
    values = np.random.default_rng(2).random(100)
    assert rank_correlation(values, np.exp(5 * values)) == pytest.approx(1.0)
    assert rank_correlation(values, -values**3) == pytest.approx(-1.0)
    assert rank_correlation(values, np.ones(100)) is None
