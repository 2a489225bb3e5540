# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
One robot's description: where each field of a contract comes from and where commands go.

It is read once, from YAML, and checked against a bundle's contract before the robot moves.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass, field
import math
import os
from pathlib import Path
import re

from spowl_ros.base import names, yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import meant, read
from spowl_ros.control.contract import JOINT_SENSORS, LONGEST_STOP_RAMP, Contract, Field
from spowl_ros.robot.command import COMMAND_TYPES, TWIST_AXES, TWISTS

ROBOT_NODES = ('adapter', 'controller', 'recorder', 'supervisor')
"""Nodes that a robot's file can give parameters and remappings."""
UNITS = {
    '1': ('1', 1.0),
    'm': ('m', 1.0), 'cm': ('m', 1e-2), 'mm': ('m', 1e-3),
    'rad': ('rad', 1.0), 'deg': ('rad', math.pi / 180.0),
    'm/s': ('m/s', 1.0), 'mm/s': ('m/s', 1e-3), 'km/h': ('m/s', 1.0 / 3.6),
    'rad/s': ('rad/s', 1.0), 'deg/s': ('rad/s', math.pi / 180.0),
    'rpm': ('rad/s', math.pi / 30.0),
    'm/s^2': ('m/s^2', 1.0), 'g': ('m/s^2', 9.80665),
    'T': ('T', 1.0), 'uT': ('T', 1e-6), 'gauss': ('T', 1e-4),
    'N': ('N', 1.0),
}
"""A robot's unit to the contract's unit and the factor into it."""

_GREATEST_SCALE = 1e9
_TYPE = re.compile(r'[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*')
_VECTORS = ('linear_acceleration', 'angular_velocity', 'linear_velocity', 'magnetic_field')


@dataclass(frozen=True)
class Input:
    """Where one field comes from; keys left out take the contract's values."""

    topic: str = ''
    type: str = ''
    """Message type, as 'nav_msgs/msg/Odometry'; needs `field`."""
    field: str = ''
    """Path of the values in the message, as 'twist.twist.linear' or 'data[0:3]'."""
    joint: str = ''
    """Joint fields: the joint's name in the robot's JointState."""
    frame: str = ''
    """The frame_id that messages must carry; empty takes any."""
    unit: str = ''
    """Unit of the robot's values, one of UNITS; they are converted to the contract's."""
    rotation: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Vectors: roll, pitch, yaw in radians of the sensor in the robot's frame (REP-103)."""
    timeout: float = 0.0
    """Age in seconds after which the field is stale; 0 takes the contract's."""


@dataclass(frozen=True)
class Command:
    """Where commands go."""

    topic: str = 'command'
    type: str = 'Float64MultiArray'
    """One of COMMAND_TYPES."""
    joints: tuple[str, ...] = ()
    """
    The contract's actuators in the order of the array; empty: the contract's own order. For a
    Twist, stamped or not, the axis of each actuator in the contract's order, as
    [linear.x, angular.z].
    """
    scale: tuple[float, ...] = ()
    """Per entry of `joints`: the robot's unit for one unit of the contract; empty: ones."""
    frame: str = ''
    """frame_id of a TwistStamped."""
    stop_ramp: float | None = None
    """Seconds in which a stop ramps to the stop command; None takes the contract's."""


@dataclass(frozen=True)
class RobotConfig:
    """A robot, as its YAML file describes it."""

    inputs: dict[str, Input] = field(default_factory=dict)
    """Field of the contract to where it comes from."""
    command: Command = field(default_factory=Command)
    limits: dict[str, float] = field(default_factory=dict)
    """Actuator of the contract to its greatest magnitude, in the contract's unit."""
    parameters: dict[str, dict[str, bool | int | float | str]] = field(default_factory=dict)
    """Node, one of ROBOT_NODES, to its parameters."""
    remappings: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """Node to pairs of the node's and the robot's topic name, as [[scan, front_laser/scan]]."""
    adapter: bool = False
    """Start the adapter, which makes the inputs from a laser, odometry and a goal pose."""

    def check(self, contract: Contract) -> None:
        """
        Check that the robot fits the contract.

        :raises SpowlError: names every misfit
        """
        fields = {entry.name: entry for entry in contract.fields}
        actuators = contract.action.names
        found = [
            f'inputs.{name}: {contract.task} has no such field; {meant(name, fields)}'
            for name in self.inputs if name not in fields]
        found += [f'inputs.{name}.{text}' for name in fields
                  for text in _input_misfits(self.inputs.get(name, Input()), fields[name])]
        found += [f'command.{text}' for text in _command_misfits(self.command, contract)]
        found += [f'{section}.{name}: there is no such node; {meant(name, ROBOT_NODES)}'
                  for section in ('parameters', 'remappings')
                  for name in getattr(self, section) if name not in ROBOT_NODES]
        found += [f'remappings.{name}: {list(pair)} is not a pair of topics'
                  for name, pairs in self.remappings.items() for pair in pairs if len(pair) != 2]
        found += _topic_misfits(self)
        found += _adapter_misfits(self, contract) if self.adapter else ()
        found += [f'limits.{name}: there is no such actuator; {meant(name, actuators)}'
                  for name in self.limits if name not in actuators]
        found += [f'limits.{name}: {value} is not a positive number'
                  for name, value in self.limits.items() if not 0.0 < value < math.inf]
        if found:
            raise SpowlError(f'the robot does not fit {contract.task}: ' + '; '.join(found))

    def applied_to(self, contract: Contract) -> Contract:
        """
        Return the contract with the robot's topics and time-outs.

        :raises SpowlError: as `check`
        """
        self.check(contract)
        fields = []
        for entry in contract.fields:
            given = self.inputs.get(entry.name, Input())
            fields.append(dataclasses.replace(
                entry, topic=given.topic or entry.topic, timeout=given.timeout or entry.timeout))
        action = contract.action if self.command.stop_ramp is None else dataclasses.replace(
            contract.action, stop_ramp=self.command.stop_ramp)
        return dataclasses.replace(contract, fields=tuple(fields), action=action)


def load(path: str | Path) -> RobotConfig:
    """
    Read a robot's YAML file.

    :raises SpowlError: unreadable, unknown key (naming the nearest), wrong type
    """
    path = Path(os.path.expanduser(path))
    data = yaml.read(path, 'the robot')
    if not isinstance(data, dict):
        raise SpowlError(f'the robot {path} holds no mapping of keys; config/robot/ has examples')
    try:
        return read(RobotConfig, data)
    except SpowlError as error:
        raise SpowlError(f'the robot {path}: {error}') from error


def _topic_misfits(robot: RobotConfig) -> list[str]:
    """Return the names that are not valid topic names."""
    given = [(f'inputs.{name}.topic', entry.topic)
             for name, entry in robot.inputs.items() if entry.topic]
    given.append(('command.topic', robot.command.topic))
    given += [(f'remappings.{node}', topic)
              for node, pairs in robot.remappings.items() for pair in pairs for topic in pair]
    return [f'{key}: {topic!r} is no topic; wanted: {names.RULE}'
            for key, topic in given if not names.is_topic(topic)]


def _adapter_misfits(robot: RobotConfig, contract: Contract) -> Iterator[str]:
    """Yield what the adapter sends or hears otherwise than the other nodes take it."""
    command = robot.command
    if command.type == 'Float64MultiArray' and (
            command.joints not in ((), contract.action.names) or {*command.scale} - {1.0}):
        yield ('command.joints, command.scale: the adapter takes '
               f'{", ".join(contract.action.names)} in this order and as they are; leave both out')

    def named(node: str, topic: str) -> str:
        return {pair[0]: pair[-1] for pair in robot.remappings.get(node, ()) if pair}.get(
            topic, topic).lstrip('/')

    made = {named('adapter', entry.topic): entry.topic for entry in contract.fields}
    for entry in contract.fields:
        given = robot.inputs.get(entry.name, Input())
        heard = {named(node, given.topic or entry.topic) for node in ('supervisor', 'controller')}
        yield from (f'inputs.{entry.name}.topic: what the adapter sends on {topic} is not '
                    f'{entry.name}' for topic in sorted(heard) if not given.type
                    and made.get(topic, entry.topic) != entry.topic)


def _input_misfits(entry: Input, field: Field) -> Iterator[str]:
    """Yield what is wrong with one input, each text beginning with its key."""
    if bool(entry.type) != bool(entry.field):
        yield 'type and field: give both or none'
    if entry.type and not _TYPE.fullmatch(entry.type):
        yield f"type: {entry.type!r} is not of the form 'nav_msgs/msg/Odometry'"
    if field.sensor == 'scan' and (entry.type or entry.unit):
        yield ('type, unit: a scan is a sensor_msgs/msg/LaserScan in metres; use the '
               'adapter for other sensors')
    if entry.joint and field.sensor not in JOINT_SENSORS:
        yield f'joint: {field.name} is no joint but a {field.sensor}'
    if entry.joint and entry.type:
        yield 'joint: not together with type and field'
    if any(entry.rotation) and field.sensor not in _VECTORS:
        yield f'rotation: {field.name} is no vector but a {field.sensor}'
    if len(entry.rotation) != 3 or not all(map(math.isfinite, entry.rotation)):
        yield f'rotation: {list(entry.rotation)} is not roll, pitch, yaw'
    if not 0.0 <= entry.timeout < math.inf:
        yield f'timeout: {entry.timeout} s is not a time'
    if entry.unit and entry.unit not in UNITS:
        yield f'unit: there is no unit {entry.unit!r}; {meant(entry.unit, UNITS)}'
    elif entry.unit and field.sensor != 'scan' and UNITS[entry.unit][0] != field.unit:
        yield f'unit: {entry.unit} does not measure what {field.unit} does'


def _command_misfits(command: Command, contract: Contract) -> Iterator[str]:
    """Yield what is wrong with the command, each text beginning with its key."""
    actuators = contract.action.names
    if command.type not in COMMAND_TYPES:
        yield f'type: {command.type!r} is not one of {", ".join(COMMAND_TYPES)}'
    elif command.type in TWISTS:
        if not command.joints:
            yield (f'joints: a {command.type} needs the axis of each of '
                   f'{", ".join(actuators)}, as [linear.x, angular.z]')
        yield from (f'joints: {axis!r} is not one of {", ".join(TWIST_AXES)}'
                    for axis in command.joints if axis not in TWIST_AXES)
        if command.joints and len(command.joints) != len(actuators):
            yield (f'joints: {len(command.joints)} axes for the {len(actuators)} '
                   f'actuators {", ".join(actuators)}')
    elif command.joints and sorted(command.joints) != sorted(actuators):
        yield (f'joints: {", ".join(command.joints)} are not '
               f'{contract.robot}\'s actuators {", ".join(actuators)}')
    if command.stop_ramp is not None and not 0.0 <= command.stop_ramp <= LONGEST_STOP_RAMP:
        yield f'stop_ramp: {command.stop_ramp} s is not from 0 to {LONGEST_STOP_RAMP:g} s'
    if len(set(command.joints)) != len(command.joints):
        yield 'joints: an entry stands twice'
    if command.scale and len(command.scale) != len(actuators):
        yield f'scale: {len(command.scale)} numbers for {len(actuators)} actuators'
    if not all(0.0 < abs(scale) <= _GREATEST_SCALE for scale in command.scale):
        yield (f'scale: {list(command.scale)} holds zero, or no number up to '
               f'{_GREATEST_SCALE:g}')
