# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Converts commands to the actuators' messages and back; the only place with their types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import ActionSpec
from spowl_ros.robot.fields import Content

COMMAND_TYPES = {
    'Float64MultiArray': 'std_msgs/msg/Float64MultiArray',
    'TwistStamped': 'geometry_msgs/msg/TwistStamped',
    'Twist': 'geometry_msgs/msg/Twist',
}
"""Name of a command type in settings to its message type."""
TWISTS = ('TwistStamped', 'Twist')
"""The types that hold a velocity for each of some TWIST_AXES."""
TWIST_AXES = ('linear.x', 'linear.y', 'linear.z', 'angular.x', 'angular.y', 'angular.z')
GROUND_AXES = ('linear.x', 'angular.z')
"""Axes of a driving robot: forward speed and turn rate."""


class CommandFormat:
    """
    One kind of command message for one set of actuators.

    A Float64MultiArray holds one number per actuator, in the contract's order and unit, as
    ros2_control's forward command controllers accept it. A Twist, stamped or not, holds one
    number for each of the axes.

    :param type_name: one of COMMAND_TYPES
    :param axes: of a Twist, one for each actuator
    :param frame: frame_id of a stamped Twist
    :raises SpowlError: the message cannot hold these actuators
    """

    def __init__(self, type_name: str, spec: ActionSpec, axes: Sequence[str] = GROUND_AXES,
                 frame: str = '') -> None:
        if type_name in TWISTS and spec.size != len(axes):
            raise SpowlError(f'a {type_name} holds {len(axes)} numbers here, the robot has '
                             f'{spec.size} actuators ({", ".join(spec.names)}); use '
                             'Float64MultiArray')
        self.type = COMMAND_TYPES[type_name]
        self.size = spec.size
        self._twist = type_name in TWISTS
        self._stamped = type_name == 'TwistStamped'
        self._axes = [axis.split('.') for axis in axes]
        self._frame = frame

    def content(self, command: ArrayLike, stamp_ns: int) -> Content:
        """
        Return the content of the message for a command.

        :param command: shape (A,), in the actuators' units, in the order of the message
        :param stamp_ns: time of the decision, nanoseconds
        """
        values = np.asarray(command, np.float64).tolist()
        if not self._twist:
            return {'data': values}
        twist: Content = {'linear': {}, 'angular': {}}
        for (part, axis), value in zip(self._axes, values, strict=True):
            twist[part][axis] = value
        if not self._stamped:
            return twist
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        return {'twist': twist, 'header': {
            'stamp': {'sec': seconds, 'nanosec': nanoseconds}, 'frame_id': self._frame}}

    def to_command(self, message: Any) -> NDArray[np.float64]:
        """
        Return the command, shape (A,), in the actuators' units, finite.

        :raises SpowlError: the number of values is wrong, or a value is not finite
        """
        if self._twist:
            twist = message.twist if self._stamped else message
            command = np.array([getattr(getattr(twist, part), axis) for part, axis in self._axes])
        else:
            command = np.asarray(message.data, np.float64)
        if len(command) != self.size:
            raise SpowlError(f'a command with {len(command)} values; '
                             f'the robot has {self.size} actuators')
        if not np.isfinite(command).all():
            raise SpowlError(f'a command with {command.tolist()}; numbers are needed')
        return command
