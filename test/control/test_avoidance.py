# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Driving away from a hazard, tried on the simulated robots themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spowl_ros.control.avoidance import avoid
from spowl_ros.control.hazards import HazardTracker, Nearest
from spowl_ros.sim.environment import Environment, contract

STOP = (0.0, 0.0)


def hazard(distance: float, bearing: float, speed: float, *others: tuple[float, float]) -> Nearest:
    """Return a hazard at a bearing, and beside it others of the same scan (distance, bearing)."""
    edges = np.full(16, math.inf)
    for edge, where in ((distance, bearing), *others):
        edges[int(where % (2.0 * math.pi) / (2.0 * math.pi) * 16)] = edge
    return Nearest('hazards_lidar', distance, bearing, speed, edges)


@pytest.mark.parametrize('task', ['SafetyPointGoal1-v0', 'SafetyCarGoal1-v0'])
@pytest.mark.parametrize('side', [1.0, -1.0])
def test_drives_away(task: str, side: float) -> None:
    """From a hazard in the way of travel, ahead or behind, the robot moves the other way."""
    environment = Environment(task, seed=0, action_repeat=4)
    robot = environment.contract
    environment.reset(seed=1)
    direction = {'Point': 0.0, 'Car': -math.pi / 2.0}[robot.robot]
    bearing = direction + (0.0 if side > 0 else math.pi)
    action = avoid(robot, [hazard(0.1, bearing, 0.5)], STOP)
    for _ in range(10):
        observation = environment.step(action).observation
    velocity = observation[robot.slices['velocimeter']]
    towards = velocity[0] * math.cos(bearing) + velocity[1] * math.sin(bearing)
    assert towards < -0.1


def test_stops_where_it_cannot_help() -> None:
    """Without a hazard, without a known drive, or with one passing beside, the robot stops."""
    point, ant = (contract(f'Safety{name}Goal1-v0', 4) for name in ('Point', 'Ant'))
    beside = hazard(0.1, math.pi / 2.0, -0.1)
    assert avoid(point, [], STOP) == STOP
    assert avoid(point, [beside], STOP) == STOP
    eight = tuple(np.zeros(8))
    assert avoid(ant, [hazard(0.1, 0.0, 0.5)], eight) == eight


@pytest.mark.parametrize('bearing', [0.0, math.pi])
@pytest.mark.parametrize(('other', 'free'), [(math.pi, False), (math.pi + 0.9, False),
                                             (math.pi / 2.0, True)])
def test_stops_between_hazards(bearing: float, other: float, free: bool) -> None:
    """From one hazard it does not drive into another, of the same scan or of another one."""
    point = contract('SafetyPointGoal1-v0', 4)
    near, behind = 0.1, (0.2, bearing + other)
    assert (avoid(point, [hazard(near, bearing, 0.5, behind)], STOP) != STOP) is free
    assert (avoid(point, [hazard(near, bearing, 0.5), hazard(*behind, 0.0)], STOP) != STOP) is free
    assert avoid(point, [hazard(near, bearing, 0.5, (0.9, bearing + other))], STOP) != STOP


def test_a_scan_that_cannot_be_read_leaves_no_way_out() -> None:
    """Where the hazard is cannot be known, so no direction leads away from it."""
    point = contract('SafetyPointGoal1-v0', 4)
    field = next(each for each in point.fields if each.name == 'hazards_lidar')
    touched = HazardTracker(point).see(field, np.full(16, math.nan), 1)
    assert touched is not None
    assert avoid(point, [touched], STOP) == STOP
