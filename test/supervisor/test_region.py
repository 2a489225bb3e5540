# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""In a closed loop no command drives the robot into a hazard, and none holds it for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import itertools
import math

import numpy as np
from numpy.typing import NDArray
import pytest

from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.supervisor.rules import Supervision, SupervisionSettings

SECTORS, RADIUS, PERIOD, TICK = 16, 0.2, 0.1, 0.01
SCAN = Field('hazards_lidar', 'scan', 'hazards_scan', SECTORS, '1', 0.0, 1.0, 0.35, RADIUS)
VELOCITY = Field('velocimeter', 'linear_velocity', 'velocity', 3, 'm/s', -20.0, 20.0, 0.35)
Hazards = tuple[tuple[float, float], ...]
Policy = Callable[[float, 'Robot'], tuple[float, float]]


def contract(measured: bool = True, robot: str = 'Point', stop_ramp: float = 0.0) -> Contract:
    """Return a contract of thrust and turn, with or without a measured velocity."""
    return Contract('Test-v0', robot, (SCAN, VELOCITY) if measured else (SCAN,),
                    ActionSpec(('x', 'z'), (-1.0, -1.0), (1.0, 1.0), 'effort', (0.0, 0.0),
                               stop_ramp=stop_ramp),
                    raw_period=PERIOD / 5, action_repeat=5)


@dataclass
class Robot:
    """A robot that drives along its x axis and turns, among hazards."""

    hazards: Hazards
    top: float = 1.0
    """m/s of a full command."""
    lag: float = 0.0
    """Seconds in which its speed follows a command."""
    glide: float = 0.0
    """The same for commands other than 0, if they brake less."""
    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    speed: float = 0.0

    def move(self, command: NDArray[np.float64]) -> None:
        """Hold a command for a tick."""
        lag = self.glide if self.glide and command[0] else self.lag
        follow = 1.0 if lag == 0.0 else TICK / lag
        self.speed += follow * (self.top * command[0] - self.speed)
        self.heading += 3.0 * command[1] * TICK
        self.x += self.speed * math.cos(self.heading) * TICK
        self.y += self.speed * math.sin(self.heading) * TICK

    def clearance(self) -> float:
        """Return the distance to the nearest hazard's edge, metres."""
        return min(math.hypot(x - self.x, y - self.y) for x, y in self.hazards) - RADIUS

    def scan(self, noise: float, random: np.random.Generator) -> NDArray[np.float64]:
        """Return the closeness of hazards in each sector."""
        result = np.zeros(SECTORS)
        for x, y in self.hazards:
            distance = max(0.0, math.hypot(x - self.x, y - self.y) + random.normal(0.0, noise))
            bearing = (math.atan2(y - self.y, x - self.x) - self.heading) % (2 * math.pi)
            sector = int(bearing / (2 * math.pi) * SECTORS) % SECTORS
            result[sector] = max(result[sector], np.clip(1.0 - distance / 3.0, 0.0, 1.0))
        return result


def ahead(now: float, robot: Robot) -> tuple[float, float]:
    """Drive on, whatever comes."""
    return 1.0, 0.0


def drive(robot: Robot, seconds: float, policy: Policy = ahead, *, measured: bool = True,
          noise: float = 0.0, latency: float = 0.0, delay: float = 0.0, dropped: float = 0.0,
          seed: int = 0, stop_ramp: float = 0.0, **settings: float) -> float:
    """
    Drive under supervision; return the least clearance there was, metres.

    :param latency: seconds by which readings are late; delay: by which commands are
    :param dropped: share of the scans that never come
    :param stop_ramp: seconds of a stop from full command
    :param settings: of the supervisor
    """
    random = np.random.default_rng(seed)
    supervision = Supervision(contract(measured, stop_ramp=stop_ramp),
                              SupervisionSettings(margin_response='stop', stop_ramp=2.0,
                                                  **settings))
    supervision.start(0.0)
    readings: list[tuple[float, float, NDArray[np.float64], float]] = []
    commands: list[tuple[float, NDArray[np.float64]]] = []
    held, least = np.zeros(2), math.inf
    for tick in range(round(seconds / TICK)):
        now = tick * TICK
        if tick % 10 == 0 and random.random() >= dropped:
            readings.append((now + latency, now, robot.scan(noise, random), robot.speed))
        while readings and readings[0][0] <= now + 1e-9:
            _, stamp, closeness, speed = readings.pop(0)
            clock = [round((moment + 1.0) * 1e9) for moment in (stamp, now)]
            supervision.region.see(SCAN.name, closeness, clock[0], now, clock[1])
            if measured:
                supervision.region.see(VELOCITY.name, np.array([speed, 0.0, 0.0]), clock[0], now,
                                       clock[1])
        result = (supervision.command(np.array(policy(now, robot)), now) if tick % 10 == 5
                  else supervision.again(now))
        if result is not None:
            commands.append((now + delay, result.command))
        while commands and commands[0][0] <= now + 1e-9:
            held = commands.pop(0)[1]
        robot.move(held)
        least = min(least, robot.clearance())
    return least


@pytest.mark.parametrize('measured', [True, False])
@pytest.mark.parametrize('turned', [0.2, 0.24, 0.26, 0.28, 0.3])
@pytest.mark.parametrize('thrust', [-1e-6, -0.1])
def test_a_little_thrust_back_does_not_let_it_roll_on(thrust: float, turned: float,
                                                      measured: bool) -> None:
    """Only a stop brakes well: whatever the command says, the robot rolls the other way still."""
    def glide(_: float, robot: Robot) -> tuple[float, float]:
        return (1.0 if robot.clearance() > turned else thrust), 0.0

    robot = Robot(((2.0, 0.0),), top=0.5, lag=0.05, glide=0.8)
    assert drive(robot, 9.0, glide, measured=measured, lookahead=0.2, top_speed=0.5,
                 acceleration=1.0) > 0.0


@pytest.mark.parametrize('measured', [True, False])
@pytest.mark.parametrize('lag', [0.0, 0.3])
def test_one_that_has_stopped_before_a_hazard_backs_out(lag: float, measured: bool) -> None:
    """It is held until it rests, and no longer."""
    robot = Robot(((1.3, 0.0),), lag=lag)
    drive(robot, 6.0, lambda now, _: (1.0 if now < 3.0 else -1.0, 0.0), measured=measured)
    assert robot.clearance() > 1.5


@pytest.mark.parametrize('measured', [True, False])
@pytest.mark.parametrize('top', [0.1, 0.5, 1.0, 1.5])
def test_a_robot_told_to_drive_into_a_hazard_does_not(top: float, measured: bool) -> None:
    """At no speed, lag, noise, delay, loss of scans and angle does it come to the hazard."""
    for lag, noise, (latency, delay, dropped), angle in itertools.product(
            (0.0, 0.3, 0.5), (0.0, 0.03), ((0.0, 0.0, 0.0), (0.1, 0.1, 0.3)), (0.0, 0.1)):
        robot = Robot(((1.3, 0.0),), top, lag, heading=angle)
        least = drive(robot, 1.5 + 1.5 / top, measured=measured, noise=noise, latency=latency,
                      delay=delay, dropped=dropped)
        assert least > 0.0, (lag, noise, latency, angle)
        assert least < 1.3, 'it may come nearer until then'


@pytest.mark.parametrize('measured', [True, False])
@pytest.mark.parametrize('stop_ramp', [0.3, 1.0, 3.0])
@pytest.mark.parametrize('top', [0.5, 1.5])
def test_one_that_stops_by_a_ramp_stops_farther_away(top: float, stop_ramp: float,
                                                     measured: bool) -> None:
    """The region has the way of the ramp too, up to the longest that the supervisor allows."""
    for lag in (0.0, 0.5):
        robot = Robot(((3.5, 0.0),), top, lag)
        least = drive(robot, 2.0 + 4.0 / top, measured=measured, stop_ramp=stop_ramp)
        assert 0.0 < least < 2.9, lag


@pytest.mark.parametrize(('top', 'stop_ramp'), [(6.0, 0.0), (3.0, 1.0)])
def test_one_that_is_too_fast_for_its_sight_slows_down(top: float, stop_ramp: float) -> None:
    """What lies beyond the scan is not free: a hazard that comes into sight is not touched."""
    least = drive(Robot(((8.0, 0.0),), top, 0.5), 8.0, stop_ramp=stop_ramp, top_speed=top,
                  acceleration=2.0 * top)
    assert 0.0 < least < 3.0


def test_an_old_velocity_is_not_the_present_one() -> None:
    """A robot that stood may drive at its top speed by now, however new the scan is."""
    slow = replace(contract(), fields=(SCAN, replace(VELOCITY, timeout=2.0)))
    supervision = Supervision(slow, SupervisionSettings(margin_response='stop'))
    supervision.start(0.0)
    command, closeness = np.array([1.0, 0.0]), np.zeros(SECTORS)
    closeness[0] = 1.0 - (0.7 + RADIUS) / 3.0
    for tick in range(20):
        now, stamp = tick * PERIOD, round((1.0 + tick * PERIOD) * 1e9)
        supervision.region.see(SCAN.name, closeness, stamp, now)
        if tick < 10:
            supervision.region.see(VELOCITY.name, np.zeros(3), stamp, now)
        result = supervision.command(command, now)
        assert (result.state == 'passing') is (tick < 12), tick
    assert 'hazard at 0.70 m' in result.reason


@pytest.mark.parametrize('seed', range(4))
def test_no_random_controller_drives_into_one_of_many(seed: int) -> None:
    """Whatever is commanded among several hazards, the robot touches none."""
    random = np.random.default_rng(seed)
    around = tuple((float(1.3 * math.cos(a)), float(1.3 * math.sin(a)))
                   for a in random.uniform(0, 2 * math.pi, 4))

    def policy(now: float, robot: Robot) -> tuple[float, float]:
        thrust, turn = random.uniform(-1, 1, 2)
        return (1.0 if random.random() < 0.7 else float(thrust)), float(turn)

    assert drive(Robot(around, 1.5, 0.5), 20.0, policy, noise=0.03, latency=0.05, delay=0.05,
                 dropped=0.1, seed=seed) > 0.0


@pytest.mark.parametrize('noise', [0.0, 0.005, 0.03])
@pytest.mark.parametrize('hazards', [
    ((0.3, 0.0),), ((-0.3, 0.0),), ((0.0, 0.3),), ((0.25, 0.15),), ((0.0, 0.35), (0.0, -0.35)),
    ((0.35, 0.0), (0.0, 0.35), (0.0, -0.35)), ((0.1, 0.0),)])
def test_one_that_wants_out_gets_out(hazards: Hazards, noise: float) -> None:
    """From beside, between and inside hazards, whoever turns away and drives leaves them."""
    def out(now: float, robot: Robot) -> tuple[float, float]:
        away = math.atan2(*(-sum(h[i] for h in hazards) for i in (1, 0)))
        if len(hazards) == 2:
            away = 0.0  # through between them
        error = math.remainder(away - robot.heading, 2 * math.pi)
        return (0.0, math.copysign(0.4, error)) if abs(error) > 0.05 else (1.0, error)

    robot = Robot(hazards, 1.0, 0.3)
    inside = min(0.0, robot.clearance())
    least = drive(robot, 12.0, out, noise=noise)
    assert least > inside - 0.03
    assert robot.clearance() > 0.5


def test_without_a_reading_nothing_passes() -> None:
    """No scan yet, one too old, and one with a bad beam each stop the robot, and say why."""
    supervision = Supervision(contract(), SupervisionSettings(margin_response='stop'))
    supervision.start(0.0)
    command = np.array([1.0, 0.0])
    assert supervision.command(command, 0.1).reason == 'no hazards_lidar yet'
    free = np.zeros(SECTORS)
    supervision.region.see(SCAN.name, free, 10**9, 0.1)
    assert supervision.command(command, 0.15).state == 'passing'
    bad = free.copy()
    bad[3] = np.nan
    for tick in range(2, 7):
        supervision.region.see(SCAN.name, bad, tick * 10**9, 0.1 * tick)
    result = supervision.command(command, 0.6)
    assert result.state == 'stopped'
    assert 'no hazards_lidar for 0.50 s (hazards_lidar has 1 of 16 values' in result.reason


@pytest.mark.parametrize('stamps', [[0] * 8, [5 * 10**9] * 8, [10**9 * (9 - i) for i in range(8)]])
def test_stamps_that_do_not_advance_are_no_readings(stamps: list[int]) -> None:
    """Stamps that are 0, never change or go back leave the robot without a scan."""
    supervision = Supervision(contract(), SupervisionSettings(margin_response='stop'))
    supervision.start(0.0)
    for index, stamp in enumerate(stamps):
        supervision.region.see(SCAN.name, np.zeros(SECTORS), stamp, 0.1 * index, 9 * 10**9)
    assert supervision.command(np.array([1.0, 0.0]), 0.8).state == 'stopped'


def test_a_robot_whose_drive_is_not_known_is_stopped() -> None:
    """Where nobody knows what leads out, nothing passes near a hazard."""
    supervision = Supervision(contract(robot='Ant'), SupervisionSettings(margin_response='stop'))
    supervision.start(0.0)
    near = np.zeros(SECTORS)
    near[8] = 0.9
    supervision.region.see(SCAN.name, near, 10**9, 0.0)
    assert supervision.command(np.array([0.1, 0.1]), 0.05).state == 'stopped'
