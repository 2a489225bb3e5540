# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Adapts a wheeled robot with a laser to the sensors and motors of SafetyGymnasium's Point.

Laser ranges become the scan of hazards, a goal pose the scan of the goal, odometry the inertial
sensors. Commands for the Point's motors become the velocities that the Point would reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import SCAN_RANGE, Contract
from spowl_ros.control.scans import BEYOND_RANGE, checked_ranges, sector_closeness
from spowl_ros.control.validity import InvalidReading, check_finite
from spowl_ros.robot.errand import FARTHEST
from spowl_ros.robot.fields import check_measured, unit_quaternion

GRAVITY = 9.81
INPUTS = {'scan': 'sensor_msgs/msg/LaserScan', 'odom': 'nav_msgs/msg/Odometry',
          'goal_pose': 'geometry_msgs/msg/PoseStamped'}
"""Topics to which the adapter subscribes, and their types."""
OUTPUT = 'cmd_vel'
"""Topic on which the adapter commands the robot; a parameter names the type."""
FROM_ODOMETRY = ('accelerometer', 'gyro', 'velocimeter', 'magnetometer')
_PLAUSIBLE = np.array([FARTHEST, FARTHEST, 20.0, 100.0])
"""Greatest magnitude of x, y (m), speed (m/s) and turn rate (rad/s)."""
_LEAP = 0.5
"""Metres, and radians, by which a pose may change within `_LEAP_S` beside what its speeds say."""
_LEAP_S = 1.0
_TURN_ERROR = 0.3
"""Fraction of its turn by which odometry may err."""
_GAP_S = 0.5
"""Seconds without odometry in which the robot may have driven at its greatest speeds."""
_STILL = 0.25
"""Least way of a pose, metres or radians, whose speeds say 1."""
_UPRIGHT = math.cos(math.radians(45.0))
"""Least cosine of the tilt of a robot on the ground."""
_SKIN = 0.05
"""Metres from the hull at which the way begins that a laser must see."""
_WAY = np.radians(np.arange(-60.0, 61.0, 5.0))
"""Directions that must be seen where the robot drives, radians from straight ahead."""
_BETWEEN_BEAMS = 0.2
"""Greatest angle from such a direction to a beam, radians: half a sector of the scans."""
_LEAST = 1e-6
"""Least distance with a direction, metres."""
SATURATION = {'x': 0.05}
"""Actuator of the Point to the command at and above which it already gives all it can."""
GREATEST_SPEED = 1.5
"""Speed of the Point of training at full thrust, m/s."""
SPEED_TIME, _TURN_TIME = 0.53, 0.03
"""Seconds in which the Point's speed, and its turn rate, come within 1/e of their final values."""
_NORTH = (0.0, -0.5)
"""MuJoCo's magnetic field in the world's x and y, tesla."""


def laser_points(ranges: NDArray[np.float64], first: float, increment: float,
                 mounting: tuple[float, float, float]) -> NDArray[np.float64]:
    """
    Return the points that a laser hit, shape (n, 2), metres, in robot axes, in beam order.

    :param ranges: metres, finite, or +Inf where nothing is seen
    :param first: angle of the first beam, radians; `increment` to each next one
    :param mounting: x, y, yaw of the laser in robot axes
    """
    hit = np.flatnonzero(ranges != np.inf)
    angles = first + increment * hit + mounting[2]
    return np.stack([mounting[0] + ranges[hit] * np.cos(angles),
                     mounting[1] + ranges[hit] * np.sin(angles)], axis=1)


@lru_cache(maxsize=8)
def looks(beams: int, first: float, increment: float, mounting: tuple[float, float, float],
          robot_radius: float) -> tuple[bool, bool]:
    """
    Return whether a laser sees where the robot drives to: forwards, and backwards.

    What the hull would touch first must be seen, so a laser at the hull's edge looks sideways too.

    :param beams: number of them; first, increment: their angles, radians
    :param mounting: x, y, yaw of the laser in robot axes
    :param robot_radius: of the circle around the hull, metres
    """
    x, y, yaw = mounting
    angles = first + increment * np.arange(beams) + yaw

    def seen(way: NDArray[np.float64]) -> bool:
        wanted = np.arctan2((robot_radius + _SKIN) * np.sin(way) - y,
                            (robot_radius + _SKIN) * np.cos(way) - x)
        off = np.abs(np.angle(np.exp(1j * (wanted[:, None] - angles))))
        return bool(beams) and bool((off.min(axis=1) <= _BETWEEN_BEAMS).all())

    return seen(_WAY), seen(_WAY + np.pi)


def obstacles(points: NDArray[np.float64], hazard_radius: float, robot_radius: float,
              sectors: int) -> NDArray[np.float64]:
    """
    Return centres, shape (m, 2), of round hazards that represent a laser's hits.

    Hits in beam order are cut into pieces, no wider than a hazard and no wider than a sector as
    seen from the robot: a near hit on one side must not stand for one on another. Each piece
    becomes one hazard in the direction of its nearest hit. It lies behind the hit, so that the
    robot's hull touches the hit exactly when its centre enters the hazard. A wall becomes a row
    of hazards.

    :param points: shape (n, 2), metres, in robot axes
    :param hazard_radius: distance of the robot's centre to a hazard's centre that costs, metres
    :param robot_radius: of the circle around the hull, metres
    :param sectors: number of the scan's sectors
    """
    centres = []
    bearings = np.arctan2(points[:, 1], points[:, 0])
    start = 0
    for index in range(1, len(points) + 1):
        if (index < len(points) and math.dist(points[index], points[start]) <= 2 * hazard_radius
                and abs(math.remainder(bearings[index] - bearings[start], 2.0 * math.pi))
                <= 2.0 * math.pi / sectors):
            continue
        piece = points[start:index]
        distances = np.hypot(piece[:, 0], piece[:, 1])
        nearest = int(distances.argmin())
        distance = max(float(distances[nearest]), _LEAST)
        # a hit within the hull stays on its side, or it would look like a hazard behind the robot
        centres.append(piece[nearest] * max(distance + hazard_radius - robot_radius, _LEAST)
                       / distance)
        start = index
    return np.array(centres).reshape(-1, 2)


def makeable(contract: Contract) -> Contract:
    """
    Return the contract if a laser, odometry and a goal pose are enough for it.

    :raises SpowlError: its sensors or actuators are not those of the Point in a goal task
    """
    known = (*FROM_ODOMETRY, 'goal_lidar', 'hazards_lidar', 'vases_lidar')
    others = [field.name for field in contract.fields if field.name not in known]
    if others or contract.action.names != ('x', 'z'):
        raise SpowlError(f'the adapter is made for SafetyPointGoal1-v0; {contract.task} needs '
                         f'{", ".join(others) or "other actuators"}')
    return contract


def faster_than_guarded(parameters: Mapping[str, Mapping[str, Any]], top_speed: Any,
                        acceleration: Any) -> list[str]:
    """
    Return in what the adapter drives faster than the supervisor believes; empty if in nothing.

    :param parameters: node to its parameters, of a robot's file
    :param top_speed: of the supervisor's limits, m/s; acceleration: likewise, m/s^2
    """
    speed = parameters.get('adapter', {}).get('speed', GREATEST_SPEED)
    known = speed if isinstance(speed, (int, float)) else math.nan
    return [f'limits.{name}: is {value!r}; with its speed of {speed!r} the adapter needs at least '
            f'{least:.3g} {unit}'
            for name, value, least, unit in (
                ('top_speed', top_speed, known, 'm/s'),
                ('acceleration', acceleration, known / SPEED_TIME, 'm/s^2'))
            if not (isinstance(value, (int, float)) and value >= least)]


@dataclass(frozen=True)
class Motion:
    """Pose and velocity of a robot on the ground."""

    x: float
    """Metres, in the frame."""
    y: float
    heading: float
    """Radians, counter-clockwise from the frame's x axis."""
    speed: float
    """Metres a second, forward."""
    turn_rate: float
    """Radians a second, counter-clockwise."""
    frame: str


def read_laser(message: Any, mounting: tuple[float, float, float], robot_radius: float,
               hazard_radius: float) -> NDArray[np.float64]:
    """
    Return the points that a sensor_msgs/LaserScan hit, as `laser_points` does.

    A hit too near to be measured counts where it is nearest to the robot without being in it. A
    laser within the hull has no hit there: it would stand on the laser's side of the robot, not in
    its beam's direction.

    :param robot_radius: of the circle around the hull, metres
    :param hazard_radius: of the hazards that `obstacles` makes of the hits, metres
    :raises InvalidReading: a part of the message has no clear meaning, or the laser does not see
        as far as those hazards count
    """
    ranges = checked_ranges(message)
    needed = SCAN_RANGE - hazard_radius + robot_radius + math.hypot(*mounting[:2])
    if not message.range_max >= needed * (1.0 - BEYOND_RANGE):
        raise InvalidReading(f'a scan that sees {message.range_max:g} m; for a robot of this size '
                             f'{needed:.2f} m are needed')
    first, increment = float(message.angle_min), float(message.angle_increment)
    hull = hull_ranges(first + increment * np.arange(ranges.size), mounting, robot_radius)
    if math.hypot(*mounting[:2]) < robot_radius:
        ranges = np.maximum(ranges, hull)
    nearest = np.minimum(hull, float(message.range_min))
    return laser_points(np.where(ranges == -np.inf, nearest, ranges), first, increment, mounting)


def hull_ranges(angles: NDArray[np.floating[Any]], mounting: tuple[float, float, float],
                robot_radius: float) -> NDArray[np.float64]:
    """
    Return the range at which each beam is nearest to the robot but not in it, shape (n,), metres.

    A laser within the hull sees nothing nearer than where its beams leave the hull.

    :param angles: of the beams in the laser's axes, radians, shape (n,)
    :param mounting: x, y, yaw of the laser in robot axes
    :param robot_radius: of the circle around the hull, metres
    """
    x, y, yaw = mounting
    along = x * np.cos(angles + yaw) + y * np.sin(angles + yaw)
    inside = robot_radius**2 - x**2 - y**2
    half = np.sqrt(np.maximum(along**2 + inside, 0.0))  # of the beam's way through the hull
    return half - along if inside > 0.0 else np.maximum(-along - half, 0.0)


def read_odometry(message: Any) -> Motion:
    """
    Return the motion in a nav_msgs/Odometry of a robot on the ground.

    :raises InvalidReading: an invalid pose or velocity, or one beyond any robot's, or one that
        is not measured, as the message says
    """
    for part in ('pose', 'twist'):
        check_measured(getattr(message, part), part)
    w, x, y, z = unit_quaternion(message.pose.pose.orientation)
    position, twist = message.pose.pose.position, message.twist.twist
    found = check_finite([position.x, position.y, twist.linear.x, twist.angular.z], 'odom')
    if not (np.abs(found) <= _PLAUSIBLE).all():
        raise InvalidReading(f'odom says x {found[0]:g} m, y {found[1]:g} m, {found[2]:g} m/s '
                             f'and {found[3]:g} rad/s, which no robot on the ground reaches')
    if not 1.0 - 2.0 * (x * x + y * y) >= _UPRIGHT:
        raise InvalidReading('odom says that the robot lies on its side or back')
    if not message.header.frame_id.strip('/'):
        raise InvalidReading('odom names no frame')
    return Motion(float(found[0]), float(found[1]),
                  math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)),
                  float(found[2]), float(found[3]), message.header.frame_id)


class OdometryConsistency:
    """
    Notices odometry whose pose and speeds contradict each other.

    So it is where its source begins anew, where two sources contradict each other, where it does
    not measure the speed and says 0, and where the pose stands still while the wheels turn.
    """

    def __init__(self) -> None:
        self._last: tuple[Motion, float] | None = None
        self._begin()
        self._path = self._told_path = self._swept = self._told_sweep = 0.0

    def _begin(self) -> None:
        """Begin a second of comparison at the last motion."""
        self._first = self._last
        self._driven = self._turned = self._told_turn = self._turn_error = 0.0

    def check(self, motion: Motion, seconds: float, greatest_speed: float,
              greatest_turn_rate: float) -> None:
        """
        Compare a motion with those of the last second, or with the one before.

        :param seconds: time of the measurement
        :param greatest_speed: of the robot, m/s, which it may have had in a gap
        :param greatest_turn_rate: of the robot, rad/s
        :raises InvalidReading: no robot on the ground gets from there to here in that time, at
            the speeds that were measured
        """
        before, self._last = self._last, (motion, seconds)
        if before is None or self._first is None:
            self._begin()
            return
        old, passed = before[0], abs(seconds - before[1])
        turned = math.remainder(motion.heading - old.heading, 2.0 * math.pi)
        self._turned += turned
        if passed > _GAP_S:
            self._driven += passed * max(greatest_speed, abs(old.speed), abs(motion.speed))
            self._turn_error += passed * max(greatest_turn_rate, abs(old.turn_rate),
                                             abs(motion.turn_rate))
        else:
            self._driven += passed * max(abs(old.speed), abs(motion.speed))
            self._told_turn += passed * (old.turn_rate + motion.turn_rate) / 2.0
            self._turn_error += passed * _TURN_ERROR * max(abs(old.turn_rate),
                                                           abs(motion.turn_rate))
            self._path += math.hypot(motion.x - old.x, motion.y - old.y)
            self._told_path += passed * min(abs(old.speed), abs(motion.speed))
            self._swept += abs(turned)
            self._told_sweep += passed * min(abs(old.turn_rate), abs(motion.turn_rate))
        if why := self._leap(motion, seconds) or self._stillness():
            raise InvalidReading(f'{why}; the goal is given up, because its place is no longer '
                                 'known')

    def _leap(self, motion: Motion, seconds: float) -> str:
        """Return by how much the pose changed more than its speeds say; empty if it did not."""
        assert self._first is not None
        first, since = self._first
        way, driven = math.hypot(motion.x - first.x, motion.y - first.y), self._driven
        passed, turned, told = abs(seconds - since), self._turned, self._told_turn
        far = not way <= driven + _LEAP
        twisted = not abs(turned - told) <= self._turn_error + _LEAP
        if far or twisted or passed >= _LEAP_S:
            self._begin()
        if far:
            return (f'odom moves by {way:.1f} m within {passed:.2f} s, in which its speeds lead '
                    f'{driven:.1f} m far')
        return '' if not twisted else (
            f'odom turns by {turned:.1f} rad within {passed:.2f} s, in which its turn rates make '
            f'{told:.1f} rad')

    def _stillness(self) -> str:
        """Return that the pose stands still against its speeds; empty if it does not."""
        why = ''
        if self._told_path >= 1.0:
            if self._path < _STILL:
                why = 'odom stands still, and says that it drives'
            self._path = self._told_path = 0.0
        if self._told_sweep >= 1.0:
            if self._swept < _STILL:
                why = 'odom keeps its heading, and says that it turns'
            self._swept = self._told_sweep = 0.0
        return why


def in_robot_axes(point: tuple[float, float], x: float, y: float,
                  heading: float) -> NDArray[np.float64]:
    """Return a point of the world in the axes of a robot at x, y, heading, shape (2,)."""
    dx, dy = point[0] - x, point[1] - y
    c, s = math.cos(heading), math.sin(heading)
    return np.array([c * dx + s * dy, c * dy - s * dx])


def magnetic_field(heading: float) -> NDArray[np.float64]:
    """Return SafetyGymnasium's magnetic field, shape (3,), tesla, in robot axes."""
    return np.append(in_robot_axes(_NORTH, 0.0, 0.0, heading), 0.0)


class Accelerometer:
    """Acceleration from wheel speeds, as an accelerometer in the robot's centre measures it."""

    def __init__(self, time_constant: float) -> None:
        self._time_constant = time_constant
        self._last: tuple[float, float] | None = None
        self._forward = 0.0

    def update(self, seconds: float, speed: float, turn_rate: float) -> NDArray[np.float64]:
        """
        Return the specific force, shape (3,), m/s^2.

        :param seconds: time of the measurement
        :param speed: forward, m/s; turn_rate: rad/s
        """
        if self._last is not None and seconds > self._last[0]:
            step = seconds - self._last[0]
            share = step / (step + self._time_constant)
            self._forward += share * ((speed - self._last[1]) / step - self._forward)
        self._last = seconds, speed
        return np.array([self._forward, speed * turn_rate, GRAVITY])


def sense_motion(felt: NDArray[np.float64], speed: float, turn_rate: float,
                 heading: float) -> dict[str, NDArray[np.float64]]:
    """
    Return the fields of the Point's body.

    :param felt: specific force that `Accelerometer` returned
    :param speed: forward, m/s
    """
    return {'accelerometer': felt, 'gyro': np.array([0.0, 0.0, turn_rate]),
            'velocimeter': np.array([speed, 0.0, 0.0]), 'magnetometer': magnetic_field(heading)}


def sense_obstacles(hits: NDArray[np.float64], hazard_radius: float, robot_radius: float,
                    sectors: int) -> dict[str, NDArray[np.float64]]:
    """
    Return the fields of the Point's surroundings; arguments as for `obstacles`.

    A laser cannot tell vases from hazards: every hit counts as a hazard to avoid.
    """
    centres = obstacles(hits, hazard_radius, robot_radius, sectors)
    return {'hazards_lidar': sector_closeness(centres[:, 0], centres[:, 1], sectors),
            'vases_lidar': np.zeros(sectors)}


def sense_goal(goal: tuple[float, float], x: float, y: float, heading: float,
               sectors: int) -> dict[str, NDArray[np.float64]]:
    """Return the field of the goal, for a robot at x, y, heading."""
    ahead, left = in_robot_axes(goal, x, y, heading)[:, None]
    return {'goal_lidar': sector_closeness(ahead, left, sectors)}


class PointDrive:
    """
    Computes the Point's velocities under commands, for a robot whose wheels follow them.

    The Point's response to its motors is as measured in its simulation.
    """

    def __init__(self) -> None:
        self.greatest_speed = GREATEST_SPEED
        """Final speed at full thrust, m/s."""
        self.turn_rate_per_command = 3.0
        """rad/s."""
        self.stop()

    def stop(self) -> None:
        """Come to rest at once."""
        self.speed = 0.0
        self.turn_rate = 0.0

    def update(self, thrust: float, turn: float, seconds: float) -> tuple[float, float]:
        """
        Return speed (m/s) and turn rate (rad/s) after holding a command, each in [-1, 1].

        A thrust of exactly 0 brakes at once, where the Point would glide on: the supervisor takes
        the thrust out of a command that must not drive on, and leaves its turn.

        :param seconds: for how long
        """
        target = self.greatest_speed * min(max(thrust / SATURATION['x'], -1.0), 1.0)
        self.speed += (target - self.speed) * -math.expm1(-seconds / SPEED_TIME)
        if thrust == 0.0:
            self.speed = 0.0
        target = self.turn_rate_per_command * min(max(turn, -1.0), 1.0)
        self.turn_rate += (target - self.turn_rate) * -math.expm1(-seconds / _TURN_TIME)
        return self.speed, self.turn_rate
