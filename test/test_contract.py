# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A contract says everything, survives being written down, and tells differences."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from spowl_ros.contract import SCAN_RANGE, SENSORS, Contract, ContractError
from spowl_ros.sim import environment, tasks


@pytest.mark.parametrize('task', tasks.TASKS)
def test_every_task_has_a_complete_contract(task: str) -> None:
    """Fields fill the observation without gaps; kinds are known; periods are the robot's."""
    contract = environment.contract(task, 5)
    parts = contract.slices
    assert sorted(index for part in parts.values() for index in range(part.start, part.stop)) \
        == list(range(contract.size))
    assert all(field.sensor in SENSORS for field in contract.fields)
    period = {'Point': 0.02, 'Car': 0.04, 'Ant': 0.1, 'Doggo': 0.1}[contract.robot]
    assert contract.raw_period == period
    assert contract.control_period == pytest.approx(5 * period)
    assert len(contract.action.stop) == contract.action.size
    legged = contract.robot in ('Ant', 'Doggo')
    assert contract.action.change == (0.75 if legged else 1.0)
    for rest, low, high in zip(contract.action.stop, contract.action.low, contract.action.high,
                               strict=True):
        to_stop = max(rest - low, high - rest) / (high - low)
        assert to_stop <= contract.action.change, 'a stop is never held back'


def test_hazards_are_where_they_cost() -> None:
    """The radius is the distance at which SafetyGymnasium begins to count cost."""
    contract = environment.contract('SafetyPointGoal2-v0')
    assert contract.field('hazards_lidar').hazard_radius == 0.2
    assert contract.field('goal_lidar').hazard_radius is None
    assert (contract.field('vases_lidar').hazard_radius or 0.0) > 0.1
    unconstrained = environment.contract('SafetyPointGoal1-v0')
    assert unconstrained.field('vases_lidar').hazard_radius is None
    assert environment.contract('SafetyCarPush1-v0').field('hazards_lidar').hazard_radius == 0.3


def test_only_the_other_buttons_cost() -> None:
    """Buttons are told apart by the goal's scan: from real scans, what is left is the others."""
    env = environment.make('SafetyPointButton1-v0')
    contract = env.contract
    buttons = contract.field('buttons_lidar')
    assert buttons.wanted == 'goal_lidar'
    assert buttons.hazard_radius == pytest.approx(0.27)
    compared = 0
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(10):  # until the buttons are seen
            observation = env.step(np.zeros(2)).observation
        scene = env.scene()
        (goal,) = (shape.position for shape in scene.shapes if shape.kind == 'goal')
        far = sorted((math.dist(shape.position[:2], goal[:2]) > 0.01,
                      math.dist(shape.position[:2], scene.robot[:2]))
                     for shape in scene.shapes if shape.kind == 'buttons')
        (_, wanted), (_, nearest), *_ = far
        seen = SCAN_RANGE * (1 - float(contract.costly(buttons, observation).max()))
        if nearest < wanted:  # nothing hides it
            assert seen == pytest.approx(nearest, abs=0.01)
            compared += 1
    assert compared > 5
    alike = contract.field('hazards_lidar')
    assert (contract.costly(alike, observation)
            == observation[contract.slices['hazards_lidar']]).all()


def test_json_and_back() -> None:
    """What is written into a bundle is read again as the same contract."""
    contract = environment.contract('SafetyCarButton1-v0', 3)
    again = Contract.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert again == contract


@pytest.mark.parametrize('damage', [
    lambda data: data.pop('fields'),
    lambda data: data.update(colour='red'),
    lambda data: data['fields'][0].pop('size'),
    lambda data: data.update(action=None),
])
def test_damaged_contracts_are_refused(damage: Any) -> None:
    """A missing or unknown key is named."""
    data = environment.contract(tasks.TASKS[0]).to_dict()
    damage(data)
    with pytest.raises(ContractError, match='malformed contract'):
        Contract.from_dict(data)


def test_an_unknown_field_names_those_that_exist() -> None:
    """The message lists the fields."""
    with pytest.raises(ContractError, match="no field 'radar'; it has accelerometer"):
        environment.contract(tasks.TASKS[0]).field('radar')
