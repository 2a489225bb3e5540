# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge between a robot's own messages and a contract: sensors in, commands out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

from geometry_msgs.msg import TwistStamped
import numpy as np
from std_msgs.msg import Float64MultiArray

from spowl_ros.bags.types import message_class
from spowl_ros.base.errors import SpowlError
from spowl_ros.robot import config, conversion
from spowl_ros.robot.config import Command, Input, RobotConfig
from spowl_ros.robot.inputs import Conversion, has, read

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rclpy.time import Time

    from spowl_ros.control.contract import Contract

_JOINT_PREFIX = {'joint_position': 'jointpos_', 'joint_velocity': 'jointvel_'}


class Source(Protocol):
    """A topic and the fields that its messages carry."""

    @property
    def topic(self) -> str:
        """Return the name, relative to the robot's namespace."""

    @property
    def message_type(self) -> type:
        """Return the class of the messages."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the fields."""

    def fields(self, message: Any) -> Iterable[tuple[str, NDArray[np.float64]]]:
        """Return names and values; raises SpowlError for a message that does not fit."""

    def stamp_ns(self, message: Any) -> int:
        """Return when it was measured, nanoseconds."""


class ConvertedSource:
    """
    A topic of a robot whose values are put into the contract's units and axes.

    :param source: reads the messages
    :param conversions: what the source calls a field to its conversion
    """

    def __init__(self, source: Source, conversions: dict[str, Conversion]) -> None:
        self._source = source
        self._conversions = conversions
        self.topic, self.message_type = source.topic, source.message_type
        self.names = tuple(conversions[name].field.name for name in source.names)
        self.stamp_ns = source.stamp_ns

    def fields(self, message: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """
        Yield names and values.

        :raises SpowlError: a message that does not fit, or in another frame
        """
        frame = message.header.frame_id if hasattr(message, 'header') else ''
        for convert in self._conversions.values():
            convert.check_frame(frame)
        for name, values in self._source.fields(message):
            convert = self._conversions[name]
            yield convert.field.name, convert(values)


class PathSource:
    """
    A topic of any type, read by paths into its messages.

    :param paths: field to path
    :raises SpowlError: the message type is not installed, has no stamp, or nothing at a path
    """

    def __init__(self, topic: str, type_name: str, paths: dict[str, str]) -> None:
        self.topic = topic
        self.names = tuple(paths)
        self.message_type = message_class(type_name)
        self._paths = paths
        if 'header' not in self.message_type.get_fields_and_field_types():
            raise SpowlError(f'{type_name} has no header and so no stamp; its age cannot be '
                             'watched; publish a stamped message')
        empty = self.message_type()
        for name, path in paths.items():
            if not has(empty, path):
                raise SpowlError(f"field '{name}': {type_name} has no '{path}'; "
                                 f'ros2 interface show {type_name} lists what it has')

    def fields(self, message: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield names and values; see `spowl_ros.robot.inputs.read`."""
        for name, path in self._paths.items():
            yield name, read(message, path)

    def stamp_ns(self, message: Any) -> int:
        """Return when it was measured, nanoseconds."""
        return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def load_robot(path: str, command_type: str = 'Float64MultiArray') -> RobotConfig:
    """
    Return a robot, or without a path one that has the contract's own topics and units.

    :param command_type: of the robot without a path
    :raises SpowlError: see `spowl_ros.robot.config.load`
    """
    if path:
        return config.load(path)
    axes = ('linear.x', 'angular.z') if command_type == 'TwistStamped' else ()
    return RobotConfig(command=Command(type=command_type, joints=axes))


def sources(contract: Contract, robot: RobotConfig) -> list[Source]:
    """
    Return what to subscribe to.

    :param contract: with the robot's topics: `RobotConfig.applied_to`
    :raises SpowlError: a message type is not installed or lacks a field, or two types on one
        topic
    """
    usual, conversions = [], {}
    paths: dict[tuple[str, str], dict[str, str]] = {}
    for field in contract.fields:
        given = robot.inputs.get(field.name, Input())
        known_as = field.name
        if given.type:
            paths.setdefault((field.topic, given.type), {})[field.name] = given.field
        else:
            if given.joint:  # conversion takes the joint's name from the field's
                known_as = f'{_JOINT_PREFIX[field.sensor]}{given.joint}'
            usual.append(dataclasses.replace(field, name=known_as))
        conversions[known_as] = Conversion(field, given)
    found: list[Source] = [
        *conversion.inputs(dataclasses.replace(contract, fields=tuple(usual))),
        *(PathSource(topic, kind, names) for (topic, kind), names in paths.items())]
    types: dict[str, type] = {}
    for source in found:
        if types.setdefault(source.topic, source.message_type) is not source.message_type:
            raise SpowlError(f"topic '{source.topic}' is to be both a "
                             f'{types[source.topic].__name__} and a '
                             f'{source.message_type.__name__}; a topic has one type')
    return [ConvertedSource(source, {name: conversions[name] for name in source.names})
            for source in found]


class RobotCommand:
    """
    Commands of a contract as a robot's actuators take them: order, unit, limits, message.

    :param robot: as checked against the contract
    """

    def __init__(self, robot: RobotConfig, contract: Contract) -> None:
        command, names = robot.command, contract.action.names
        self.message_type = {'Float64MultiArray': Float64MultiArray,
                             'TwistStamped': TwistStamped}[command.type]
        self._axes = [axis.split('.') for axis in command.joints]
        self._frame = command.frame
        self._limits = np.array([robot.limits.get(name, np.inf) for name in names])
        self._order = [names.index(name) for name in command.joints or names] \
            if self.message_type is Float64MultiArray else list(range(len(names)))
        self._scale = np.array(command.scale or [1.0] * len(names))

    def message(self, command: Sequence[float] | NDArray[np.float64], stamp: Time) -> Any:
        """Return the message of a command, shape (A,), in the contract's order and units."""
        limited = np.clip(command, -self._limits, self._limits)
        values = (limited[self._order] * self._scale).tolist()
        if self.message_type is Float64MultiArray:
            return Float64MultiArray(data=values)
        message = TwistStamped()
        message.header.stamp = stamp.to_msg()
        message.header.frame_id = self._frame
        for (part, axis), value in zip(self._axes, values, strict=True):
            setattr(getattr(message.twist, part), axis, value)
        return message
