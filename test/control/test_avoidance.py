# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Driving away from a hazard, tried on the simulated robots themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spowl_ros.control.avoidance import avoid
from spowl_ros.control.hazards import Nearest
from spowl_ros.sim.environment import Environment, contract

STOP = (0.0, 0.0)


@pytest.mark.parametrize('task', ['SafetyPointGoal1-v0', 'SafetyCarGoal1-v0'])
@pytest.mark.parametrize('side', [1.0, -1.0])
def test_drives_away(task: str, side: float) -> None:
    """From a hazard in the way of travel, ahead or behind, the robot moves the other way."""
    environment = Environment(task, seed=0, action_repeat=4)
    robot = environment.contract
    environment.reset(seed=1)
    direction = {'Point': 0.0, 'Car': -math.pi / 2.0}[robot.robot]
    bearing = direction + (0.0 if side > 0 else math.pi)
    action = avoid(robot, [Nearest('hazards_lidar', 0.1, bearing, 0.5)], STOP)
    for _ in range(10):
        observation = environment.step(action).observation
    velocity = observation[robot.slices['velocimeter']]
    towards = velocity[0] * math.cos(bearing) + velocity[1] * math.sin(bearing)
    assert towards < -0.1


def test_stops_where_it_cannot_help() -> None:
    """Without a hazard, without a known drive, or with one passing beside, the robot stops."""
    point, ant = (contract(f'Safety{name}Goal1-v0', 4) for name in ('Point', 'Ant'))
    beside = Nearest('hazards_lidar', 0.1, math.pi / 2.0, -0.1)
    assert avoid(point, [], STOP) == STOP
    assert avoid(point, [beside], STOP) == STOP
    eight = tuple(np.zeros(8))
    assert avoid(ant, [Nearest('hazards_lidar', 0.1, 0.0, 0.5)], eight) == eight
