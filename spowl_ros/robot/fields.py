# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The kinds of sensor: the message of each, and how to read and write it.

============================================  ==========================  =======================
sensor                                        message                     where in it
============================================  ==========================  =======================
linear_acceleration, angular_velocity         sensor_msgs/Imu             of the same names
linear_velocity                               geometry_msgs/TwistStamped  twist.linear
magnetic_field                                sensor_msgs/MagneticField   magnetic_field
scan                                          sensor_msgs/LaserScan       ranges
joint_position (sine, cosine)                 sensor_msgs/JointState      position, an angle
joint_velocity                                sensor_msgs/JointState      velocity
contact_force                                 sensor_msgs/JointState      effort
ball_orientation (3x3 matrix, row by row)     sensor_msgs/                transforms[].rotation
                                              MultiDOFJointState
ball_angular_velocity                         the same                    twist[].angular
height                                        nav_msgs/Odometry           pose.pose.position.z
body_angular_velocity (world axes)            nav_msgs/Odometry           twist.twist.angular
vector (of a user's own task)                 sensor_msgs/JointState      position, no names
============================================  ==========================  =======================

A new kind is one row of SENSORS. Readers accept any object with the type's attributes, from rclpy
or from `rosbags`. Writers fill plain dicts and lists, from which `spowl_ros.ros` builds rclpy
messages. This module imports no message package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import scans
from spowl_ros.control.contract import SCAN_RANGE, Field
from spowl_ros.control.validity import InvalidReading, check_quaternion

Content = dict[str, Any]
"""A message's content by field name: numbers, strings, lists, and dicts for nested messages."""
Reader = Callable[[Any, 'Field'], 'NDArray[np.float64] | None']
Writer = Callable[[Content, 'Field', 'NDArray[np.float64]'], None]

_ANGLE_TOLERANCE = 1e-3
_COVARIANCE = [-1.0] + [0.0] * 8
"""Covariance of a quantity that a message does not measure, as sensor_msgs/Imu defines it."""
_UNMEASURED = 1e6
"""Variance of what an odometry message does not measure: m^2, rad^2, and the same over s^2."""


@dataclass(frozen=True)
class Sensor:
    """One kind of sensor."""

    type: str
    """Message type, as bags name it."""
    read: Reader
    """
    Returns the field's values, shape (size,), or None if the message is about other joints;
    raises SpowlError if it has no clear meaning.
    """
    write: Writer
    """Adds the values to a message's content; fields of one message are written in turn."""
    usual: tuple[float, float] | None = None
    """Range of the median magnitude on a robot that stands or drives, if known."""
    magnitude: Callable[[Any, Field], float] | None = None
    """Magnitude of a message's values; None: their norm."""
    unit: str = ''
    """Unit of the values as read; empty: the sender's."""


def check_measured(part: Any, name: str) -> None:
    """
    Check what a message says of one of its parts: a negative first covariance is "not measured".

    :param part: of a message, or the whole; name: of what is read of it
    :raises InvalidReading: it is not measured
    """
    for covariance in (f'{name}_covariance', 'covariance'):
        numbers: Any = getattr(part, covariance, ())
        if covariance != name and len(numbers) and not numbers[0] >= 0.0:
            raise InvalidReading(f'the message says that {name} is not measured ({covariance}[0] '
                                 f'is {numbers[0]:g})')


def _vector(*path: str, of_imu: bool = False) -> tuple[Reader, Writer]:
    """
    Return the reader and the writer of a geometry_msgs/Vector3 at a path.

    :param of_imu: whether the writer says that there is no orientation beside it
    """
    def read(message: Any, field: Field) -> NDArray[np.float64]:
        for name in path:
            check_measured(message, name)
            message = getattr(message, name)
        return _xyz(message)

    def write(content: Content, field: Field, values: NDArray[np.float64]) -> None:
        vector = content
        for name in path:
            vector = vector.setdefault(name, {})
        vector.update(zip('xyz', values.tolist(), strict=True))
        if of_imu:
            content['orientation_covariance'] = _COVARIANCE
    return read, write


def _xyz(vector: Any) -> NDArray[np.float64]:
    return np.array([vector.x, vector.y, vector.z])


def _read_scan(message: Any, field: Field) -> NDArray[np.float64]:
    ranges = scans.checked_ranges(message)
    width = 2.0 * math.pi / field.size
    if ranges.size != field.size:
        raise SpowlError(f'a scan of {ranges.size} beams; {field.name} has {field.size}')
    if not (abs(message.angle_min - width / 2.0) <= _ANGLE_TOLERANCE
            and abs(message.angle_increment - width) <= _ANGLE_TOLERANCE):
        raise SpowlError(
            f'a scan from {message.angle_min:.4g} by {message.angle_increment:.4g} rad; '
            f'{field.name} needs beams from {width / 2.0:.4g} by {width:.4g} rad')
    return scans.closeness(ranges)


def _write_scan(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    width = 2.0 * math.pi / field.size
    content.update(angle_min=width / 2.0, angle_increment=width,
                   angle_max=2.0 * math.pi - width / 2.0, range_max=SCAN_RANGE,
                   ranges=scans.ranges(values).tolist())


def _entry(names: Any, entries: Any, array: str, field: Field) -> Any:
    """
    Return the entry of a field's joint, in any order of joints; None if it is not in the message.

    :raises SpowlError: names and entries do not match
    """
    names = list(names)
    if not len(entries):
        return None
    if len(entries) != len(names) or len(set(names)) != len(names):
        raise SpowlError(f'{len(entries)} entries of {array} for the joints '
                         f'{", ".join(names) or "(none)"}; one for each joint is needed')
    return entries[names.index(field.joint)] if field.joint in names else None


def _slot(content: Content, key: str, array: str, field: Field, empty: Any) -> tuple[Any, int]:
    """Return a message's array of joints and the index of a field's joint; add it if missing."""
    names = content.setdefault(key, [])
    if field.joint not in names:
        names.append(field.joint)
    arrays = content.setdefault(array, [])
    for other in ('position', 'velocity', 'effort', 'transforms', 'twist'):
        if other in content:
            content[other] += [empty() for _ in range(len(names) - len(content[other]))]
    return arrays, names.index(field.joint)


def _joint(array: str, angle: bool = False) -> tuple[Reader, Writer]:
    """Return the reader and the writer of one joint's number in a sensor_msgs/JointState."""
    def read(message: Any, field: Field) -> NDArray[np.float64] | None:
        value = _entry(message.name, getattr(message, array), array, field)
        if value is None:
            return None
        if angle:
            if not math.isfinite(value):
                raise SpowlError(f'the position of {field.joint!r} is {value}')
            return np.array([math.sin(value), math.cos(value)])
        return np.array([float(value)])

    def write(content: Content, field: Field, values: NDArray[np.float64]) -> None:
        entries, index = _slot(content, 'name', array, field, lambda: math.nan)
        entries[index] = math.atan2(values[0], values[1]) if angle else float(values[0])
    return read, write


def _angle(message: Any, field: Field) -> float:
    return abs(float(_entry(message.name, message.position, 'position', field)))


def _read_ball_orientation(message: Any, field: Field) -> NDArray[np.float64] | None:
    entry = _entry(message.joint_names, message.transforms, 'transforms', field)
    if entry is None:
        return None
    return _matrix(*unit_quaternion(entry.rotation))


def _write_ball_orientation(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    entries, index = _slot(content, 'joint_names', 'transforms', field, dict)
    entries[index] = {'rotation': dict(zip('wxyz', _quaternion(values.reshape(3, 3)),
                                           strict=True))}


def _read_ball_velocity(message: Any, field: Field) -> NDArray[np.float64] | None:
    entry = _entry(message.joint_names, message.twist, 'twist', field)
    if entry is None:
        return None
    return _xyz(entry.angular)


def _write_ball_velocity(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    entries, index = _slot(content, 'joint_names', 'twist', field, dict)
    entries[index] = {'angular': dict(zip('xyz', values.tolist(), strict=True))}


def _of_world(content: Content, part: str, measured: Iterable[int]) -> None:
    """
    Make an odometry message one of a body in the world, and say what of it is measured.

    :param part: pose or twist
    :param measured: among x, y, z and the turns about them
    """
    content.setdefault('child_frame_id', content['header']['frame_id'])
    content['header']['frame_id'] = 'world'
    for name in ('pose', 'twist'):
        content.setdefault(name, {}).setdefault(
            'covariance', np.diag([_UNMEASURED] * 6).ravel().tolist())
    for axis in measured:
        content[part]['covariance'][7 * axis] = 0.0


_read_turning, _write_turning = _vector('twist', 'twist', 'angular')


def _read_height(message: Any, field: Field) -> NDArray[np.float64]:
    check_measured(message.pose, 'pose')
    return np.array([message.pose.pose.position.z])


def _write_height(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    _of_world(content, 'pose', (2,))
    content['pose']['pose'] = {'position': {'z': float(values[0])}}


def _write_body_velocity(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    _of_world(content, 'twist', (3, 4, 5))
    _write_turning(content, field, values)


def _read_numbers(message: Any, field: Field) -> NDArray[np.float64]:
    """Return the numbers of a user's own task: a JointState's positions, without names."""
    return np.array(message.position, np.float64)


def _write_numbers(content: Content, field: Field, values: NDArray[np.float64]) -> None:
    content['position'] = values.tolist()


SENSORS: dict[str, Sensor] = {
    'linear_acceleration': Sensor(
        'sensor_msgs/msg/Imu',
        *_vector('linear_acceleration', of_imu=True),
        usual=(4.0, 60.0), unit='m/s^2'),
    'angular_velocity': Sensor(
        'sensor_msgs/msg/Imu',
        *_vector('angular_velocity', of_imu=True),
        usual=(0.0, 12.0), unit='rad/s'),
    'linear_velocity': Sensor(
        'geometry_msgs/msg/TwistStamped', *_vector('twist', 'linear'),
        usual=(0.0, 10.0), unit='m/s'),
    'magnetic_field': Sensor('sensor_msgs/msg/MagneticField', *_vector('magnetic_field'),
                             usual=(0.25, 1.0), unit='T'),
    'scan': Sensor('sensor_msgs/msg/LaserScan', _read_scan, _write_scan, unit='1'),
    'joint_position': Sensor('sensor_msgs/msg/JointState', *_joint('position', angle=True),
                             usual=(0.0, 2.0 * math.pi), magnitude=_angle, unit='1'),
    'joint_velocity': Sensor('sensor_msgs/msg/JointState', *_joint('velocity'),
                             usual=(0.0, 30.0), unit='rad/s'),
    'contact_force': Sensor('sensor_msgs/msg/JointState', *_joint('effort'), unit='N'),
    'ball_orientation': Sensor('sensor_msgs/msg/MultiDOFJointState', _read_ball_orientation,
                               _write_ball_orientation, unit='1'),
    'ball_angular_velocity': Sensor('sensor_msgs/msg/MultiDOFJointState', _read_ball_velocity,
                                    _write_ball_velocity, unit='rad/s'),
    'height': Sensor('nav_msgs/msg/Odometry', _read_height, _write_height, usual=(0.0, 5.0),
                     unit='m'),
    'body_angular_velocity': Sensor(
        'nav_msgs/msg/Odometry', _read_turning, _write_body_velocity, usual=(0.0, 12.0),
        unit='rad/s'),
    'vector': Sensor('sensor_msgs/msg/JointState', _read_numbers, _write_numbers),
}
"""Kind of sensor, as `Field.sensor` names it, to its row."""


def unit_quaternion(rotation: Any) -> tuple[float, float, float, float]:
    """
    Return w, x, y, z of a geometry_msgs/Quaternion.

    :raises SpowlError: it is no rotation, as 0 0 0 0
    """
    q = float(rotation.w), float(rotation.x), float(rotation.y), float(rotation.z)
    check_quaternion(*q)
    return q


def _matrix(w: float, x: float, y: float, z: float) -> NDArray[np.float64]:
    """Return the rotation matrix of a unit quaternion, row by row, shape (9,)."""
    return np.array([
        w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z])


def _quaternion(matrix: NDArray[np.float64]) -> list[float]:
    """
    Return the unit quaternion w, x, y, z of a rotation matrix, shape (3, 3).

    It uses the one of the four formulas that has the greatest divisor (Shepperd 1978).
    """
    m = matrix
    trace = float(np.trace(m))
    weights = [trace, *(2.0 * m[i, i] - trace for i in range(3))]  # 4 q_i^2 - 1
    products = (
        [1.0 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], 1.0 + weights[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
        [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1.0 + weights[2], m[1, 2] + m[2, 1]],
        [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1.0 + weights[3]],
    )  # of each row: 4 times one component times every component
    quaternion = np.array(products[int(np.argmax(weights))])
    return (quaternion / np.linalg.norm(quaternion)).tolist()
