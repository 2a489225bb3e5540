# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A contract's fields as standard sensor messages, and back.

============================================  ==========================  =======================
sensor                                        message                     where in it
============================================  ==========================  =======================
linear_acceleration, angular_velocity         sensor_msgs/Imu             of the same names
linear_velocity                               geometry_msgs/TwistStamped  twist.linear
magnetic_field                                sensor_msgs/MagneticField   magnetic_field
scan                                          sensor_msgs/LaserScan       ranges, see `Scan`
joint_position (sine, cosine)                 sensor_msgs/JointState      position, an angle
joint_velocity                                sensor_msgs/JointState      velocity
contact_force                                 sensor_msgs/JointState      effort
ball_orientation (3x3 matrix, row by row)     sensor_msgs/                transforms[].rotation
                                              MultiDOFJointState
ball_angular_velocity                         the same                    twist[].angular
height                                        nav_msgs/Odometry           pose.pose.position.z
body_angular_velocity (world axes)            nav_msgs/Odometry           twist.twist.angular
============================================  ==========================  =======================

Reading takes any object with the message's attributes, such as those that `rosbags` makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import math
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Transform, Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from sensor_msgs.msg import Imu, JointState, LaserScan, MagneticField, MultiDOFJointState

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import SCAN_RANGE, ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from spowl_ros.control.contract import Contract, Field

_TYPES: dict[str, type] = {
    'linear_acceleration': Imu, 'angular_velocity': Imu, 'linear_velocity': TwistStamped,
    'magnetic_field': MagneticField, 'scan': LaserScan, 'joint_position': JointState,
    'joint_velocity': JointState, 'contact_force': JointState,
    'ball_orientation': MultiDOFJointState, 'ball_angular_velocity': MultiDOFJointState,
    'height': Odometry, 'body_angular_velocity': Odometry,
}
_VECTORS = {
    'linear_acceleration': ('linear_acceleration',), 'angular_velocity': ('angular_velocity',),
    'linear_velocity': ('twist', 'linear'), 'magnetic_field': ('magnetic_field',),
    'body_angular_velocity': ('twist', 'twist', 'angular'),
}
"""Path of the geometry_msgs/Vector3 that holds a sensor's three values."""
_JOINT_ARRAYS = {'joint_position': 'position', 'joint_velocity': 'velocity',
                 'contact_force': 'effort'}
_JOINT_AFFIXES = ('jointpos_', 'jointvel_', 'ballquat_', 'ballangvel_')
_FRAME = 'base_link'
_ANGLE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Input:
    """One topic of a robot, and the fields of the observation that it carries."""

    topic: str
    """Relative to the robot's namespace."""
    message_type: type
    parts: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(field.name for field in self.parts)

    def stamp_ns(self, message: Any) -> int:
        """Return when the message was measured, nanoseconds."""
        stamp = message.header.stamp
        return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)

    def fields(self, message: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """
        Yield name and values, shape (size,), of each field.

        :raises SpowlError: the message lacks a joint or has other beams than the field
        """
        for field in self.parts:
            yield field.name, _read(message, field)

    def message(self, values: Mapping[str, ArrayLike], stamp: Any, frame: str = _FRAME) -> Any:
        """
        Return the message that carries the values.

        :param values: by field name, shape (size,); the whole observation's fields will do
        :param stamp: builtin_interfaces/Time
        :param frame: of the robot's body
        """
        message = self.message_type()
        message.header.stamp = stamp
        message.header.frame_id = frame
        _prepare(message, self.parts)
        for field in self.parts:
            _write(message, field, np.asarray(values[field.name], np.float64).reshape(-1))
        return message


def inputs(contract: Contract) -> list[Input]:
    """
    Return the topics of a contract, in the order of their first fields.

    :raises ContractError: a sensor without a message, or two kinds of message on one topic
    """
    topics: dict[str, list[Field]] = {}
    for field in contract.fields:
        if field.sensor not in _TYPES:
            raise ContractError(f'field {field.name}: no message is known for a sensor '
                                f'{field.sensor!r}; known are {", ".join(_TYPES)}')
        topics.setdefault(field.topic, []).append(field)
    result = []
    for topic, fields in topics.items():
        types = {_TYPES[field.sensor] for field in fields}
        if len(types) > 1 or (LaserScan in types and len(fields) > 1):
            raise ContractError(f'topic {topic} cannot carry all of '
                                f'{", ".join(field.name for field in fields)}: '
                                'they need messages of their own')
        result.append(Input(topic, types.pop(), tuple(fields)))
    return result


def closeness(ranges: ArrayLike) -> NDArray[np.float64]:
    """
    Return closeness, shape (n,): 1 at the robot's centre, 0 at SCAN_RANGE and beyond.

    REP-117: +Inf is nothing seen, -Inf is too close to measure; not-a-number stays what it is, so
    that whoever watches the observation sees the failure.

    :param ranges: shape (n,), metres
    """
    distances = np.asarray(ranges, np.float64)
    result = 1.0 - distances / SCAN_RANGE
    result[distances >= SCAN_RANGE] = 0.0
    result[distances == -np.inf] = 1.0
    return result


def ranges(closenesses: ArrayLike) -> NDArray[np.float32]:
    """Return ranges in metres, shape (n,), +Inf where nothing is seen, of closeness."""
    values = np.asarray(closenesses, np.float64)
    return np.where(values > 0.0, (1.0 - values) * SCAN_RANGE, np.inf).astype(np.float32)


def _read(message: Any, field: Field) -> NDArray[np.float64]:
    sensor = field.sensor
    if sensor in _VECTORS:
        vector = _follow(message, _VECTORS[sensor])
        return np.array([vector.x, vector.y, vector.z])
    if sensor == 'scan':
        _check_beams(message, field)
        return closeness(message.ranges)
    if sensor == 'height':
        return np.array([message.pose.pose.position.z])
    if sensor in _JOINT_ARRAYS:
        array = getattr(message, _JOINT_ARRAYS[sensor])
        value = float(_entry(message.name, array, field))
        if sensor == 'joint_position':
            return np.array([math.sin(value), math.cos(value)])
        return np.array([value])
    if sensor == 'ball_orientation':
        q = _entry(message.joint_names, message.transforms, field).rotation
        return _matrix(q.w, q.x, q.y, q.z)
    vector = _entry(message.joint_names, message.twist, field).angular
    return np.array([vector.x, vector.y, vector.z])


def _write(message: Any, field: Field, values: NDArray[np.float64]) -> None:
    sensor = field.sensor
    if sensor in _VECTORS:
        vector = _follow(message, _VECTORS[sensor])
        vector.x, vector.y, vector.z = values.tolist()
    elif sensor == 'scan':
        message.ranges = ranges(values)
    elif sensor == 'height':
        message.pose.pose.position.z = float(values[0])
    elif sensor in _JOINT_ARRAYS:
        array = getattr(message, _JOINT_ARRAYS[sensor])
        index = list(message.name).index(_joint(field))
        array[index] = (math.atan2(values[0], values[1]) if sensor == 'joint_position'
                        else float(values[0]))
    elif sensor == 'ball_orientation':
        q = message.transforms[message.joint_names.index(_joint(field))].rotation
        q.w, q.x, q.y, q.z = _quaternion(values.reshape(3, 3))
    else:
        vector = message.twist[message.joint_names.index(_joint(field))].angular
        vector.x, vector.y, vector.z = values.tolist()


def _prepare(message: Any, fields: tuple[Field, ...]) -> None:
    """Fill in what does not change: geometry of a scan, names of joints, what is unknown."""
    joints = list(dict.fromkeys(_joint(field) for field in fields))
    if isinstance(message, Imu):
        message.orientation_covariance[0] = -1.0  # no orientation, as sensor_msgs/Imu has it
    elif isinstance(message, LaserScan):
        width = 2.0 * math.pi / fields[0].size
        message.angle_min, message.angle_increment = width / 2.0, width
        message.angle_max = 2.0 * math.pi - width / 2.0
        message.range_max = SCAN_RANGE
    elif isinstance(message, Odometry):
        message.child_frame_id = message.header.frame_id
        message.header.frame_id = 'world'
    elif isinstance(message, JointState):
        message.name = joints
        for sensor in {field.sensor for field in fields}:
            setattr(message, _JOINT_ARRAYS[sensor], [math.nan] * len(joints))
    elif isinstance(message, MultiDOFJointState):
        message.joint_names = joints
        message.transforms = [Transform() for _ in joints]
        message.twist = [Twist() for _ in joints]


def _follow(message: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        message = getattr(message, name)
    return message


def _joint(field: Field) -> str:
    """Return the name of a field's joint, or of its contact sensor."""
    name = field.name
    for prefix in _JOINT_AFFIXES:
        name = name.removeprefix(prefix)
    return name.removesuffix('_vel') if field.sensor == 'joint_velocity' else name


def _entry(names: Any, values: Any, field: Field) -> Any:
    """
    Return the entry of a field's joint; the order of joints is the sender's.

    :raises SpowlError: there is none
    """
    joint = _joint(field)
    for name, value in zip(names, values, strict=False):
        if name == joint:
            return value
    raise SpowlError(f'no {field.sensor} of {joint!r} in the message; it has '
                     f'{", ".join(list(names)[:len(values)]) or "none of any joint"}')


def _check_beams(message: Any, field: Field) -> None:
    """
    Make sure that the beams of a scan are the field's sectors.

    :raises SpowlError: another number of beams, or other directions
    """
    width = 2.0 * math.pi / field.size
    if len(message.ranges) != field.size:
        raise SpowlError(f'a scan of {len(message.ranges)} beams; {field.name} has {field.size}')
    if (abs(message.angle_min - width / 2.0) > _ANGLE_TOLERANCE
            or abs(message.angle_increment - width) > _ANGLE_TOLERANCE):
        raise SpowlError(
            f'a scan from {message.angle_min:.4g} by {message.angle_increment:.4g} rad; '
            f'{field.name} needs beams from {width / 2.0:.4g} by {width:.4g} rad')


def _matrix(w: float, x: float, y: float, z: float) -> NDArray[np.float64]:
    """Return the rotation matrix of a unit quaternion, row by row, shape (9,)."""
    return np.array([
        w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
        2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x),
        2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z])


def _quaternion(matrix: NDArray[np.float64]) -> list[float]:
    """
    Return the unit quaternion w, x, y, z of a rotation matrix, shape (3, 3).

    Of the four ways to divide, the one with the greatest divisor (Shepperd 1978).
    """
    m = matrix
    trace = float(np.trace(m))
    weights = [trace, *(2.0 * m[i, i] - trace for i in range(3))]  # 4 q_i^2 - 1
    largest = int(np.argmax(weights))
    products = {
        0: [1.0 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
        1: [m[2, 1] - m[1, 2], 1.0 + weights[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
        2: [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1.0 + weights[2], m[1, 2] + m[2, 1]],
        3: [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1.0 + weights[3]],
    }[largest]  # 4 q_largest times each component
    quaternion = np.array(products)
    return (quaternion / np.linalg.norm(quaternion)).tolist()
