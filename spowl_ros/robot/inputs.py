# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads values from messages at the paths in a robot's description."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.bags.types import installed_types, message_definition
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Field
from spowl_ros.robot.config import UNITS, Input
from spowl_ros.robot.fields import Reader, check_measured

_STEP = re.compile(r'(\w+)(?:\[(\d+)(?::(\d+))?\])?')
_COMPONENTS = ('x', 'y', 'z', 'w')
_LARGEST = float(np.finfo(np.float32).max)


def read(message: Any, path: str) -> NDArray[np.float64]:
    """
    Return the numbers at a path of a message, shape (n,): a number, an array or a vector x, y, z.

    :param path: as 'twist.twist.linear', 'data[0:3]', 'range'
    :raises SpowlError: the message has nothing there, or no numbers, or says that they are not
        measured
    """
    part = message
    for step in path.split('.'):
        match = _STEP.fullmatch(step)
        if match is None or not hasattr(part, match[1]):
            raise SpowlError(f"a {type(message).__name__} has no '{path}' (at {step!r})")
        check_measured(part, match[1])
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


def check_path(name: str, type_name: str, path: str) -> None:
    """
    Check that messages of a type have a stamp and may have numbers at a path.

    :param name: of the field to read there
    :raises SpowlError: the type is not installed, has no stamp, or has nothing at the path
    """
    message_definition(type_name)
    store = installed_types()
    members: dict[str, Any] = dict(store.fielddefs[type_name][1])
    if 'header' not in members:
        raise SpowlError(f'{type_name} has no header and so no stamp; its age cannot be '
                         'watched; publish a stamped message')
    for step in path.split('.'):
        match = _STEP.fullmatch(step)
        if match is None or match[1] not in members:
            raise SpowlError(f"field '{name}': {type_name} has no '{path}'; "
                             f'ros2 interface show {type_name} lists what it has')
        kind, value = members[match[1]]
        if match[2] is not None:
            if kind.name not in ('ARRAY', 'SEQUENCE'):
                raise SpowlError(f"field '{name}': {match[1]} in '{path}' of {type_name} is no "
                                 'array; leave the brackets out')
            kind, value = value[0]  # the array's elements
        members = dict(store.fielddefs[value][1]) if kind.name == 'NAME' else {}


def rotation_matrix(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from the sensor's axes to the robot's (fixed axes x, y, z)."""
    cr, sr, cp, sp, cy, sy = (function(angle) for angle in (roll, pitch, yaw)
                              for function in (np.cos, np.sin))
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr]])


class Part:
    """
    Reads one field from messages, in the contract's unit and the robot's axes.

    :param given: as checked by `RobotConfig.check`
    :param reader: returns what a message holds of the field, or None if it is about other joints
    """

    def __init__(self, field: Field, given: Input, reader: Reader) -> None:
        self.field = field
        self.given = given
        self._reader = reader
        self._scale = UNITS[given.unit][1] if given.unit else 1.0
        self._rotation = rotation_matrix(*given.rotation) if any(given.rotation) else None

    def read(self, message: Any) -> NDArray[np.float64] | None:
        """
        Return the field's values, shape (size,), finite; None if the message is about others.

        :raises SpowlError: a wrong frame or number of values, a value that is not finite, or what
            has no clear meaning
        """
        field, wanted, frame = self.field, self.given.frame, message.header.frame_id
        if wanted and frame.lstrip('/') != wanted.lstrip('/'):
            raise SpowlError(f"field '{field.name}' came in frame '{frame}', "
                             f"'{wanted}' was wanted")
        values = self._reader(message, field)
        if values is None:
            return None
        if values.shape != (field.size,):
            raise SpowlError(f"field '{field.name}' got {values.size} values, "
                             f'the contract wants {field.size}')
        values = values * self._scale
        values = values if self._rotation is None else self._rotation @ values
        if not (np.abs(values) <= _LARGEST).all():
            raise SpowlError(f"field '{field.name}' holds values that are not finite: "
                             f'{", ".join(f"{value:g}" for value in values[:9])}')
        return values
