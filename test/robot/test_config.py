# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot's YAML: what fits a contract is accepted, and what does not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.base.share import share_directory
from spowl_ros.control.contract import Contract
from spowl_ros.robot import config
from spowl_ros.sim.environment import contract


@pytest.fixture(scope='module')
def point() -> Contract:
    """Return the contract of PointGoal1."""
    return contract('SafetyPointGoal1-v0', 5)


def test_shipped_robots_fit(point: Contract) -> None:
    """Every YAML in config/robot fits PointGoal1, and its topics and time-outs are taken over."""
    files = sorted((share_directory() / 'config' / 'robot').glob('*.yaml'))
    assert files
    for file in files:
        config.load(file).check(point)
    applied = config.load(share_directory() / 'config' / 'robot' / 'diff_drive.yaml').applied_to(
        point)
    assert (applied.field('velocimeter').topic, applied.field('velocimeter').timeout) == (
        'odom', 0.2)


def test_an_empty_robot_is_the_contract(point: Contract) -> None:
    """A robot that publishes the contract's own topics needs to say nothing."""
    assert config.RobotConfig().applied_to(point) == point


@pytest.mark.parametrize(('data', 'words'), [
    ({'inputs': {'gyroscope': {'topic': 'imu'}}}, ["did you mean 'gyro'"]),
    ({'inputs': {'gyro': {'topik': 'imu'}}}, ["gyro.topik'; did you mean 'inputs.gyro.topic'"]),
    ({'inputs': {'gyro': {'timeout': 'soon'}}}, ['timeout', 'soon']),
    ({'inputs': {'gyro': {'unit': 'm/s'}}}, ['unit', 'rad/s']),
    ({'inputs': {'gyro': {'unit': 'furlong'}}}, ['no unit', 'furlong']),
    ({'inputs': {'gyro': {'type': 'sensor_msgs/msg/Imu'}}}, ['give both or none']),
    ({'inputs': {'gyro': {'joint': 'hip'}}}, ['is no joint']),
    ({'inputs': {'goal_lidar': {'rotation': [0, 0, 1]}}}, ['is no vector']),
    ({'inputs': {'gyro': {'rotation': [0, 0]}}}, ['roll, pitch, yaw']),
    ({'command': {'type': 'Joy'}}, ['Float64MultiArray, TwistStamped, Twist']),
    ({'command': {'type': 'Twist'}}, ['a Twist needs the axis']),
    ({'command': {'type': 'TwistStamped'}}, ['needs the axis']),
    ({'command': {'type': 'TwistStamped', 'joints': ['linear.x', 'yaw']}}, ["'yaw'"]),
    ({'command': {'joints': ['x', 'y']}}, ['x, y', 'actuators x, z']),
    ({'command': {'joints': ['x', 'x']}}, ['stands twice']),
    ({'command': {'scale': [1.0, 0.0]}}, ['zero']),
    ({'command': {'scale': [1.0, -1e308]}}, ['no number up to']),
    ({'inputs': {'gyro': {'topic': 'front imu'}}}, ['inputs.gyro.topic', "'front imu'"]),
    ({'command': {'topic': '2/effort'}}, ['command.topic', 'no digit']),
    ({'remappings': {'adapter': [['scan', 'laser-1']]}}, ['remappings.adapter', "'laser-1'"]),
    ({'adapter': True, 'command': {'joints': ['z', 'x']}}, ['takes x, z in this order']),
    ({'adapter': True, 'command': {'scale': [20.0, 1.0]}}, ['takes x, z', 'as they are']),
    ({'adapter': True, 'inputs': {'hazards_lidar': {'topic': '/vases_scan'}}},
     ['on vases_scan is not hazards_lidar']),
    ({'adapter': True, 'remappings': {'supervisor': [['hazards_scan', 'vases_scan']]}},
     ['on vases_scan is not hazards_lidar']),
    ({'adapter': True, 'remappings': {'adapter': [
        ['hazards_scan', 'vases_scan'], ['vases_scan', 'hazards_scan']]}},
     ['on hazards_scan is not hazards_lidar', 'on vases_scan is not vases_lidar']),
    ({'limits': {'y': 1.0}}, ['limits.y']),
    ({'limits': {'x': -1.0}}, ['not a positive number']),
    ({'sensors': {}}, ["there is no key 'sensors'", 'inputs']),
])
def test_misfits_are_named(point: Contract, data: dict[str, object], words: list[str]) -> None:
    """Each mistake is one error that names the key and what is wanted."""
    with pytest.raises(SpowlError) as caught:
        read(config.RobotConfig, data).check(point)
    assert '\n' not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_the_adapter_sends_may_have_other_names(point: Contract) -> None:
    """Topics that all nodes rename alike fit, and so does another sensor in place of its own."""
    read(config.RobotConfig, {
        'adapter': True, 'command': {'joints': ['x', 'z'], 'scale': [1.0, 1.0]},
        'remappings': {'adapter': [['hazards_scan', 'front']]},
        'inputs': {'hazards_lidar': {'topic': 'front'}, 'gyro': {'topic': 'imu_raw'},
                   'velocimeter': {'topic': 'imu', 'type': 'nav_msgs/msg/Odometry',
                                   'field': 'twist.twist.linear'}}}).check(point)


def test_all_misfits_are_told_at_once(point: Contract) -> None:
    """Two mistakes are both named."""
    robot = read(config.RobotConfig, {'inputs': {'gyro': {'unit': 'm'}}, 'limits': {'w': 1.0}})
    with pytest.raises(SpowlError, match='inputs.gyro.unit: .*; limits.w: '):
        robot.check(point)


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file, no YAML, a key that stands twice, and no mapping each give one line."""
    for name, text in (('missing', None), ('broken', 'a: [1'), ('list', '- 1'),
                       ('twice', 'limits: {x: 1.0}\nlimits: {x: 0.1}')):
        file = tmp_path / f'{name}.yaml'
        if text is not None:
            file.write_text(text)
        with pytest.raises(SpowlError, match=name) as caught:
            config.load(file)
        assert '\n' not in str(caught.value)
