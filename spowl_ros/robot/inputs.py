# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Values out of messages, where a robot's description says that they lie."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Field
from spowl_ros.robot.config import UNITS, Input

_STEP = re.compile(r'(\w+)(?:\[(\d+)(?::(\d+))?\])?')
_COMPONENTS = ('x', 'y', 'z', 'w')


def read(message: Any, path: str) -> NDArray[np.float64]:
    """
    Return the numbers at a path of a message, shape (n,): one, an array's, or a vector's x, y, z.

    :param path: as 'twist.twist.linear', 'data[0:3]', 'range'
    :raises SpowlError: the message has nothing there, or no numbers
    """
    part = message
    for step in path.split('.'):
        match = _STEP.fullmatch(step)
        if match is None or not hasattr(part, match[1]):
            raise SpowlError(f"a {type(message).__name__} has no '{path}' (at {step!r})")
        part = getattr(part, match[1])
        if match[2] is not None:
            first, last = int(match[2]), int(match[3] or int(match[2]) + 1)
            if len(part) < last:
                raise SpowlError(f"'{path}': the array has {len(part)} entries")
            part = part[first:last]
    if hasattr(part, 'x'):
        part = [getattr(part, name) for name in _COMPONENTS if hasattr(part, name)]
    try:
        return np.asarray(part, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise SpowlError(f"'{path}' of a {type(message).__name__} holds no numbers") from None


def has(message: Any, path: str) -> bool:
    """
    Whether messages of a type may have something at a path.

    :param message: an empty one; its arrays are empty, so that nothing below one is looked at
    """
    part = message
    for step in path.split('.'):
        match = _STEP.fullmatch(step)
        if match is None or not hasattr(part, match[1]):
            return False
        if match[2] is not None:
            return True
        part = getattr(part, match[1])
    return True


def rotation_matrix(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from the sensor's axes to the robot's (fixed axes x, y, z)."""
    cr, sr, cp, sp, cy, sy = (function(angle) for angle in (roll, pitch, yaw)
                              for function in (np.cos, np.sin))
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr]])


class Conversion:
    """
    From a robot's values of one field to the contract's: unit and mounting.

    :param given: as checked by `RobotConfig.check`
    """

    def __init__(self, field: Field, given: Input) -> None:
        self.field = field
        self.given = given
        self._scale = UNITS[given.unit][1] if given.unit else 1.0
        self._rotation = rotation_matrix(*given.rotation) if any(given.rotation) else None

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Return values (n,) in the contract's unit and the robot's axes.

        :raises SpowlError: another number of values than the field has
        """
        if values.shape != (self.field.size,):
            raise SpowlError(f"field '{self.field.name}' got {values.size} values, "
                             f'the contract wants {self.field.size}')
        values = values * self._scale
        return values if self._rotation is None else self._rotation @ values

    def check_frame(self, frame: str) -> None:
        """
        Make sure that a message is in the frame wanted.

        :raises SpowlError: it is in another one
        """
        if self.given.frame and frame.lstrip('/') != self.given.frame.lstrip('/'):
            raise SpowlError(f"field '{self.field.name}' came in frame '{frame}', "
                             f"'{self.given.frame}' was wanted")
