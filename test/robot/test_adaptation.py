# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A laser, odometry and a goal pose become what SafetyGymnasium's Point senses."""

from __future__ import annotations

from collections.abc import Callable
import math

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import SCAN_RANGE
from spowl_ros.control.scans import sector_closeness
from spowl_ros.control.validity import InvalidReading
from spowl_ros.robot import adaptation
from spowl_ros.ros.messages import build
from spowl_ros.sim.diff_drive import POST_RADIUS, ROBOT_RADIUS, DiffDriveWorld
from spowl_ros.sim.environment import Environment, make

HAZARD_RADIUS = 0.2


@pytest.fixture(scope='module')
def point() -> Environment:
    """Return PointGoal1, one raw step a decision."""
    return make('SafetyPointGoal1-v0', action_repeat=1)


def test_closeness_is_the_simulations(point: Environment) -> None:
    """The scan of points in robot axes equals SafetyGymnasium's for the same objects."""
    observation = point.reset(seed=5)
    scene = point.scene()
    hazards = np.array([
        adaptation.in_robot_axes(shape.position[:2], *scene.robot[:2], scene.heading)
        for shape in scene.shapes if shape.kind == 'hazards'])
    assert len(hazards) == 8
    expected = observation[point.contract.slices['hazards_lidar']]
    seen = sector_closeness(hazards[:, 0], hazards[:, 1], 16)
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    assert not sector_closeness(np.empty(0), np.empty(0), 16).any()


def test_magnetic_field_is_the_simulations(point: Environment) -> None:
    """The field at the robot's heading equals the simulated magnetometer's."""
    for seed in range(3):
        observation = point.reset(seed=seed)
        expected = observation[point.contract.slices['magnetometer']]
        np.testing.assert_allclose(adaptation.magnetic_field(point.scene().heading), expected,
                                   atol=1e-5)


@pytest.mark.parametrize(('thrust', 'turn'), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0)])
def test_drive_moves_as_the_point(point: Environment, thrust: float, turn: float) -> None:
    """Speed and turn rate follow the simulated Point's within a tenth of full speed."""
    point.reset(seed=3)
    drive = adaptation.PointDrive()
    slices = point.contract.slices
    for _ in range(100):
        observation = point.step([thrust, turn]).observation
        speed, turn_rate = drive.update(thrust, turn, point.contract.raw_period)
        if thrust:
            assert abs(observation[slices['velocimeter']][0] - speed) < 0.15
        if turn:
            assert abs(observation[slices['gyro']][2] - turn_rate) < 1.6
    if turn:
        assert abs(observation[slices['gyro']][2] - turn_rate) < 0.05


@pytest.mark.parametrize('turn', [0.0, 0.01, -1.0])
def test_no_thrust_brakes_whatever_the_turn(turn: float) -> None:
    """The Point glides on; a robot from whose command the thrust was taken stands and turns."""
    drive = adaptation.PointDrive()
    assert drive.update(1.0, turn, 1.0)[0] > 1.0
    speed, turn_rate = drive.update(0.0, turn, 0.02)
    assert speed == 0.0 and turn_rate == pytest.approx(3.0 * turn)
    assert drive.update(-1e-6, turn, 0.02)[0] < 0.0


def test_one_post_is_one_hazard() -> None:
    """A post ahead becomes one hazard there, whose edge is where the hull would touch."""
    world = DiffDriveWorld(seed=0)
    world.posts = np.array([[1.0, 0.0]])
    ranges = world.scan(360, 5.0)
    points = adaptation.laser_points(ranges, -math.pi, 2 * math.pi / 360, (0, 0, 0))
    centres = adaptation.obstacles(points, HAZARD_RADIUS, ROBOT_RADIUS, 16)
    assert centres.shape == (1, 2)
    expected = 1.0 - POST_RADIUS + HAZARD_RADIUS - ROBOT_RADIUS
    np.testing.assert_allclose(centres[0], [expected, 0.0], atol=0.01)


def test_every_hit_is_covered() -> None:
    """Whatever the laser sees, a hazard is at least as near as the hull's contact says."""
    for seed in range(5):
        world = DiffDriveWorld(seed)
        ranges = world.scan(360, 5.0)
        points = adaptation.laser_points(ranges, -math.pi, 2 * math.pi / 360, (0, 0, 0))
        centres = adaptation.obstacles(points, HAZARD_RADIUS, ROBOT_RADIUS, 16)
        nearest = np.hypot(*centres.T).min() - HAZARD_RADIUS
        assert math.isclose(nearest, world.clearance(), abs_tol=0.01)


@pytest.mark.parametrize(('distance', 'radius'), [(0.3, 0.9), (0.25, 0.5), (0.01, 5.0)])
@pytest.mark.parametrize('bearing', [0.2, 1.8, -2.9])
def test_a_hit_within_the_hull_is_touched_and_on_its_side(distance: float, radius: float,
                                                          bearing: float) -> None:
    """However great the radius, a hit within it is a hazard that costs, where it was hit."""
    hit = distance * np.array([[math.cos(bearing), math.sin(bearing)]])
    centre, = adaptation.obstacles(hit, HAZARD_RADIUS, radius, 16)
    assert np.hypot(*centre) <= HAZARD_RADIUS
    assert math.atan2(centre[1], centre[0]) == pytest.approx(bearing)
    seen = adaptation.sense_obstacles(hit, HAZARD_RADIUS, radius, 16)['hazards_lidar']
    assert seen.argmax() == int(bearing % (2.0 * math.pi) / (2.0 * math.pi / 16))


def test_wall_becomes_a_row() -> None:
    """A wall two metres long, half a metre ahead, has no gap that the robot could see."""
    y = np.linspace(-1.0, 1.0, 200)
    wall = np.stack([np.full_like(y, 0.5), y], axis=1)
    centres = adaptation.obstacles(wall, HAZARD_RADIUS, ROBOT_RADIUS, 16)
    assert len(centres) >= 5
    gaps = np.hypot(*np.diff(centres, axis=0).T)
    assert gaps.max() < 4 * HAZARD_RADIUS


def test_nothing_seen_is_nothing() -> None:
    """Infinite ranges are no obstacles."""
    points = adaptation.laser_points(np.full(4, np.inf), 0.0, 0.1, (0, 0, 0))
    assert points.shape == (0, 2)
    assert adaptation.obstacles(points, HAZARD_RADIUS, ROBOT_RADIUS, 16).shape == (0, 2)


def test_mounting_of_the_laser() -> None:
    """A laser 10 cm ahead that looks back sees what lies behind it, in robot axes."""
    points = adaptation.laser_points(np.array([1.0]), 0.0, 0.1, (0.1, 0.0, math.pi))
    np.testing.assert_allclose(points, [[-0.9, 0.0]], atol=1e-12)


def test_accelerometer() -> None:
    """Speeding up, turning and gravity are felt; time that stands still changes nothing."""
    sensor = adaptation.Accelerometer(0.0)
    sensor.update(0.0, 0.0, 0.0)
    np.testing.assert_allclose(sensor.update(0.1, 0.2, 3.0), [2.0, 0.6, adaptation.GRAVITY])
    np.testing.assert_allclose(sensor.update(0.1, 0.2, 0.0), [2.0, 0.0, adaptation.GRAVITY])


def test_closeness_ends_at_the_scans_range() -> None:
    """A goal beyond three metres is not seen, as in training."""
    assert sector_closeness(np.array([SCAN_RANGE - 0.1]), np.zeros(1), 16).max() > 0.0
    assert sector_closeness(np.array([SCAN_RANGE + 0.1]), np.zeros(1), 16).max() == 0.0


def at(x: float, speed: float = 1.0, heading: float = 0.0, rate: float = 0.0
       ) -> adaptation.Motion:
    """Return a motion along the x axis."""
    return adaptation.Motion(x, 0.0, heading, speed, rate, 'odom')


class Odometry(adaptation.OdometryConsistency):
    """Compares odometry of a robot of 1.5 m/s and 3 rad/s."""

    def see(self, motion: adaptation.Motion, seconds: float) -> None:
        """Compare a motion."""
        self.check(motion, seconds, 1.5, 3.0)


def test_odometry_that_leaps_is_no_reading_once() -> None:
    """A robot cannot be 100 m away after 0.05 s; from its new place it may go on."""
    odometry = Odometry()
    odometry.see(at(0.0), 10.0)
    odometry.see(at(0.05), 10.05)
    with pytest.raises(InvalidReading, match='moves by 100.0 m within 0.10 s'):
        odometry.see(at(100.05), 10.10)
    odometry.see(at(100.1), 10.15)


@pytest.mark.parametrize('speed', [-1.5, 0.2, 1.5])
def test_odometry_may_move_as_it_says(speed: float) -> None:
    """Driving on for a minute, with a correction of 0.3 m now and then and a gap, is no leap."""
    odometry = Odometry()
    x = 0.0
    for step in range(1200):
        if step % 100 in range(40, 60):  # a gap of a second
            x += 0.05 * speed
            continue
        x += 0.05 * speed + (0.3 if step % 100 == 0 else 0.0)
        odometry.see(at(x, speed), 0.05 * step)


def test_odometry_that_moves_without_speed_is_no_reading() -> None:
    """A twist that is never filled in says 0, while the pose tells of a drive."""
    odometry = Odometry()
    with pytest.raises(InvalidReading, match='in which its speeds lead 0.0 m far'):
        for step in range(20):
            odometry.see(at(0.05 * step, 0.0), 0.05 * step)


@pytest.mark.parametrize(('x', 'passes'), [(12.0, True), (13.5, True), (4.0, False)])
def test_odometry_that_begins_anew_after_a_pause_is_no_reading(x: float, passes: bool) -> None:
    """A restarted source is elsewhere than the robot can have driven meanwhile."""
    odometry = Odometry()
    for step in range(20):
        odometry.see(at(11.05 + 0.05 * step), 0.05 * step)
    if passes:
        odometry.see(at(x), 0.95 + 1.2)
        return
    with pytest.raises(InvalidReading, match='moves by 7.1 m'):
        odometry.see(at(x), 0.95 + 1.2)


@pytest.mark.parametrize(('heading', 'rate', 'says'), [
    (lambda t: 0.0 if t < 1.0 else math.pi, 0.0, 'turns by 3.1 rad'),
    (lambda t: 0.0, 5.0, 'in which its turn rates make'),
    (lambda t: 0.0, 0.5, 'keeps its heading'),
    (lambda t: -2.0 * t, 2.0, 'in which its turn rates make')])
def test_a_heading_that_its_turn_rate_contradicts_is_no_reading(
        heading: Callable[[float], float], rate: float, says: str) -> None:
    """It leaps, stands still or turns the other way."""
    odometry = Odometry()
    with pytest.raises(InvalidReading, match=says):
        for step in range(100):
            seconds = 0.05 * step
            odometry.see(at(seconds, heading=heading(seconds), rate=rate), seconds)


@pytest.mark.parametrize('speed', [-1.0, 0.3, 1.5])
def test_a_pose_that_stands_still_while_it_drives_is_no_reading(speed: float) -> None:
    """Its source hangs, or the wheels slip: where the robot is nobody knows."""
    odometry = Odometry()
    with pytest.raises(InvalidReading, match='stands still'):
        for step in range(100):
            odometry.see(at(2.0, speed), 0.05 * step)


@pytest.mark.parametrize('seed', range(5))
def test_a_drive_with_errors_of_a_tenth_is_no_contradiction(seed: int) -> None:
    """Five minutes of turning, stopping and backing, with slipping wheels, noise and gaps."""
    odometry, random = Odometry(), np.random.default_rng(seed)
    x = y = heading = speed = rate = 0.0
    for step in range(6000):
        if step % 20 == 0:
            speed, rate = random.uniform(-1.5, 1.5), random.uniform(-3.0, 3.0)
        slip = random.uniform(0.9, 1.0, 2)
        x += 0.05 * slip[0] * speed * math.cos(heading)
        y += 0.05 * slip[0] * speed * math.sin(heading)
        heading += 0.05 * slip[1] * rate
        if step % 500 > 30:  # else a gap of 1.5 s
            odometry.see(adaptation.Motion(*random.normal((x, y, heading), 0.01), speed, rate,
                                        'odom'), 0.05 * step)


@pytest.mark.parametrize('part', ['pose', 'twist'])
def test_odometry_that_is_not_measured_is_no_reading(part: str) -> None:
    """It says so by a covariance of -1."""
    message = build('nav_msgs/msg/Odometry', {
        'header': {'frame_id': 'odom'}, 'pose': {'pose': {'orientation': {'w': 1.0}}}})
    assert adaptation.read_odometry(message).speed == 0.0
    getattr(message, part).covariance[0] = -1.0
    with pytest.raises(SpowlError, match=f'{part} is not measured'):
        adaptation.read_odometry(message)


@pytest.mark.parametrize(('degrees', 'beams', 'yaw', 'seen'), [
    (360.0, 360, 0.0, (True, True)), (360.0, 24, 1.0, (True, True)),
    (270.0, 271, 0.0, (True, False)), (180.0, 181, 0.0, (True, False)),
    (180.0, 181, math.pi, (False, True)), (180.0, 181, math.pi / 2, (False, False)),
    (90.0, 91, 0.0, (False, False)), (360.0, 8, 0.0, (False, False)),
    (0.0, 1, 0.0, (False, False)), (0.0, 0, 0.0, (False, False))])
def test_where_a_laser_looks(degrees: float, beams: int, yaw: float, seen: tuple[bool, bool],
                             ) -> None:
    """The whole way ahead and back must be among its beams, without a gap as wide as a sector."""
    angle = math.radians(degrees)
    step = angle / max(beams if degrees == 360.0 else beams - 1, 1)
    assert adaptation.looks(beams, -angle / 2.0, step, (0.0, 0.0, yaw), 0.2) == seen
    assert adaptation.looks(beams, angle / 2.0, -step, (0.0, 0.0, yaw), 0.2) == seen


@pytest.mark.parametrize(('degrees', 'laser_x', 'ahead'), [
    (180.0, 0.0, True), (180.0, 0.25, False), (270.0, 0.25, True), (180.0, -0.2, True),
    (180.0, 0.6, False), (270.0, 0.6, False)])
def test_a_laser_ahead_must_see_what_stands_beside_it(degrees: float, laser_x: float,
                                                      ahead: bool) -> None:
    """What the hull's shoulder would touch lies behind a laser at the front."""
    beams = int(degrees) + 1
    looks = adaptation.looks(beams, -math.radians(degrees) / 2.0, math.radians(1.0),
                             (laser_x, 0.0, 0.0), 0.25)
    assert looks == (ahead, False)
