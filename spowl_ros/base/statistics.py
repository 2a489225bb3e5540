# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Summary statistics: percentiles, shares, means with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RESAMPLES = 9_999
BETTER = {'return': 'more is better', 'cost': 'less is better'}
"""What is good of each figure of an episode."""
TOWARDS = {'return': 'more is better →', 'cost': '← less is better'}
"""The same for an axis to the right."""
PARTS = (50.0, 95.0, 99.0)
_BATCH = 2**20
"""Values resampled at a time; bounds the memory for thousands of episodes."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap(values: ArrayLike) -> Interval:
    """
    Return the mean of some values with its percentile bootstrap interval (Efron 1979).

    The same values always give the same interval.

    :param values: shape (n,), at least one
    """
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if np.ptp(sample) == 0:  # also a single value: there is nothing to resample
        return Interval(mean, mean, mean)
    random = np.random.default_rng(0)
    rows = max(1, _BATCH // sample.size)
    means = np.concatenate([
        sample[random.integers(sample.size, size=(min(rows, RESAMPLES - made), sample.size))]
        .mean(axis=1) for made in range(0, RESAMPLES, rows)])
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, (tail, 100.0 - tail))
    return Interval(mean, float(low), float(high))


def percentiles(values: ArrayLike, parts: Sequence[float] = PARTS) -> dict[str, float]:
    """
    Return percentiles and the maximum of the finite values, as 'p50', 'p99.9' and 'max'.

    :param values: shape (n,); of durations in seconds see `latency_ms`
    :return: not-a-number where no value is finite
    """
    sample = np.asarray(values, np.float64)
    sample = sample[np.isfinite(sample)]
    found = (np.percentile(sample, [*parts, 100.0]) if sample.size
             else np.full(len(parts) + 1, np.nan))
    names = [*(f'p{part:g}' for part in parts), 'max']
    return dict(zip(names, found.tolist(), strict=True))


def latency_ms(seconds: ArrayLike, parts: Sequence[float] = PARTS) -> dict[str, float]:
    """Return the percentiles of durations, in milliseconds."""
    return percentiles(np.asarray(seconds, np.float64) * 1e3, parts)


def shares(counts: Mapping[str, int], names: Sequence[str] = ()) -> dict[str, float]:
    """
    Return each count as a fraction of the total; all are 0 if nothing was counted.

    :param names: which to return, in this order; empty: those counted, sorted
    """
    total = max(sum(counts.values()), 1)
    return {name: counts.get(name, 0) / total for name in names or sorted(counts)}


def number(value: float) -> float | None:
    """Return a float that JSON can hold; None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def mean(values: ArrayLike) -> float:
    """Return the mean of the finite values; not-a-number where there are none."""
    sample = np.asarray(values, np.float64)
    sample = sample[np.isfinite(sample)]
    return float(sample.mean()) if sample.size else math.nan
