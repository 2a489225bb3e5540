# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The contract of a SafetyGymnasium task, with sensors named as on a robot."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import TYPE_CHECKING

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import ActionSpec, Contract, Field, joint_of

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

_BODY_SENSORS = {
    'accelerometer': ('linear_acceleration', 'imu', 'm/s^2', -1000.0, 1000.0),
    'gyro': ('angular_velocity', 'imu', 'rad/s', -100.0, 100.0),
    'velocimeter': ('linear_velocity', 'velocity', 'm/s', -20.0, 20.0),
    'magnetometer': ('magnetic_field', 'magnetic_field', 'T', -1.0, 1.0),
    'agent_pos': ('height', 'odom', 'm', -5.0, 5.0),
    'agent_qvel': ('body_angular_velocity', 'odom', 'rad/s', -100.0, 100.0),
}
"""SafetyGymnasium's sensor name to kind, topic, unit, and least and greatest plausible value."""

_JOINT_SENSORS = {
    'hinge_pos_names': ('joint_position', 'joint_states', '1', -1.0, 1.0),
    'hinge_vel_names': ('joint_velocity', 'joint_states', 'rad/s', -200.0, 200.0),
    'ballquat_names': ('ball_orientation', 'ball_joint_states', '1', -1.0, 1.0),
    'ballangvel_names': ('ball_angular_velocity', 'ball_joint_states', 'rad/s', -200.0, 200.0),
}
"""SafetyGymnasium's list of sensor names to the same of each of them."""

_ROBOT_RADIUS = {'Point': 0.17, 'Car': 0.2, 'Ant': 0.5, 'Doggo': 0.4, 'Racecar': 0.35}
"""Radius in metres of the circle around the robot's centre that holds its body."""

_LEGGED_CHANGE = 0.75
"""
For legged robots: greatest change of a command between decisions, as a fraction of its range.

Rest lies in the middle, so a stop takes at most half of the range and is never held back. A
tighter bound slows the gaits: 0.5 costs Doggo a quarter of its speed, 0.75 a tenth.
"""


def contract(task_id: str, task: BaseTask, action_repeat: int) -> Contract:
    """
    Return the contract of a task, fields in the order of SafetyGymnasium's flattened observation.

    :raises SpowlError: the task has a sensor without a known standard message
    """
    model = task.agent.engine.model
    raw_period = float(model.opt.timestep * task.sim_conf.frameskip_binom_n)
    timeout = 1.7 * raw_period * action_repeat  # a lost message shows before a second one is due
    robot = type(task.agent).__name__
    names = tuple(model.actuator(index).name or model.joint(joint).name
                  for index, joint in enumerate(model.actuator_trnid[:, 0]))
    low, high = (tuple(map(float, bound)) for bound in model.actuator_ctrlrange.T)
    return Contract(
        task=task_id,
        robot=robot,
        fields=tuple(_field(task, name, math.prod(space.shape), timeout)
                     for name, space in task.obs_info.obs_space_dict.items()),
        action=ActionSpec(names, low, high, 'effort', (0.0,) * model.nu,
                          _LEGGED_CHANGE if robot in ('Ant', 'Doggo') else 1.0),
        raw_period=round(raw_period, 9),
        action_repeat=action_repeat)


def _field(task: BaseTask, name: str, size: int, timeout: float) -> Field:
    """Return the field for one key of the observation space."""
    sensor, topic, unit, low, high = _kind(task, name)
    field = Field(name, sensor, topic, size, unit, low, high, timeout,
                  _hazard_radius(task, name), joint=joint_of(name, sensor))
    if name != 'buttons_lidar':
        return field
    return replace(field, wanted='goal_lidar', others_radius=_contact_radius(task, 'buttons'))


def _kind(task: BaseTask, name: str) -> tuple[str, str, str, float, float]:
    """Return kind, topic, unit, and least and greatest plausible value of a sensor."""
    if name in _BODY_SENSORS:
        return _BODY_SENSORS[name]
    if name.endswith('_lidar'):
        return 'scan', name[:-len('lidar')] + 'scan', '1', 0.0, 1.0
    if name.startswith('touch_'):
        return 'contact_force', 'contacts', 'N', 0.0, 1000.0
    for group, kind in _JOINT_SENSORS.items():
        if name in getattr(task.agent.sensor_info, group):
            return kind
    raise SpowlError(f'sensor {name!r} of this task has no standard message; '
                     'choose a task without it')


def _hazard_radius(task: BaseTask, name: str) -> float | None:
    """Return the centre-to-centre distance at which objects of a scan may cost, or None."""
    if not name.endswith('_lidar'):
        return None
    kind = name[:-len('_lidar')]
    objects = getattr(task, kind)
    if not objects.is_constrained or kind == 'buttons':  # the goal is one of the buttons
        return None
    if kind == 'hazards':  # a zone on the floor, measured from the robot's centre
        return float(objects.size)
    return _contact_radius(task, kind)


def _contact_radius(task: BaseTask, kind: str) -> float:
    """Return the centre-to-centre distance within which the robot may touch an object."""
    robot = _ROBOT_RADIUS.get(type(task.agent).__name__, max(_ROBOT_RADIUS.values()))
    corner = math.sqrt(2.0) if kind in ('vases', 'gremlins') else 1.0  # boxes, else round
    return float(getattr(task, kind).size * corner + robot)
