# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the learned parts: predicted values against what followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.statistics import number
from spowl_ros.replay.alarms import runs
from spowl_ros.replay.trace import Trace

HORIZONS = (1, 2, 5, 10, 20, 50, 100)
"""Horizons, in decisions, at which predictions are compared with what followed."""
CLOSING = 50
"""After this many decisions, the prediction made there closes the sum of what followed."""
BINS = 10
MOST_PAIRS = 200_000  # what a scatter or a rank correlation can use


@dataclass(frozen=True)
class Foresight:
    """Predictions of one quantity against what followed, of the decisions where both are known."""

    predicted: NDArray[np.float64]
    """Shape (known,)."""
    followed: NDArray[np.float64]
    """Shape (known,): discounted sum of the CLOSING decisions that followed, closed with the
    prediction after them."""
    discount: float
    by_horizon: dict[int, tuple[float, float]]
    """Decisions ahead to mean and root mean square of prediction minus what followed."""

    def curve(self) -> dict[str, list[float]]:
        """
        Return the calibration curve: decisions sorted by prediction, in groups of equal size.

        :return: of each group the mean prediction, mean, 10th (low) and 90th (high) percentile of
            what followed, and count; few decisions give fewer groups
        """
        order = np.argsort(self.predicted, kind='stable')
        groups = [group for group in np.array_split(order, BINS) if group.size]
        followed = [self.followed[group] for group in groups]
        return {'predicted': [self.predicted[group].mean() for group in groups],
                'followed': [part.mean() for part in followed],
                'low': [np.quantile(part, 0.1) for part in followed],
                'high': [np.quantile(part, 0.9) for part in followed],
                'count': [part.size for part in followed]}

    def to_dict(self) -> dict[str, Any]:
        """Return all figures for JSON; None where data is insufficient."""
        curve = self.curve()
        bias, rmse = _bias_and_rmse(self.predicted - self.followed)
        return {
            'decisions': self.predicted.size,
            'discount': self.discount,
            'bias': number(bias),
            'rmse': number(rmse),
            'correlation': rank_correlation(self.predicted, self.followed),
            'curve': [{name: value if name == 'count' else number(value)
                       for name, value in zip(curve, point, strict=True)}
                      for point in zip(*curve.values(), strict=True)],
            'by_horizon': [{'decisions': horizon, 'bias': number(bias), 'rmse': number(rmse)}
                           for horizon, (bias, rmse) in self.by_horizon.items()],
        }


def _bias_and_rmse(error: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and root mean square of errors; not-a-number without any."""
    if not error.size:
        return np.nan, np.nan
    return float(error.mean()), float(np.sqrt(np.mean(error**2)))


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; None if either series is constant."""
    if first.size > MOST_PAIRS:
        chosen = np.random.default_rng(0).choice(first.size, MOST_PAIRS, replace=False)
        first, second = first[chosen], second[chosen]
    if first.size < 3 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2.0)[inverse]


def foresight(trace: Trace, quantity: str, discount: float) -> Foresight:
    """
    Compare predictions with what followed.

    :param quantity: 'value' (against rewards) or 'cost_value' (against costs)
    :param discount: per decision, as in the value function
    """
    amounts = trace.reward if quantity == 'value' else trace.cost
    predicted = trace.executed(quantity)
    by_horizon = {}
    for horizon in HORIZONS:
        error = predicted - sums_after(trace.episode, amounts, discount, horizon, predicted)
        error = error[np.isfinite(error)]
        if error.size:
            by_horizon[horizon] = _bias_and_rmse(error)
    followed = sums_after(trace.episode, amounts, discount, CLOSING, predicted)
    known = np.isfinite(predicted) & np.isfinite(followed)
    return Foresight(predicted[known], followed[known], discount, by_horizon)


def sums_after(episode: NDArray[np.int64], amounts: NDArray[np.float64], discount: float,
               horizon: int, closing: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """
    Return the discounted sum of the next amounts of the same episode, for each decision.

    :param episode: shape (n,), episode of each decision
    :param amounts: shape (n,), reward or cost of each decision until the next one
    :param horizon: number of decisions in the sum
    :param closing: shape (n,), predictions; the one at the end of the sum is added, discounted;
        None: nothing is added
    :return: shape (n,); NaN where the episode ends before the horizon
    """
    count = len(amounts)
    result = np.full(count, np.nan)
    weights = discount ** np.arange(horizon)
    for start, end in episode_bounds(episode):
        length = end - start
        if length <= horizon:
            continue
        part = amounts[start:end]
        # The reversed weights make the convolution look ahead instead of back.
        sums = np.convolve(part, weights[::-1], mode='valid')[:length - horizon]
        if closing is not None:
            sums = sums + discount**horizon * closing[start + horizon:end]
        result[start:end - horizon] = sums
    return result


def episode_bounds(episode: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the first decision of each episode and the one after its last."""
    return [(first, last + 1) for first, last in runs(np.ones_like(episode, bool), episode)]


def coverage(trace: Trace, discount: float, window: int) -> float | None:
    """
    Return how often the discounted cost of the next decisions was below its conformal bound.

    :param window: decisions over which the bound was calibrated
    :return: None where no decision can be judged
    """
    # Costs are never negative, so that a bound below 0 promises no less than one of 0.
    bound = np.maximum(trace.executed('cost_value') + trace.cost_offset, 0.0)
    followed = sums_after(trace.episode, trace.cost, discount, window)
    known = np.isfinite(bound) & np.isfinite(followed)
    return float(np.mean(followed[known] <= bound[known])) if known.any() else None
