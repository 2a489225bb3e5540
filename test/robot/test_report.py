# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Values in another unit than the contract's are told, and those of the simulation are not."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest
from sensor_msgs.msg import Imu, JointState

from spowl_ros.control.contract import Field
from spowl_ros.robot.config import Input, RobotConfig
from spowl_ros.robot.report import Plausibility, implausible
from spowl_ros.robot.topics import topics
from spowl_ros.ros.messages import build
from spowl_ros.sim import environment, tasks


def field(sensor: str, unit: str) -> Field:
    """Return a field of a kind of sensor."""
    return Field('it', sensor, 'topic', 3, unit, -1e9, 1e9, 0.2, joint='hip')


@pytest.mark.parametrize(('sensor', 'unit', 'median', 'words'), [
    ('magnetic_field', 'T', 5e-5, 'the model knows 0.25 to 1'),
    ('linear_acceleration', 'm/s^2', 1.0, 'is it in g?'),
    ('angular_velocity', 'rad/s', 90.0, 'is it in deg/s'),
    ('linear_velocity', 'm/s', 800.0, 'is it in mm/s'),
    ('height', 'm', 400.0, 'is it in cm or mm?'),
    ('joint_position', '1', 45.0, 'is it in deg?'),
    ('linear_acceleration', 'm/s^2', math.nan, 'the magnitude is nan'),
])
def test_another_unit_is_told(sensor: str, unit: str, median: float, words: str) -> None:
    """The complaint names the unit that would fit, where there is one."""
    assert words in implausible(field(sensor, unit), median)


@pytest.mark.parametrize('task', tasks.TASKS)
def test_simulated_robots_are_plausible(task: str) -> None:
    """Driven at random, no sensor of a task is taken for one in another unit."""
    env = environment.make(task, seed=1, action_repeat=2)
    rng = np.random.default_rng(0)
    observation, judge = env.reset(), Plausibility()
    for index in range(30):
        values = {name: observation[part] for name, part in env.contract.slices.items()}
        for entry in topics(env.contract):
            message = build(entry.type, entry.content(values, index + 1))
            judge.add(entry, message, entry.read(message))
        step = env.step(rng.uniform(-1, 1, env.contract.action.size))
        observation = env.reset() if step.terminated else step.observation
    assert judge.problems() == {}


def test_joint_angles_in_degrees_are_told() -> None:
    """Sine and cosine hide the unit, the messages do not."""
    contract = environment.contract('SafetyAntGoal1-v0')
    entry = next(entry for entry in topics(contract) if entry.topic == 'joint_states')
    judge = Plausibility()
    names = [part.field.joint for part in entry.parts]
    message = JointState(name=list(dict.fromkeys(names)), position=[40.0] * 8,
                         velocity=[0.0] * 8)
    for second in range(1, 20):
        message.header.stamp.sec = second
        judge.add(entry, message, entry.read(message))
    assert set(judge.problems()) == {part.field.name for part in entry.parts
                                     if part.field.sensor == 'joint_position'}


def test_a_joint_from_another_message_has_no_angle_to_judge() -> None:
    """Sine and cosine that a robot sends in a message of its own choice are taken as they are."""
    joint = replace(field('joint_position', '1'), name='hip', size=2)
    contract = replace(environment.contract('SafetyPointGoal1-v0'), fields=(joint,))
    entry, = topics(contract, RobotConfig(inputs={'hip': Input(
        type='sensor_msgs/msg/Imu', field='orientation_covariance[0:2]')}))
    judge = Plausibility()
    message = Imu()
    message.header.stamp.sec = 1
    judge.add(entry, message, entry.read(message))
    assert judge.problems() == {}
