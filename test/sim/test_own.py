# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Any environment with Gymnasium's interface and a cost becomes one that can be learned from."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.control.contract import Contract
from spowl_ros.robot import config
from spowl_ros.sim import environment
from spowl_ros.sim.own import OwnEnvironment
from spowl_ros.sim.perturbation import Perturbation

TASK = 'examples.own_task.crossing:make'


class Counter(gymnasium.Env):
    """Counts its steps; ends after seven."""

    action_space = gymnasium.spaces.Box(np.array([-1.0, 0.0]), np.array([3.0, 10.0]))
    observation_space = gymnasium.spaces.Dict({
        'sum': gymnasium.spaces.Box(-99.0, 99.0, (2,)),
        'count': gymnasium.spaces.Box(0.0, 9.0, (1,))})

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[Any, Any]:
        """Begin to count."""
        self.count, self.sum = 0, np.zeros(2)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Count."""
        self.count += 1
        self.sum = self.sum + action
        return self._observe(), 1.0, self.count >= 7, False, {'cost': 0.5, 'danger': 2.0}

    def _observe(self) -> dict[str, Any]:
        return {'count': np.array([self.count]), 'sum': self.sum}


def test_steps_are_summed_and_actions_mapped() -> None:
    """Reward and cost add up over the repeat; -1 and 1 are the action space's bounds."""
    own = OwnEnvironment(Counter(), period=0.1)
    own.set_up('counter', 3)
    assert own.contract.slices.keys() == {'count', 'sum'}  # in the order of the space
    own.reset(seed=0)
    result = own.step([-1.0, 1.0])
    parts = {name: result.observation[place].tolist()
             for name, place in own.contract.slices.items()}
    assert parts == {'count': [3.0], 'sum': [-3.0, 30.0]}
    assert (result.reward, result.cost, result.info['raw_steps']) == (3.0, 1.5, 3)
    own.step([0.0, 0.0])
    result = own.step([0.0, 0.0])
    assert result.terminated and result.info['raw_steps'] == 1
    with pytest.raises(SpowlError, match='reset'):
        own.step([0.0, 0.0])


def test_cost_from_elsewhere() -> None:
    """A cost under another name is found by the function given; a negative one is refused."""
    own = OwnEnvironment(Counter(), 0.1, cost=lambda info: info['danger'])
    own.reset()
    assert own.step([0.0, 0.0]).cost == 2.0
    own = OwnEnvironment(Counter(), 0.1, cost=lambda info: -1.0)
    own.reset()
    with pytest.raises(SpowlError, match='at least 0'):
        own.step([0.0, 0.0])


@pytest.mark.parametrize('cost', [math.nan, math.inf])
def test_a_cost_that_is_none_is_refused(cost: float) -> None:
    """It is not free."""
    own = OwnEnvironment(Counter(), 0.1, cost=lambda info: cost)
    own.reset()
    with pytest.raises(SpowlError, match='finite'):
        own.step([0.0, 0.0])


@pytest.mark.parametrize('what', ['reward', 'observation'])
def test_what_is_not_finite_is_refused(what: str) -> None:
    """It would spoil the networks, and the message would come after that."""
    counter = Counter()
    step = counter.step

    def spoilt(action: Any) -> Any:
        observation, reward, *rest = step(action)
        if what == 'reward':
            return observation, math.nan, *rest
        return {name: part * math.nan for name, part in observation.items()}, reward, *rest

    counter.step = spoilt
    own = OwnEnvironment(counter, 0.1, cost=lambda info: 0.0)
    own.reset()
    with pytest.raises(SpowlError, match=f'{what}.* finite'):
        own.step([0.0, 0.0])


def test_what_cannot_be_learned_from_is_refused() -> None:
    """Discrete actions, no cost, and a wrong name are each one clear error."""
    discrete = Counter()
    discrete.action_space = gymnasium.spaces.Discrete(3)
    with pytest.raises(SpowlError, match='finite bounds'):
        OwnEnvironment(discrete, 0.1)
    no_cost = OwnEnvironment(Counter(), 0.1)
    no_cost._environment.step = lambda action: ({}, 0.0, False, False, {})
    no_cost.reset()
    with pytest.raises(SpowlError, match="no 'cost'"):
        no_cost.step([0.0, 0.0])
    for name in ('no.such.module:make', 'examples.own_task.crossing:nothing'):
        with pytest.raises(SpowlError, match='cannot be imported'):
            environment.make(name)
    with pytest.raises(SpowlError, match='wrap it'):
        environment.make('examples.own_task.crossing:Crossing')


def test_a_task_is_made_by_every_name() -> None:
    """A function, and a file that names it, make the same task; it cannot be perturbed."""
    file = 'examples/own_task/crossing.yaml'
    assert environment.contract(file, 2) == environment.contract(TASK, 2)
    assert environment.make(file, action_repeat=2).reset(3).shape == (5,)
    assert environment.contract('PointGoal1', 2) == environment.contract(
        'SafetyPointGoal1-v0', 2)
    with pytest.raises(SpowlError, match='cannot be perturbed'):
        environment.make(TASK, perturbation=Perturbation(mass=2.0))


def test_the_example_is_deterministic_and_keeps_its_contract() -> None:
    """The same seed and actions give the same episode; the contract goes through JSON."""
    contract = environment.contract(TASK, 2)
    assert Contract.from_dict(contract.to_dict()) == contract
    assert (contract.task, contract.size, contract.action.size) == (TASK, 5, 2)
    episodes = []
    for _ in range(2):
        own = environment.make(TASK, action_repeat=2)
        episodes.append([own.reset(seed=7), *(own.step([1.0, 0.2]).observation
                                              for _ in range(5))])
    np.testing.assert_array_equal(*episodes)


def test_a_robot_may_say_where_its_values_are() -> None:
    """They are the positions of a JointState unless the robot's file names another message."""
    contract = environment.contract(TASK, 2)
    config.RobotConfig().check(contract)
    robot = read(config.RobotConfig, {'inputs': {'observation': {
        'topic': 'state', 'type': 'sensor_msgs/msg/JointState', 'field': 'position[0:5]'}}})
    robot.check(contract)
