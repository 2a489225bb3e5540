# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Actions as the command messages that actuators take, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import TwistStamped
import numpy as np
from std_msgs.msg import Float64MultiArray

from spowl_ros.base.errors import SpowlError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rclpy.time import Time

    from spowl_ros.control.contract import ActionSpec

COMMAND_TYPES: dict[str, type] = {
    'Float64MultiArray': Float64MultiArray, 'TwistStamped': TwistStamped}
"""Message types of a command by name."""


class CommandFormat:
    """
    One kind of command message for one set of actuators.

    A Float64MultiArray holds one number per actuator, in the contract's order and unit, as
    ros2_control's forward command controllers take them. A TwistStamped holds two: forward
    speed and turn rate.

    :param type_name: one of COMMAND_TYPES
    :raises SpowlError: actuators that the message cannot hold
    """

    def __init__(self, type_name: str, spec: ActionSpec) -> None:
        if type_name == 'TwistStamped' and spec.size != 2:
            raise SpowlError(f'a TwistStamped holds two numbers, the robot has {spec.size} '
                             f'actuators ({", ".join(spec.names)}); use Float64MultiArray')
        self.message_type = COMMAND_TYPES[type_name]
        self._low = np.array(spec.low)
        self._high = np.array(spec.high)
        self.size = spec.size

    def message(self, action: Sequence[float], stamp: Time) -> Any:
        """Return the message of an action, shape (A,), each in [-1, 1]."""
        return self.from_command(
            self._low + (np.asarray(action) + 1.0) * 0.5 * (self._high - self._low), stamp)

    def from_command(self, command: NDArray[np.float64], stamp: Time) -> Any:
        """Return the message of a command, shape (A,), in the actuators' units."""
        if self.message_type is Float64MultiArray:
            return Float64MultiArray(data=command.tolist())
        message = TwistStamped()
        message.header.stamp = stamp.to_msg()
        message.twist.linear.x, message.twist.angular.z = command.tolist()
        return message

    def to_command(self, message: Any) -> NDArray[np.float64]:
        """
        Return the command, shape (A,), in the actuators' units.

        :raises SpowlError: another number of values than actuators
        """
        if self.message_type is TwistStamped:
            return np.array([message.twist.linear.x, message.twist.angular.z])
        if len(message.data) != self.size:
            raise SpowlError(f'a command with {len(message.data)} values; '
                             f'the robot has {self.size} actuators')
        return np.array(message.data)
