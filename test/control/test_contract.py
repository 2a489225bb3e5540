# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A contract says everything, survives being written down, and tells differences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spowl_ros.control.contract import Contract, ContractError
from spowl_ros.robot.topics import topics
from spowl_ros.sim import environment, tasks


@pytest.mark.parametrize('task', tasks.TASKS)
def test_every_task_has_a_complete_contract(task: str) -> None:
    """Fields fill the observation without gaps; kinds are known; periods are the robot's."""
    contract = environment.contract(task, 5)
    parts = contract.slices
    assert sorted(index for part in parts.values() for index in range(part.start, part.stop)) \
        == list(range(contract.size))
    assert topics(contract), 'each of its sensors has a message'
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


def test_the_wanted_button_has_a_scan_of_its_own() -> None:
    """Where the goal is one of the buttons, its scan is what tells it from the others."""
    contract = environment.contract('SafetyPointButton1-v0')
    assert [(field.name, field.wanted) for field in contract.fields if field.wanted] \
        == [('buttons_lidar', 'goal_lidar')]
    assert contract.field('buttons_lidar').hazard_radius is None
    assert 0.2 < (contract.field('buttons_lidar').others_radius or 0.0) < 0.3


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
