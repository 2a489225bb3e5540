# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A message is a reading as a whole, or refused as a whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.control.validity import (
    InvalidReading,
    Stamps,
    check_finite,
    check_quaternion,
    check_ranges,
)

S = 10**9
NAN, INF = float('nan'), float('inf')
SCAN = {'ranges': [1.0, INF, 0.05, -INF], 'angle_min': 0.0, 'angle_increment': 1.57,
        'range_min': 0.1, 'range_max': 5.0}


def test_special_values_mean_what_rep_117_says() -> None:
    """Nothing seen stays +Inf; what is too near to be measured becomes -Inf."""
    assert check_ranges(**SCAN, reach=3.0).tolist() == [1.0, INF, -INF, -INF]


@pytest.mark.parametrize(('change', 'words'), [
    ({'ranges': [1.0, NAN, 1.0]}, '1 of 3 beams that are not a number'),
    ({'ranges': []}, 'without beams'),
    ({'ranges': [1.0, -0.1]}, 'a beam of -0.1 m'),
    ({'ranges': [65.533]}, 'a beam of 65.533 m'),
    ({'range_max': 0.0}, 'ranges from 0.1 to 0 m'),
    ({'range_max': INF}, 'ranges from 0.1 to inf m'),
    ({'range_max': NAN}, 'ranges from 0.1 to nan m'),
    ({'range_min': NAN}, 'ranges from nan to 5 m'),
    ({'range_min': -1.0}, 'ranges from -1 to 5 m'),
    ({'angle_min': NAN}, 'no direction'),
    ({'angle_increment': NAN}, 'no direction'),
    ({'angle_increment': 0.0}, 'no direction'),
    ({'reach': 6.0}, '6 m are needed'),
    ({'reach': NAN}, 'nan m are needed'),
])
def test_a_scan_that_is_unclear_is_refused(change: dict[str, object], words: str) -> None:
    """One beam, limit or direction that cannot be understood refuses the whole scan."""
    with pytest.raises(InvalidReading, match=words):
        check_ranges(**{**SCAN, **change})  # type: ignore[arg-type]


@given(st.lists(st.floats(), max_size=8), *[st.floats()] * 4)
def test_what_passes_is_understood(beams: list[float], start: float, step: float, low: float,
                                   high: float) -> None:
    """Whatever numbers a scan holds, what passes is in its range or an infinity it had."""
    try:
        values = check_ranges(beams, start, step, low, high)
    except InvalidReading:
        return
    assert values.size == len(beams) > 0
    for value, beam in zip(values, beams, strict=True):
        assert value == beam if low <= beam <= 1.01 * high or beam in (INF, -INF) else (
            value == -INF and 0.0 <= beam < low)


@pytest.mark.parametrize('parts', [(0, 0, 0, 0), (NAN, 0, 0, 0), (1, 1, 0, 0), (INF, 0, 0, 0)])
def test_no_heading_is_refused(parts: tuple[float, ...]) -> None:
    """A quaternion that is none gives no heading."""
    with pytest.raises(InvalidReading):
        check_quaternion(*parts)
    check_quaternion(0.6, 0.0, 0.0, -0.8)


def test_numbers_are_wanted() -> None:
    """An infinite coordinate is refused, a finite one returned."""
    with pytest.raises(InvalidReading, match='the goal has 1 of 2 values'):
        check_finite([1.0, NAN], 'the goal')
    np.testing.assert_array_equal(check_finite([1, 2], 'the goal'), [1.0, 2.0])


def test_stamps_are_set_new_and_recent() -> None:
    """Stamps that are 0, repeated, going back, old or ahead are refused; others pass."""
    stamps = Stamps(limit_ns=S // 5, future_ns=S // 10)
    stamps.check(100 * S, 100 * S)
    for stamp_ns, words in ((0, 'not set'), (-5, 'not set'), (100 * S, 'does not change'),
                            (99 * S, 'went back'), (102 * S, 'in the future')):
        with pytest.raises(InvalidReading, match=words):
            stamps.check(stamp_ns, 101 * S)
    with pytest.raises(InvalidReading, match='1.000 s old'):
        stamps.check(101 * S, 102 * S)
    stamps.check(101 * S + S // 10, 101 * S)


def test_stamps_begin_anew_with_the_clock() -> None:
    """A clock that was set back brings stamps that were; one that was not, does not."""
    stamps = Stamps(limit_ns=S, future_ns=0)
    stamps.check(100 * S, 100 * S)
    stamps.check(50 * S, 50 * S)
    with pytest.raises(InvalidReading, match='went back'):
        stamps.check(49 * S + 1, 50 * S)
