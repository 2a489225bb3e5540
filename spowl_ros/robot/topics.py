# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Converts between a robot's own messages and a contract: sensors in, commands out.

`topics` lists the topics to subscribe to; every message goes through `Edge.take`.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import JOINT_SENSORS, ActionSpec, Contract, ContractError, Field
from spowl_ros.control.validity import InvalidReading
from spowl_ros.robot import adaptation, config
from spowl_ros.robot.command import GROUND_AXES, TWISTS, CommandFormat
from spowl_ros.robot.config import Command, Input, RobotConfig
from spowl_ros.robot.fields import SENSORS, Content
from spowl_ros.robot.inputs import Part, check_path, read

FRAME = 'base_link'
"""Frame of the robot's body."""


@dataclass(frozen=True)
class Measurement:
    """The values of a valid message."""

    stamp_ns: int
    """When it was measured, nanoseconds."""
    values: dict[str, NDArray[np.float64]]
    """Field to its values, shape (size,), finite, in the contract's units and axes."""


@dataclass(frozen=True)
class Topic:
    """One topic of a robot, and the fields of the observation that it carries."""

    topic: str
    """Relative to the robot's namespace."""
    type: str
    """Message type, as bags name it."""
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(part.field.name for part in self.parts)

    def read(self, message: Any) -> Measurement:
        """
        Return a message's values; a message is valid as a whole or refused.

        It may hold only some of the joints: several senders may share a topic.

        :raises SpowlError: a value that is read has no clear meaning
        """
        stamp = message.header.stamp
        stamp_ns = int(stamp.sec) * 10**9 + int(stamp.nanosec)
        if not (stamp_ns > 0 and 0 <= stamp.nanosec < 10**9):
            raise SpowlError(f'a message stamped {stamp.sec} s and {stamp.nanosec} ns, which is '
                             'no time of a measurement')
        found = {part.field.name: part.read(message) for part in self.parts}
        values = {name: part for name, part in found.items() if part is not None}
        if not values:
            raise SpowlError(f'nothing of {", ".join(self.names)} is in the message, which is '
                             'about ' + (', '.join(getattr(message, 'name', None) or getattr(
                                 message, 'joint_names', None) or []) or 'no joint'))
        return Measurement(stamp_ns, values)

    def content(self, values: Mapping[str, ArrayLike], stamp_ns: int,
                frame: str = FRAME) -> Content:
        """
        Return the content of the message with these values, for a robot with the contract's units.

        :param values: by field name, shape (size,); extra fields are ignored
        :param frame: of the robot's body
        """
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        content: Content = {'header': {'frame_id': frame,
                                       'stamp': {'sec': seconds, 'nanosec': nanoseconds}}}
        for part in self.parts:
            SENSORS[part.field.sensor].write(
                content, part.field, np.asarray(values[part.field.name], np.float64).reshape(-1))
        return content


class FirstFrames:
    """Remembers the frame of each source: the first one holds, for the mounting is of that one."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def check(self, source: str, message: Any) -> None:
        """
        Check a message's frame, and its child's, which velocities are in.

        :param source: a name
        :raises InvalidReading: it is another than in the source's first message
        """
        frame = message.header.frame_id
        if child := getattr(message, 'child_frame_id', ''):
            frame = f'{frame} of {child}'
        first = self._first.setdefault(source, frame)
        if frame != first:
            raise InvalidReading(f"frame '{frame}', before it was '{first}'; restart this node if "
                                 'that is right')


class Edge:
    """
    Accepts or refuses each message as a whole, and says why.

    It remembers each field's frame and last stamp. It refuses a measurement older than the one
    before, and then continues from the older stamp: a clock set back costs one message.
    """

    def __init__(self) -> None:
        self._frames = FirstFrames()
        self._stamps: dict[str, int] = {}

    def take(self, topic: Topic, message: Any) -> Measurement:
        """
        Return a message's values.

        :raises SpowlError: see `Topic.read`; the frame has changed; the stamp goes back
        """
        taken = topic.read(message)
        older = ''
        for name in taken.values:
            self._frames.check(name, message)
        for name in taken.values:
            back = self._stamps.get(name, 0) - taken.stamp_ns
            if back > 0:
                older = older or f'{name} is stamped {back * 1e-9:.3f} s before the one before'
            self._stamps[name] = taken.stamp_ns
        if older:
            raise SpowlError(older)
        return taken


def load_robot(path: str, command_type: str = 'Float64MultiArray') -> RobotConfig:
    """
    Return a robot; without a path, one that has the contract's own topics and units.

    :param command_type: of the robot without a path
    :raises SpowlError: see `spowl_ros.robot.config.load`
    """
    if path:
        return config.load(path)
    axes = GROUND_AXES if command_type in TWISTS else ()
    return RobotConfig(command=Command(type=command_type, joints=axes))


def topics(contract: Contract, robot: RobotConfig | None = None) -> list[Topic]:
    """
    Return the topics to subscribe to, in the order of the contract's fields.

    :param contract: with the robot's topics: `RobotConfig.applied_to`
    :param robot: None: one that has the contract's own topics and units
    :raises ContractError: a sensor without a known message, two types on one topic, or several
        scans in one message
    :raises SpowlError: the message type is not installed or lacks a field
    """
    found: dict[str, tuple[str, list[Part]]] = {}
    for field in contract.fields:
        given = (robot or RobotConfig()).inputs.get(field.name, Input())
        kind, part = _part(field, given)
        known, parts = found.setdefault(field.topic, (kind, []))
        if known != kind or (parts and field.sensor == 'scan'):
            raise ContractError(
                f"topic '{field.topic}' cannot carry {field.name} beside "
                f'{", ".join(part.field.name for part in parts)}: it would be a {known} and a '
                f'{kind}; a topic has one type, and each scan a topic of its own')
        parts.append(part)
    return [Topic(topic, kind, tuple(parts)) for topic, (kind, parts) in found.items()]


def _part(field: Field, given: Input) -> tuple[str, Part]:
    """Return a field's message type, and how to read the field."""
    if given.type:
        check_path(field.name, given.type, given.field)
        return given.type, Part(field, given, lambda message, _: read(message, given.field))
    if field.sensor not in SENSORS:
        raise ContractError(f'field {field.name}: no message is known for a sensor '
                            f'{field.sensor!r}; known are {", ".join(SENSORS)}')
    if field.sensor in JOINT_SENSORS:
        field = dataclasses.replace(field, joint=given.joint or field.joint)
        if not field.joint:
            raise ContractError(f'field {field.name}: a {field.sensor} needs the name of its '
                                'joint; the contract has none')
    sensor = SENSORS[field.sensor]
    return sensor.type, Part(field, given, sensor.read)


class RobotCommand:
    """
    Converts a contract's commands to a robot's order, units, limits and message.

    Behind the adapter the thrust already is full at a twentieth of its range. `effective` spreads
    that part over the range, `content` undoes it: what limits, slows or ramps a command between
    the two does the same to the robot's speed.

    :param robot: checked against the contract
    """

    def __init__(self, robot: RobotConfig, action: ActionSpec) -> None:
        command, names = robot.command, action.names
        twist = command.type in TWISTS
        axes = command.joints if twist else GROUND_AXES
        self._format = CommandFormat(command.type, action, axes, command.frame)
        self.type = self._format.type
        self._limits = np.array([robot.limits.get(name, np.inf) for name in names])
        self._order = (list(range(len(names))) if twist
                       else [names.index(name) for name in command.joints or names])
        self._scale = np.array(command.scale or [1.0] * len(names))
        saturation = adaptation.SATURATION if robot.adapter else {}
        self._full = np.array([saturation.get(name, 1.0) for name in names])
        self._low, self._high = np.array(action.low), np.array(action.high)

    def effective(self, command: ArrayLike) -> NDArray[np.float64]:
        """
        Return what a controller's command has of each actuator's effect, as part of its range.

        :param command: shape (A,), as the result; what is beyond the range stays beyond it
        """
        command = np.asarray(command, np.float64)
        return np.clip(command / self._full, np.minimum(self._low, command),
                       np.maximum(self._high, command))

    def content(self, command: ArrayLike, stamp_ns: int) -> Content:
        """Return the message content for an effective command (A,) in the contract's order."""
        limited = np.clip(np.asarray(command, np.float64), -self._limits, self._limits)
        return self._format.content((limited * self._full)[self._order] * self._scale, stamp_ns)
