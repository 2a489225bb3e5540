# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Decides whether a message is a valid reading. A message without a clear meaning is refused.

Every module that receives sensors uses it. No part of a refused message may be stored.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError

UNIT_NORM = 0.01
"""Greatest difference of a unit quaternion's norm from 1."""
_NANOSECONDS = 10**9


class InvalidReading(SpowlError):
    """The message is no valid reading; its sensor counts as silent."""


def check_quaternion(w: float, x: float, y: float, z: float) -> None:
    """
    Check that a quaternion is an orientation.

    :raises InvalidReading: its norm is not 1, as with zeros or not-a-number
    """
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not abs(norm - 1.0) <= UNIT_NORM:
        raise InvalidReading(f'an orientation of norm {norm:g}, wanted 1')


def check_finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """
    Return numbers as an array of floats.

    :raises InvalidReading: one of them is infinite or not a number
    """
    array = np.array(values, np.float64)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise InvalidReading(f'{name} has {bad} of {array.size} values that are not finite')
    return array


class Stamps:
    """
    Checks the stamps of one topic: set, newer than the one before, and recent.

    When the node's clock is set back, as by a simulator, stamps may start again.

    :param limit_ns: age beyond which a stamp is too old
    :param future_ns: how far a stamp may lie ahead of the clock
    """

    def __init__(self, limit_ns: int, future_ns: int) -> None:
        self._limit_ns = limit_ns
        self._future_ns = future_ns
        self._last_ns = 0
        self._now_ns = 0

    def check(self, stamp_ns: int, now_ns: int) -> None:
        """
        Accept a stamp, nanoseconds of the node's clock, which now shows `now_ns`.

        :raises InvalidReading: not set, not newer than the last one, too old, or in the future
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
