# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures that sum up many values."""

from __future__ import annotations

import math
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.base.statistics import bootstrap, latency_ms, mean, percentiles, shares


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60))
def test_interval_holds_the_mean(values: list[float]) -> None:
    """The interval lies around the mean, within the values, and shifts with them."""
    interval = bootstrap(values)
    slack = 1e-9 * (1 + max(map(abs, values)))
    assert min(values) - slack <= interval.low <= interval.mean + slack
    assert interval.mean - slack <= interval.high <= max(values) + slack
    moved = bootstrap([value + 5 for value in values])
    assert moved.low == pytest.approx(interval.low + 5, abs=1e-6)


def test_interval_covers_as_often_as_it_says() -> None:
    """95 % intervals of 50 draws contain the truth about as often."""
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        interval = bootstrap(random.exponential(size=50))
        inside += interval.low <= 1.0 <= interval.high
    assert 0.86 <= inside / 200 <= 0.99


def test_an_interval_is_that_of_published_figures() -> None:
    """An interval from fixed values has the ends that SciPy 1.17 found for the first tables."""
    interval = bootstrap(np.random.default_rng(50).exponential(size=50))
    assert (interval.low, interval.high) == (0.6489284862813833, 1.0130559871316824)


def test_an_interval_needs_little_memory_for_many_values() -> None:
    """The resamples of 5,000 values would fill 800 MB at once; they take less than 50."""
    values = np.random.default_rng(0).normal(size=5_000)
    tracemalloc.start()
    bootstrap(values)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6


def test_percentiles_leave_out_what_is_not_finite() -> None:
    """Not-a-number and infinity change no percentile; of nothing all are not-a-number."""
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = percentiles([*values, math.nan, math.inf], (50.0, 99.9))
    assert found == {'p50': 3.0, 'p99.9': np.percentile(values, 99.9), 'max': 5.0}
    assert all(math.isnan(value) for value in percentiles([]).values())
    assert latency_ms([0.001, 0.003])['max'] == 3.0
    assert mean([1.0, 3.0, math.nan]) == 2.0
    assert math.isnan(mean([]))


def test_shares_are_parts_of_all() -> None:
    """Shares come in the order asked for, sum to one, and are zero of nothing."""
    assert shares({'b': 1, 'a': 3}) == {'a': 0.75, 'b': 0.25}
    assert list(shares({'b': 1, 'a': 3}, ('b', 'c', 'a')).items()) == [
        ('b', 0.25), ('c', 0.0), ('a', 0.75)]
    assert shares({}, ('a',)) == {'a': 0.0}
