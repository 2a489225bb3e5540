# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever numbers a message holds, it is refused, or what is read is finite and no freer."""

from __future__ import annotations

from collections.abc import Iterator
import copy
import math
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import SCAN_RANGE, Contract
from spowl_ros.robot import adaptation
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.robot.errand import Errand, Goal, State
from spowl_ros.robot.fields import SENSORS
from spowl_ros.robot.topics import Topic, topics
from spowl_ros.ros.messages import build
from spowl_ros.sim.environment import contract
from spowl_ros.supervisor.rules import Supervision
from spowl_ros.supervisor.settings import SupervisionSettings

TASKS = ('SafetyPointGoal1-v0', 'SafetyCarGoal1-v0', 'SafetyAntGoal1-v0', 'SafetyDoggoGoal1-v0',
         'examples.own_task.crossing:make')
HAZARD_RADIUS, ROBOT_RADIUS = 0.2, 0.12
ANY = st.one_of(st.sampled_from((math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1.0, 1e300,
                                 -1e300, 5e-324, 1e9, 3.0, 1e-9)), st.floats())


def plain(message: Any) -> Any:
    """Return a message as plain objects, which take any number, as bytes from the network do."""
    if hasattr(message, 'get_fields_and_field_types'):
        return SimpleNamespace(**{name: plain(getattr(message, name))
                                  for name in message.get_fields_and_field_types()})
    if isinstance(message, (str, bytes, bool, int, float)):
        return message
    return [plain(entry) for entry in message]


def numbers(message: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where in a plain message a floating-point number stands: its holder and its key."""
    entries = (enumerate(message) if isinstance(message, list) else vars(message).items())
    for key, value in entries:
        if isinstance(value, float):
            yield message, key
        elif isinstance(value, (list, SimpleNamespace)):
            yield from numbers(value)


def spoil(message: Any, data: st.DataObject) -> Any:
    """Return a copy of a plain message with some of its numbers replaced by any others."""
    message = copy.deepcopy(message)
    places = list(numbers(message))
    for index in data.draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=4)):
        holder, key = places[index]
        if isinstance(holder, list):
            holder[key] = data.draw(ANY)
        else:
            setattr(holder, key, data.draw(ANY))
    return message


def inputs() -> list[tuple[Contract, Topic]]:
    """Return one topic of every message kind, with every sensor kind among them."""
    found, kinds = [], set()
    for task in TASKS:
        applied = contract(task)
        for entry in topics(applied):
            new = {part.field.sensor for part in entry.parts} - kinds
            if new:
                kinds |= new
                found.append((applied, entry))
    assert kinds == set(SENSORS), 'every row of the table is tried'
    return found


INPUTS = inputs()


def good(entry: Topic) -> Any:
    """Return a plain message that is taken."""
    fill = {part.field.name: np.linspace(0.1, 0.9, part.field.size) for part in entry.parts}
    fill |= {part.field.name: np.eye(3).ravel() for part in entry.parts
             if part.field.sensor == 'ball_orientation'}
    message = plain(build(entry.type, entry.content(fill, 10**9)))
    assert set(entry.read(message).values) == set(entry.names)
    return message


@pytest.mark.parametrize('index', range(len(INPUTS)), ids=lambda i: INPUTS[i][1].topic)
def test_every_number_of_every_sensor(index: int) -> None:
    """A message of a sensor is refused, or all that is read from it is finite."""
    _, entry = INPUTS[index]
    message = good(entry)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        spoiled = spoil(message, data)
        try:
            values = entry.read(spoiled).values
        except SpowlError as error:
            assert '\n' not in str(error)
            return
        for part in values.values():
            assert np.isfinite(part.astype(np.float32)).all()
        if entry.type.endswith('LaserScan'):
            closeness, = values.values()
            for seen, distance in zip(closeness, spoiled.ranges, strict=True):
                assert 0.0 <= seen <= 1.0
                assert seen >= 1.0 - max(distance, 0.0) / SCAN_RANGE - 1e-9  # also not for nan

    check()


def scan() -> Any:
    """Return a plain scan of 24 beams with something at 1 m and at 2 m."""
    ranges = [math.inf] * 24
    ranges[3], ranges[15] = 1.0, 2.0
    return SimpleNamespace(
        angle_min=-math.pi, angle_increment=math.pi / 12, angle_max=math.pi - math.pi / 12,
        range_min=0.05, range_max=5.0, ranges=ranges)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_the_adapter_never_sees_less_than_the_laser(data: st.DataObject) -> None:
    """A scan is refused, or what each beam tells of is a hazard as near, and on that side."""
    message = spoil(scan(), data)
    try:
        hits = adaptation.read_laser(message, (0.0, 0.0, 0.0), ROBOT_RADIUS, HAZARD_RADIUS)
    except SpowlError:
        return
    closeness = adaptation.sense_obstacles(hits, HAZARD_RADIUS, ROBOT_RADIUS, 16)['hazards_lidar']
    assert np.isfinite(closeness).all()
    assert not any(map(math.isnan, message.ranges))
    for beam, distance in enumerate(message.ranges):
        if distance == math.inf:
            continue
        nearest = ROBOT_RADIUS if distance < message.range_min else max(distance, ROBOT_RADIUS)
        expected = 1.0 - (nearest + HAZARD_RADIUS - ROBOT_RADIUS) / SCAN_RANGE
        bearing = (message.angle_min + beam * message.angle_increment) % (2.0 * math.pi)
        turned = abs(np.arange(16) + 0.5 - bearing * 8.0 / math.pi)
        about = np.minimum(turned, 16.0 - turned) <= 1.6  # its sector, or the next one
        assert closeness[about].max() >= expected - 1e-6


@pytest.mark.parametrize('change', [
    {'ranges': []}, {'ranges': [math.nan] * 24}, {'range_max': 0.0}, {'range_max': math.inf},
    {'range_min': math.nan}, {'range_max': math.nan}, {'range_max': 4000.0},
    {'angle_increment': math.nan}, {'angle_increment': 0.0}, {'angle_min': math.inf},
    {'angle_max': math.nan}, {'angle_increment': 1.0}, {'range_max': 1.0},
    {'range_min': 6.0}, {'ranges': [-0.5] * 24}, {'ranges': [9.0] * 24}])
def test_what_a_scan_may_not_say(change: dict[str, Any]) -> None:
    """Each of these was, or could be, taken for free space; each is refused."""
    message = scan()
    assert len(adaptation.read_laser(message, (0.0, 0.0, 0.0), ROBOT_RADIUS, HAZARD_RADIUS)) == 2
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(SpowlError):
        adaptation.read_laser(message, (0.0, 0.0, 0.0), ROBOT_RADIUS, HAZARD_RADIUS)


@pytest.mark.parametrize(('range_max', 'radius', 'laser_x', 'fits'), [
    (3.0, 0.12, 0.0, True), (3.0, 1.5, 0.0, False), (4.35, 1.5, 0.0, True),
    (3.0, 0.12, 1.0, False), (4.0, 0.12, 1.0, True), (4.0, 0.12, -1.0, True)])
def test_a_laser_must_see_as_far_as_hazards_count(range_max: float, radius: float, laser_x: float,
                                                  fits: bool) -> None:
    """A hazard lies behind its hit by less than a wide hull, and a laser ahead looks back less."""
    message = scan()
    message.range_max = range_max
    if fits:
        assert len(adaptation.read_laser(message, (laser_x, 0.0, 0.0), radius, HAZARD_RADIUS))
        return
    with pytest.raises(SpowlError, match='of this size'):
        adaptation.read_laser(message, (laser_x, 0.0, 0.0), radius, HAZARD_RADIUS)


@pytest.mark.parametrize('tilt', [0.0, 0.7, 1.0, math.pi])
@pytest.mark.parametrize('axis', ['x', 'y'])
def test_a_robot_on_its_side_has_no_heading(axis: str, tilt: float) -> None:
    """On a ramp it drives; on its side or back nothing is where odometry says."""
    odometry = build('nav_msgs/msg/Odometry', {'header': {'frame_id': 'odom'}, 'pose': {'pose': {
        'orientation': {'w': math.cos(tilt / 2.0), axis: math.sin(tilt / 2.0)}}}})
    if tilt < 0.78:
        assert adaptation.read_odometry(odometry).frame == 'odom'
        return
    with pytest.raises(SpowlError, match='side or back'):
        adaptation.read_odometry(odometry)


@pytest.mark.parametrize(('laser_x', 'radius', 'range_min', 'ahead', 'behind'), [
    (0.0, 0.12, 0.05, 0.12, -0.12), (0.0, 0.12, 0.45, 0.12, -0.12), (0.0, 0.12, 0.0, 0.12, -0.12),
    (0.1, 0.12, 0.45, 0.12, -0.12), (0.1, 0.12, 0.15, 0.12, -0.12),
    (0.3, 0.12, 0.45, 0.3, 0.12), (0.3, 0.12, 0.1, 0.3, 0.2)])
@pytest.mark.parametrize('measured', [False, True])
def test_too_close_is_as_near_as_it_can_be(laser_x: float, radius: float, range_min: float,
                                           ahead: float, behind: float, measured: bool) -> None:
    """Nearer than the laser measures (REP-117) is at the hull, or at the least range before it."""
    message = scan()
    message.range_min = range_min
    message.ranges = [math.inf] * 24
    below = range_min / 2.0 if measured and range_min else -math.inf
    message.ranges[12] = message.ranges[0] = below  # ahead, and back
    hits = adaptation.read_laser(message, (laser_x, 0.0, 0.0), radius, HAZARD_RADIUS)
    np.testing.assert_allclose(hits, [[behind, 0.0], [ahead, 0.0]], atol=2e-6)


def supervised(message: Any, laser_x: float = 0.0) -> tuple[str, str]:
    """Return what the supervisor does with full ahead, and full back, of a robot at rest."""
    hits = adaptation.read_laser(message, (laser_x, 0.0, 0.0), ROBOT_RADIUS, HAZARD_RADIUS)
    seen = adaptation.sense_obstacles(hits, HAZARD_RADIUS, ROBOT_RADIUS, 16)['hazards_lidar']
    supervision = Supervision(contract('SafetyPointGoal1-v0', 4),
                              SupervisionSettings(margin_response='stop'))
    supervision.start(0.0)
    supervision.region.see('hazards_lidar', seen, 10**9, 0.0)
    supervision.region.see('velocimeter', np.zeros(3), 10**9, 0.0)
    ahead, back = (supervision.command(np.array([thrust, 0.0]), 0.0).state
                   for thrust in (1.0, -1.0))
    return ahead, back


@pytest.mark.parametrize('laser_x', [0.0, 0.1, -0.1])
@pytest.mark.parametrize(('ranges', 'range_min'), [
    (-math.inf, 0.05), (0.01, 0.05), (0.0, 0.05), (0.0, 0.0), (0.02, 0.0), (-math.inf, 0.45)])
def test_a_covered_laser_is_free_space_nowhere(ranges: float, range_min: float, laser_x: float
                                               ) -> None:
    """What lies on the lens is on all sides: the robot drives neither ahead nor back."""
    message = scan()
    message.range_min = range_min
    message.ranges = [ranges] * 24
    assert supervised(message, laser_x) == ('stopped', 'stopped')


def test_a_near_obstacle_hides_no_other() -> None:
    """A post ahead blocks the way ahead, though another one behind is nearer and within reach."""
    message = scan()
    message.angle_increment = math.pi / 180
    message.angle_max = math.pi - math.pi / 180
    ranges = np.full(360, math.inf)
    ranges[170:190] = 0.15
    ranges[:10] = ranges[350:] = 0.1
    message.ranges = list(ranges)
    assert supervised(message) == ('stopped', 'stopped')
    ranges[20:160] = ranges[200:340] = 0.12  # a row of hits between the two
    message.ranges = list(ranges)
    assert supervised(message) == ('stopped', 'stopped')


def test_an_obstacle_in_the_blind_zone_stops_the_robot() -> None:
    """A wall too near for a laser from 0.45 m on blocks the way ahead, not the way back."""
    message = scan()
    message.range_min = 0.45
    message.ranges = [math.inf] * 24
    message.ranges[10:15] = [-math.inf] * 5
    assert supervised(message) == ('stopped', 'passing')


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_adapter_never_places_the_goal_by_nonsense(data: st.DataObject) -> None:
    """Odometry and goal are refused, or the goal's scan and the body's senses are finite."""
    odometry = spoil(plain(build('nav_msgs/msg/Odometry', {
        'header': {'frame_id': 'odom', 'stamp': {'sec': 1}},
        'pose': {'pose': {'position': {'x': 1.0}, 'orientation': {'w': 1.0}}}})), data)
    try:
        motion = adaptation.read_odometry(odometry)
        errand = Errand(0.3, 60.0)
        errand.send(Goal(data.draw(ANY), data.draw(ANY), 'odom'), 0.0)
        errand.be_at(motion.x, motion.y, motion.frame, 0.1)
    except SpowlError:
        return
    assert errand.state in (State.DRIVING, State.REACHED) and math.isfinite(errand.distance)
    assert errand.goal is not None
    seen = adaptation.sense_goal((errand.goal.x, errand.goal.y), motion.x, motion.y,
                                 motion.heading, 16)['goal_lidar']
    true = max(0.0, 1.0 - errand.distance / SCAN_RANGE)
    assert np.isfinite(seen).all() and math.isclose(seen.max(), true, abs_tol=1e-6)
    felt = adaptation.Accelerometer(0.05).update(1.0, motion.speed, motion.turn_rate)
    for values in adaptation.sense_motion(felt, motion.speed, motion.turn_rate,
                                          motion.heading).values():
        assert np.isfinite(values).all()


@pytest.mark.parametrize('rotation', [(0, 0, 0, 0), (math.nan, 0, 0, 0), (2, 0, 0, 0)])
def test_no_orientation_is_no_heading(rotation: tuple[float, ...]) -> None:
    """A quaternion that is none does not mean straight ahead."""
    odometry = build('nav_msgs/msg/Odometry', {'header': {'frame_id': 'odom'}, 'pose': {'pose': {
        'orientation': dict(zip('wxyz', map(float, rotation), strict=True))}}})
    with pytest.raises(SpowlError, match='norm'):
        adaptation.read_odometry(odometry)


@pytest.mark.parametrize('kind', COMMAND_TYPES)
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_number_of_every_command(kind: str, data: st.DataObject) -> None:
    """A command is refused, or each of its numbers is finite."""
    format_ = CommandFormat(kind, contract('SafetyPointGoal1-v0').action)
    message = spoil(plain(build(format_.type, format_.content([0.1, -0.2], 1))), data)
    try:
        command = format_.to_command(message)
    except SpowlError:
        return
    assert np.isfinite(command).all()
