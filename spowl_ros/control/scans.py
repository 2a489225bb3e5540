# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reads laser scans: which messages are valid, and how near objects are by sector.

Robot inputs, adapter, supervisor and simulation all use these definitions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.control.contract import SCAN_RANGE
from spowl_ros.control.validity import InvalidReading

FARTHEST = 1000.0
"""Greatest plausible `range_max` of a robot's laser, metres; beyond it, it may be millimetres."""
BEYOND_RANGE = 0.01
"""Fraction by which a beam may exceed the greatest range, for rounding."""
_TURN = 2.0 * math.pi
_ANGLE_SLACK = 1.5
"""Beams by which `angle_max` may differ from the last beam's angle: drivers count both ways."""
_ROUNDING = 1e-3


def checked_ranges(message: Any) -> NDArray[np.float64]:
    """
    Return the ranges of a whole sensor_msgs/LaserScan, shape (n,), metres: finite, +Inf or -Inf.

    REP-117: +Inf means nothing up to the greatest range; -Inf, or less than the least range,
    means too near to be measured; not-a-number means a failure of the sensor.

    :raises InvalidReading: no beams; a beam that is not a number, negative or beyond the greatest
        range; invalid angles or limits; a greatest range below SCAN_RANGE
    """
    values = np.array(message.ranges, np.float64).reshape(-1)
    first, step, last = (float(message.angle_min), float(message.angle_increment),
                         float(message.angle_max))
    least, greatest = float(message.range_min), float(message.range_max)
    if not values.size:
        raise InvalidReading('a scan without beams')
    if not (math.isfinite(first) and math.isfinite(step) and step != 0):
        raise InvalidReading(f'a scan from {first:g} by {step:g} rad; its beams have no direction')
    if not 0.0 <= least < greatest < math.inf:
        raise InvalidReading(f'a scan with ranges from {least:g} to {greatest:g} m; what they '
                             'cannot see is unknown')
    if not greatest >= SCAN_RANGE * (1.0 - BEYOND_RANGE):
        raise InvalidReading(f'a scan that sees {greatest:g} m; {SCAN_RANGE:g} m are needed')
    if bad := int(np.isnan(values).sum()):
        raise InvalidReading(f'a scan with {bad} of {values.size} beams that are not a number')
    finite = np.isfinite(values)
    wrong = finite & ~((values >= 0.0) & (values <= greatest * (1.0 + BEYOND_RANGE)))
    if wrong.any():
        raise InvalidReading(f'a scan with a beam of {values[wrong][0]:g} m, which a sensor of '
                             f'{least:g} to {greatest:g} m cannot measure')
    if not greatest <= FARTHEST:
        raise InvalidReading(f'a scan that sees {greatest:g} m; a laser on a robot does not see '
                             f'{FARTHEST:g} m. Is it in millimetres?')
    if not (abs(first) <= _TURN and abs(step) * values.size <= _TURN + abs(step) + _ROUNDING
            and abs(first + step * (values.size - 1) - last) <= _ANGLE_SLACK * abs(step)
            + _ROUNDING):
        raise InvalidReading(f'a scan of {values.size} beams from {first:g} by {step:g} to '
                             f'{last:g} rad; these angles do not fit one another or one turn')
    values[finite & (values < least)] = -np.inf
    return values


def closeness(ranges: ArrayLike) -> NDArray[np.float64]:
    """
    Return closeness, shape (n,): 1 at the robot's centre, 0 at SCAN_RANGE and beyond.

    :param ranges: shape (n,), metres, as `checked_ranges` returns them
    """
    distances = np.asarray(ranges, np.float64)
    result = 1.0 - distances / SCAN_RANGE
    result[distances >= SCAN_RANGE] = 0.0
    result[distances == -np.inf] = 1.0
    return result


def ranges(closenesses: ArrayLike) -> NDArray[np.float32]:
    """Return the ranges of closeness values, shape (n,), metres; +Inf where nothing is seen."""
    values = np.asarray(closenesses, np.float64)
    return np.where(values > 0.0, (1.0 - values) * SCAN_RANGE, np.inf).astype(np.float32)


def sector_closeness(x: NDArray[np.float64], y: NDArray[np.float64], sectors: int,
                     max_range: float = SCAN_RANGE, first: NDArray[np.intp] | int = 0,
                     size: int | None = None) -> NDArray[np.float64]:
    """
    Return SafetyGymnasium's closeness of the nearest object per sector, shape (size,).

    The operations are those of SafetyGymnasium's pseudo lidar, element by element: the results
    are equal to the last bit.

    :param x: ahead of the robot, shape (n,), metres; `y` to its left
    :param first: for each object, index at which its ring of sectors begins
    :param size: number of sectors of all rings together; None: of one ring
    """
    z = x + 1j * y
    near = np.maximum(0.0, max_range - np.abs(z)) / max_range
    angle = np.angle(z) % _TURN
    width = _TURN / sectors
    sector = (angle / width).astype(np.intp)
    alias = (angle - width * sector) / width
    result = np.zeros(sectors if size is None else size)
    np.maximum.at(result, np.concatenate((
        first + sector % sectors, first + (sector + 1) % sectors, first + (sector - 1) % sectors,
    )), np.concatenate((near, alias * near, (1 - alias) * near)))
    return result
