# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A gait walks, says what it needs, and teaches a policy."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.control.contract import SCAN_RANGE
from spowl_ros.sim import environment
from spowl_ros.training import config as configuration
from spowl_ros.training.config import GuideConfig
from spowl_ros.training.gait import Avoidance, Gait, GaitConfig, load
from spowl_ros.training.trainer import Trainer

ROBOTS = 'Ant', 'Doggo'


def shipped(robot: str) -> GaitConfig:
    """Return the gait in config/training/gaits/."""
    return load(configuration.beside(f'gaits/{robot}.yaml'))


@pytest.mark.parametrize('robot', ROBOTS)
def test_gait_reaches_goals(robot: str) -> None:
    """By itself it goes to goals, where a robot that stands still earns nothing."""
    env = environment.make(f'Safety{robot}Goal1-v0')
    gait = Gait(shipped(robot), env.contract)
    total, goals = 0.0, 0
    for seed in VALIDATION[:3]:
        observation = env.reset(seed=seed)
        for _ in range(300):
            step = env.step(gait(torch.from_numpy(observation)[None])[0].numpy())
            observation = step.observation
            total += step.reward
            goals += step.info['goals']
            if step.terminated:
                break
    assert total > 6.0
    assert goals > 3


@pytest.mark.slow
@pytest.mark.parametrize('robot', ROBOTS)
def test_gait_judges_each_observation_alone(robot: str) -> None:
    """Actions are in range and do not hang on what else is in the batch."""
    env = environment.make(f'Safety{robot}Goal1-v0')
    gait = Gait(shipped(robot), env.contract)
    obs = torch.from_numpy(np.stack([env.reset(seed=seed) for seed in VALIDATION[:4]]))
    actions = gait(obs)
    assert actions.shape == (4, env.contract.action.size)
    assert actions.abs().max() <= 1.0
    for one, together in zip(obs, actions, strict=True):
        torch.testing.assert_close(gait(one[None])[0], together)


def test_heading_bends_around_obstacles() -> None:
    """Goal ahead: straight on in the open, back from an obstacle touched, past one on the way."""
    contract = environment.contract('SafetyAntGoal1-v0')
    gait = Gait(shipped('Ant'), contract)
    goal, hazards = contract.slices['goal_lidar'], contract.slices['hazards_lidar']
    obs = torch.zeros(3, contract.size)
    obs[:, [goal.start, goal.stop - 1]] = 0.5  # between the first and the last sector: ahead
    obs[1, [hazards.start, hazards.stop - 1]] = 1.0
    obs[2, hazards.start] = 1.0 - 0.3 / SCAN_RANGE  # a little to the left
    open_, touching, left = gait.heading(obs)
    torch.testing.assert_close(open_, torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    assert touching[0] < 0.0
    assert left[1] < -0.1


def test_obstacles_ahead_are_passed_on_one_side() -> None:
    """Where each had a side of its own, those left and right of the way cancelled out."""
    contract = environment.contract('SafetyDoggoGoal1-v0')
    gait = Gait(replace(shipped('Doggo'), avoidance=Avoidance(0.0, 1.0, 0.35, 0.1)), contract)
    goal, hazards = contract.slices['goal_lidar'], contract.slices['hazards_lidar']
    obs = torch.zeros(2, contract.size)
    obs[:, [goal.start, goal.stop - 1]] = 0.5  # ahead
    closer, farther = 1.0 - 0.35 / SCAN_RANGE, 1.0 - 0.45 / SCAN_RANGE
    obs[0, hazards.start], obs[0, hazards.stop - 1] = closer, farther  # left, right
    obs[1, hazards.start], obs[1, hazards.stop - 1] = farther, closer
    right, left = gait.heading(obs)
    assert right[1] < -0.5 and left[1] > 0.5
    torch.testing.assert_close(right * torch.tensor([1.0, -1.0]), left)


@pytest.mark.parametrize(('change', 'reason'), [
    ({'robot': 'Doggo'}, 'a gait of Doggo cannot guide Ant'),
    ({'goal': 'buttons_lidar'}, "needs 'buttons_lidar', which SafetyAntGoal1-v0 does not have"),
    ({'phase': {'knee': [1.0, 0.0]}}, "needs 'knee'"),
    ({'strokes': {'hip_1': [[0.0] * 3] * 3}}, 'the gait moves hip_1; .* has hip_1, ankle_1'),
])
def test_gait_that_does_not_fit_is_refused(change: dict[str, Any], reason: str) -> None:
    """It says what is missing and what there is."""
    with pytest.raises(SpowlError, match=reason):
        Gait(replace(shipped('Ant'), **change), environment.contract('SafetyAntGoal1-v0'))


@pytest.mark.parametrize('text', ['', 'robot: Ant', 'robot: [', 'robot: Ant\nrobot: Ant'])
def test_file_that_is_no_gait_is_refused(text: str, tmp_path: Path) -> None:
    """Its name is said."""
    path = tmp_path / 'gait.yaml'
    path.write_text(text)
    with pytest.raises(SpowlError, match=r'no gait in .*gait\.yaml'):
        load(path)
    with pytest.raises(SpowlError, match='no gait in'):
        load(tmp_path / 'missing.yaml')


@pytest.mark.parametrize(('part', 'numbers'), [
    ('strokes', {'hip_1': [[0.0] * 3] * 2}), ('strokes', {'hip_1': [[0.0] * 2] * 3}),
    ('phase', {'hip_1': [1.0]}),
])
def test_numbers_of_a_wrong_shape_are_refused(part: str, numbers: Any, tmp_path: Path) -> None:
    """It says whose numbers are wrong and how many are wanted."""
    config = dataclasses.asdict(shipped('Ant'))
    config[part] |= numbers
    path = tmp_path / 'gait.yaml'
    path.write_text(yaml.dump(config))
    with pytest.raises(SpowlError, match=rf"no gait in .*'{part}.hip_1.*wanted a list of"):
        load(path)


@pytest.mark.slow
def test_guide_teaches_the_policy(tiny_data: dict[str, Any], tmp_path: Path) -> None:
    """The policy comes close to what the gait does, from which it starts far away."""
    data = {**tiny_data, 'task': 'SafetyAntGoal1-v0', 'guide': {'gait': 'gaits/Ant.yaml'}}
    data['collect'] = {**data['collect'], 'action_repeat': 1, 'planning_share': 0.0,
                       'updates_per_decision': 1.0}
    data['networks'] = {**data['networks'], 'latent_dim': 64, 'enc_dim': 64, 'mlp_dim': 64}
    data['optimiser'] = {**data['optimiser'], 'learning_rate': 3e-3, 'policy_learning_rate': 3e-3}
    trainer = Trainer(configuration.from_dict(data), tmp_path / 'run')

    gait = trainer.members[0].gait
    assert gait is not None

    def distance(obs: torch.Tensor) -> float:
        networks = trainer.learners.weights.members[0].eval()
        with torch.no_grad():
            mean = torch.tanh(networks.policy_distribution(networks.encode(obs))[0])
            return float((mean - gait(obs)).square().mean())

    before = distance(torch.as_tensor(trainer.collector.observations))
    trainer.run()
    seen = trainer.buffer.arrays['obs'][:trainer.buffer.filled]
    assert before > 0.3
    assert distance(torch.as_tensor(seen).flatten(0, -2)) < 0.5 * before


def test_guide_fades() -> None:
    """Its weight falls along a line and stays where it ends."""
    guide = GuideConfig(weight=2.0, last_weight=0.5, updates=100)
    assert [guide.weight_after(n) for n in (0, 50, 100, 1000)] == [2.0, 1.25, 0.5, 0.5]
