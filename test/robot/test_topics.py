# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot's own messages become a contract's fields, and commands its own messages."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from builtin_interfaces.msg import Time as Stamp
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from sensor_msgs.msg import Imu, JointState

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.control.contract import ActionSpec, Contract
from spowl_ros.control.scans import sector_closeness
from spowl_ros.robot import adaptation, config
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.robot.topics import RobotCommand, topics
from spowl_ros.ros.messages import build
from spowl_ros.sim.environment import contract
from spowl_ros.supervisor.rules import Supervision
from spowl_ros.supervisor.settings import SupervisionSettings

STAMP = Stamp(sec=3, nanosec=5)


@pytest.fixture(scope='module')
def point() -> Contract:
    """Return the contract of PointGoal1."""
    return contract('SafetyPointGoal1-v0', 5)


def robot(data: dict[str, Any], of: Contract) -> tuple[config.RobotConfig, Contract]:
    """Return a robot and the contract with its topics."""
    described = read(config.RobotConfig, data)
    return described, described.applied_to(of)


def test_without_inputs_it_is_the_contract(point: Contract) -> None:
    """A robot that says nothing is read as the simulated one, value for value."""
    described, applied = robot({}, point)
    values = {field.name: np.linspace(0.1, 0.9, field.size) for field in point.fields}
    read = {}
    for source, usual in zip(topics(applied, described), topics(point), strict=True):
        assert (source.topic, source.type, source.names) == (usual.topic, usual.type, usual.names)
        taken = source.read(build(usual.type, usual.content(values, 3_000_000_005)))
        assert taken.stamp_ns == 3_000_000_005
        read |= taken.values
    for name, expected in values.items():
        np.testing.assert_allclose(read[name], expected, atol=1e-6)


def test_odometry_in_place_of_a_velocity(point: Contract) -> None:
    """A field comes out of another message by its path, in the contract's unit and axes."""
    described, applied = robot({'inputs': {'velocimeter': {
        'topic': 'odom', 'type': 'nav_msgs/msg/Odometry', 'field': 'twist.twist.linear',
        'unit': 'km/h', 'rotation': [0.0, 0.0, math.pi]}}}, point)
    source = next(s for s in topics(applied, described) if s.topic == 'odom')
    message = Odometry()
    message.header.stamp = STAMP
    message.twist.twist.linear.x = 3.6
    taken = source.read(message)
    (name, values), = taken.values.items()
    assert name == 'velocimeter' and taken.stamp_ns == 3_000_000_005
    np.testing.assert_allclose(values, [-1.0, 0.0, 0.0], atol=1e-12)


def test_wrong_frame_is_refused(point: Contract) -> None:
    """A message in another frame than the robot's file names is not read."""
    described, applied = robot({'inputs': {'gyro': {'frame': 'imu_link'}}}, point)
    source = next(s for s in topics(applied, described) if 'gyro' in s.names)
    message = Imu()
    message.header.stamp = STAMP
    message.header.frame_id = 'laser'
    with pytest.raises(SpowlError, match='imu_link'):
        source.read(message)


def test_joints_by_the_robots_names() -> None:
    """Joint fields are found under the robot's names, in whatever order it sends them."""
    doggo = contract('SafetyDoggoGoal1-v0', 5)
    position = next(f for f in doggo.fields if f.sensor == 'joint_position')
    velocity = next(f for f in doggo.fields if f.sensor == 'joint_velocity')
    described, applied = robot({'inputs': {
        position.name: {'topic': 'legs', 'joint': 'front_hip'},
        velocity.name: {'topic': 'legs', 'joint': 'front_hip'}}}, doggo)
    source = next(s for s in topics(applied, described) if s.topic == 'legs')
    message = JointState(name=['other', 'front_hip'], position=[0.0, math.pi / 2],
                         velocity=[0.0, 7.0])
    message.header.stamp = STAMP
    read = source.read(message).values
    np.testing.assert_allclose(read[position.name], [1.0, 0.0], atol=1e-12)
    assert read[velocity.name].tolist() == [7.0]


@pytest.mark.parametrize(('data', 'words'), [
    ({'topic': 'odom', 'type': 'no_msgs/msg/Thing', 'field': 'x'}, 'no definition of'),
    ({'topic': 'odom', 'type': 'nav_msgs/msg/Odometry', 'field': 'twist.linear'},
     "Odometry has no 'twist.linear'"),
    ({'topic': 'v', 'type': 'geometry_msgs/msg/Twist', 'field': 'linear'}, 'no header'),
    ({'topic': 'imu', 'type': 'nav_msgs/msg/Odometry', 'field': 'twist.twist.linear'},
     'a topic has one type'),
])
def test_unusable_types_are_refused(point: Contract, data: dict[str, str], words: str) -> None:
    """A type that is missing, has no stamp, or clashes with another field's is named."""
    described, applied = robot({'inputs': {'velocimeter': data}}, point)
    with pytest.raises(SpowlError, match=words):
        topics(applied, described)


def two_actuators(of: Contract) -> Contract:
    """Return the contract with actuators that can be told apart."""
    action = ActionSpec(('x', 'z'), (-2.0, -4.0), (2.0, 4.0), 'effort', (0.0, 0.0))
    return dataclasses.replace(of, action=action)


def test_effort_array_in_the_robots_order(point: Contract) -> None:
    """Order, scale and limits of the robot's file are applied, in this sequence: limit, scale."""
    described = read(config.RobotConfig, {
        'command': {'joints': ['z', 'x'], 'scale': [10.0, 1.0]}, 'limits': {'z': 3.0}})
    command = RobotCommand(described, two_actuators(point).action)
    assert command.content([1.0, -4.0], 0) == {'data': [-30.0, 1.0]}


@pytest.mark.parametrize('kind', ['TwistStamped', 'Twist'])
def test_twist(point: Contract, kind: str) -> None:
    """Each actuator drives the axis that the file names, in the frame that it names."""
    described = read(config.RobotConfig, {'command': {
        'type': kind, 'joints': ['linear.x', 'angular.z'], 'scale': [0.5, 1.0],
        'frame': 'base_link'}})
    described.check(point)
    command = RobotCommand(described, two_actuators(point).action)
    message = build(command.type, command.content([2.0, -1.0], 4 * 10**9))
    assert type(message).__name__ == kind
    twist = message if kind == 'Twist' else message.twist
    assert (twist.linear.x, twist.angular.z) == (1.0, -1.0)
    if kind == 'TwistStamped':
        assert (message.header.frame_id, message.header.stamp.sec) == ('base_link', 4)


def top_speed(of: Contract, thrust: float, limit: float = 1.0, **settings: float) -> float:
    """Return the speed that a thrust reaches through supervisor and adapter, m/s."""
    described, agreed = robot({'adapter': True, 'limits': {'x': limit, 'z': 1.0}}, of)
    command, drive = RobotCommand(described, agreed.action), adaptation.PointDrive()
    supervision = Supervision(agreed, SupervisionSettings(**settings))
    supervision.start(0.0)
    for tick in range(100):
        result = supervision.command(command.effective([thrust, 0.0]), 0.1 * tick)
        drive.update(*command.content(result.command, 0)['data'], 0.1)
    return drive.speed


@pytest.mark.parametrize('thrust', [-1.0, -0.02, 0.01, 0.05, 0.3, 1.0])
def test_a_limit_behind_the_adapter_limits_the_speed(point: Contract, thrust: float) -> None:
    """The Point is as fast as unsupervised; with a limit never faster than that part of 1.5."""
    alone = adaptation.PointDrive()
    for _ in range(100):
        alone.update(thrust, 0.0, 0.1)
    assert top_speed(point, thrust) == pytest.approx(alone.speed)
    wanted = max(-0.15, min(alone.speed, 0.15))
    assert top_speed(point, thrust, limit=0.1) == pytest.approx(wanted)
    assert top_speed(point, thrust, magnitude=0.1) == pytest.approx(wanted)


def test_slowed_behind_the_adapter_is_slower(point: Contract) -> None:
    """Near a hazard, a command has that part of the speed which the factor says."""
    described, agreed = robot({'adapter': True}, point)
    command = RobotCommand(described, agreed.action)
    settings = SupervisionSettings(margin_response='slow', slow_factor=0.2)
    supervision = Supervision(agreed, settings)
    supervision.start(0.0)
    supervision.region.see('hazards_lidar', sector_closeness(np.array([0.3]), np.zeros(1), 16),
                           10**9, 0.0)
    supervision.region.see('velocimeter', np.zeros(3), 10**9, 0.0)
    drive = adaptation.PointDrive()
    result = supervision.command(command.effective([0.7, 0.0]), 0.0)
    assert result.state == 'slowed'
    drive.update(*command.content(result.command, 0)['data'], 10.0)
    assert drive.speed == pytest.approx(0.2 * 1.5)


def test_only_the_adapters_thrust_is_spread(point: Contract) -> None:
    """What is beyond the range stays beyond it; other robots' commands stay as they are."""
    wheels = RobotCommand(read(config.RobotConfig, {'adapter': True}), point.action)
    assert wheels.effective([5.0, -7.0]).tolist() == [5.0, -7.0]
    assert wheels.effective([0.025, 0.5]).tolist() == [0.5, 0.5]
    other = RobotCommand(read(config.RobotConfig, {}), point.action)
    assert other.effective([0.025, -7.0]).tolist() == [0.025, -7.0]
    assert other.content([0.025, 0.5], 0) == {'data': [0.025, 0.5]}


@pytest.mark.parametrize('kind', COMMAND_TYPES)
def test_commands_come_back_from_their_messages(point: Contract, kind: str) -> None:
    """What a controller sends, a robot reads; what is no number is refused, whoever sends it."""
    format_ = CommandFormat(kind, two_actuators(point).action)
    message = build(format_.type, format_.content([0.25, -3.0], 1))
    assert format_.to_command(message).tolist() == [0.25, -3.0]
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(SpowlError, match='numbers are needed'):
            format_.to_command(build(format_.type, format_.content([0.25, bad], 1)))


def test_actions_and_commands_are_one_scale(point: Contract) -> None:
    """The planner's -1 and 1 are the least and the greatest command, there and back."""
    action = two_actuators(point).action
    assert action.command([-1.0, 0.5]).tolist() == [-2.0, 2.0]
    assert action.action([-2.0, 99.0]).tolist() == [-1.0, 1.0]
