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
from spowl_ros.control.validity import InvalidReading, check_ranges

FARTHEST = 1000.0
"""Greatest plausible `range_max` of a robot's laser, metres; beyond it, it may be millimetres."""
_TURN = 2.0 * math.pi
_ANGLE_SLACK = 1.5
"""Beams by which `angle_max` may differ from the last beam's angle: drivers count both ways."""
_ROUNDING = 1e-3


def checked_ranges(message: Any) -> NDArray[np.float64]:
    """
    Return the ranges of a sensor_msgs/LaserScan, shape (n,), as `validity.check_ranges` does.

    :raises InvalidReading: a part of the message has no clear meaning
    """
    first, step, last = (float(message.angle_min), float(message.angle_increment),
                         float(message.angle_max))
    ranges = check_ranges(message.ranges, first, step, float(message.range_min),
                          float(message.range_max), SCAN_RANGE)
    if not message.range_max <= FARTHEST:
        raise InvalidReading(f'a scan that sees {message.range_max:g} m; a laser on a robot does '
                             f'not see {FARTHEST:g} m. Is it in millimetres?')
    if not (abs(first) <= _TURN and abs(step) * ranges.size <= _TURN + abs(step) + _ROUNDING
            and abs(first + step * (ranges.size - 1) - last) <= _ANGLE_SLACK * abs(step)
            + _ROUNDING):
        raise InvalidReading(f'a scan of {ranges.size} beams from {first:g} by {step:g} to '
                             f'{last:g} rad; these angles do not fit one another or one turn')
    return ranges


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
