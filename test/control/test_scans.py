# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A scan is a reading as a whole, or refused as a whole."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
import pytest

from spowl_ros.control.scans import checked_ranges
from spowl_ros.control.validity import InvalidReading

NAN, INF = float('nan'), float('inf')
SCAN = {'ranges': [1.0, INF, 0.05, -INF], 'angle_min': 0.0, 'angle_increment': 1.57,
        'angle_max': 4.71, 'range_min': 0.1, 'range_max': 5.0}


def test_special_values_mean_what_rep_117_says() -> None:
    """Nothing seen stays +Inf; what is too near to be measured becomes -Inf."""
    assert checked_ranges(SimpleNamespace(**SCAN)).tolist() == [1.0, INF, -INF, -INF]


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
    ({'range_max': 2.0}, '3 m are needed'),
    ({'range_max': 5000.0}, 'in millimetres'),
    ({'angle_max': 1.0}, 'do not fit'),
    ({'angle_min': -10.0}, 'do not fit'),
])
def test_a_scan_that_is_unclear_is_refused(change: dict[str, object], words: str) -> None:
    """One beam, limit or direction that cannot be understood refuses the whole scan."""
    with pytest.raises(InvalidReading, match=words):
        checked_ranges(SimpleNamespace(**{**SCAN, **change}))


@given(st.lists(st.floats(), max_size=8), st.floats(-6.0, 6.0), st.floats(-0.7, 0.7),
       st.floats(), st.floats() | st.floats(2.9, 1000.0))
def test_what_passes_is_understood(beams: list[float], start: float, step: float, low: float,
                                   high: float) -> None:
    """Whatever numbers a scan holds, what passes is in its range or an infinity it had."""
    try:
        values = checked_ranges(SimpleNamespace(
            ranges=beams, angle_min=start, angle_increment=step,
            angle_max=start + step * (len(beams) - 1), range_min=low, range_max=high))
    except InvalidReading:
        return
    assert values.size == len(beams) > 0
    for value, beam in zip(values, beams, strict=True):
        assert value == beam if low <= beam <= 1.01 * high or beam in (INF, -INF) else (
            value == -INF and 0.0 <= beam < low)
