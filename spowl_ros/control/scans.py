# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a laser scan says: which messages can be understood, and how near objects are by sector.

The one definition for everybody who looks at scans: the edge of the robot, the adapter, the
supervisor, and the simulation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.control.contract import SCAN_RANGE
from spowl_ros.control.validity import InvalidReading, check_ranges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FARTHEST = 1000.0
"""Metres: a `range_max` beyond it is none of a laser on a robot, but perhaps in millimetres."""
_TURN = 2.0 * math.pi
_ANGLE_SLACK = 1.5
"""Beams by which `angle_max` may miss the last one: drivers count either way."""
_ROUNDING = 1e-3


def checked_ranges(message: Any) -> NDArray[np.float64]:
    """
    Return the ranges of a sensor_msgs/LaserScan, shape (n,), as `validity.check_ranges` does.

    :raises InvalidReading: anything in the message has no clear meaning
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
    """Return ranges in metres, shape (n,), +Inf where nothing is seen, of closeness."""
    values = np.asarray(closenesses, np.float64)
    return np.where(values > 0.0, (1.0 - values) * SCAN_RANGE, np.inf).astype(np.float32)


def sector_closeness(x: NDArray[np.float64], y: NDArray[np.float64], sectors: int,
                     max_range: float = SCAN_RANGE, first: NDArray[np.intp] | int = 0,
                     size: int | None = None) -> NDArray[np.float64]:
    """
    Return SafetyGymnasium's closeness of the nearest object per sector, shape (size,).

    Every operation is the plain package's pseudo lidar's, element by element, so that the results
    are equal to the last bit.

    :param x: ahead of the robot, shape (n,), metres; `y` to its left
    :param first: for each object, where its ring of sectors begins
    :param size: of all rings together; None: of one
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
