# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Decides whether a whole message is a reading. What is unclear is refused and is no reading.

For every edge where sensors come in. Nothing of a refused message may be stored.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spowl_ros.base.errors import SpowlError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BEYOND_RANGE = 0.01
"""Part of its greatest range by which a beam may exceed it, for rounding."""
UNIT_NORM = 0.01
"""By which the norm of a unit quaternion may miss 1."""
_NANOSECONDS = 10**9


class InvalidReading(SpowlError):
    """A message that is no reading: its sensor counts as silent."""


def check_ranges(ranges: ArrayLike, angle_min: float, angle_increment: float, range_min: float,
                 range_max: float, reach: float = 0.0) -> NDArray[np.float64]:
    """
    Return the ranges of a whole scan, shape (n,), metres: finite, +Inf or -Inf.

    REP-117: +Inf is nothing up to the greatest range; -Inf, as what is nearer than the least
    range, is too near to be measured; not-a-number is a failure of the sensor.

    :param reach: metres up to which a +Inf has to mean that nothing is there
    :raises InvalidReading: no beam, one that is not a number, negative or beyond the greatest
        range, directions or limits that say nothing, a range that does not reach far enough
    """
    values = np.array(ranges, np.float64).reshape(-1)
    if not values.size:
        raise InvalidReading('a scan without beams')
    if not (math.isfinite(angle_min) and math.isfinite(angle_increment) and angle_increment != 0):
        raise InvalidReading(f'a scan from {angle_min:g} by {angle_increment:g} rad; its beams '
                             'have no direction')
    if not 0.0 <= range_min < range_max < math.inf:
        raise InvalidReading(f'a scan with ranges from {range_min:g} to {range_max:g} m; what '
                             'they cannot see is unknown')
    if not range_max >= reach * (1.0 - BEYOND_RANGE):
        raise InvalidReading(f'a scan that sees {range_max:g} m; {reach:g} m are needed')
    bad = np.isnan(values)
    if bad.any():
        raise InvalidReading(f'a scan with {int(bad.sum())} of {values.size} beams that are not '
                             'a number')
    finite = np.isfinite(values)
    wrong = finite & ~((values >= 0.0) & (values <= range_max * (1.0 + BEYOND_RANGE)))
    if wrong.any():
        raise InvalidReading(f'a scan with a beam of {values[wrong][0]:g} m, which a sensor of '
                             f'{range_min:g} to {range_max:g} m cannot measure')
    values[finite & (values < range_min)] = -np.inf
    return values


def check_quaternion(w: float, x: float, y: float, z: float) -> None:
    """
    Make sure that a quaternion is an orientation.

    :raises InvalidReading: its norm is not 1; zeros and not-a-number are no heading
    """
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not abs(norm - 1.0) <= UNIT_NORM:
        raise InvalidReading(f'an orientation of norm {norm:g}, wanted 1')


def check_finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """
    Return numbers as an array of floats.

    :raises InvalidReading: one of them is infinite or none
    """
    array = np.array(values, np.float64)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise InvalidReading(f'{name} has {bad} of {array.size} values that are not finite')
    return array


class Stamps:
    """
    Judge the stamps of one topic: set, newer than the one before, and recent.

    Where the node's clock is set back, as by a simulator, stamps start again.

    :param limit_ns: age from which a stamp is too old
    :param future_ns: by how much it may lie ahead of the clock
    """

    def __init__(self, limit_ns: int, future_ns: int) -> None:
        self._limit_ns = limit_ns
        self._future_ns = future_ns
        self._last_ns = 0
        self._now_ns = 0

    def check(self, stamp_ns: int, now_ns: int) -> None:
        """
        Take a stamp, nanoseconds of the node's clock, which shows `now_ns`.

        :raises InvalidReading: not set, not newer than the last one, too old, in the future
        """
        if now_ns < self._now_ns:
            self._last_ns = 0
        self._now_ns = now_ns
        if stamp_ns <= 0:
            raise InvalidReading('its stamp is not set')
        if stamp_ns == self._last_ns:
            raise InvalidReading('its stamp does not change')
        if stamp_ns < self._last_ns:
            raise InvalidReading(f'its stamp went back by '
                                 f'{(self._last_ns - stamp_ns) / _NANOSECONDS:.3f} s')
        age_ns = now_ns - stamp_ns
        if not age_ns <= self._limit_ns:
            raise InvalidReading(f'it is {age_ns / _NANOSECONDS:.3f} s old, limit '
                                 f'{self._limit_ns / _NANOSECONDS:.3f} s')
        if not age_ns >= -self._future_ns:
            raise InvalidReading(f'it is stamped {-age_ns / _NANOSECONDS:.3f} s in the future')
        self._last_ns = stamp_ns
