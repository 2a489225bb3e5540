# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A message is a reading as a whole, or refused as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from spowl_ros.control.validity import InvalidReading, Stamps, check_finite, check_quaternion

S = 10**9
NAN, INF = float('nan'), float('inf')


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
