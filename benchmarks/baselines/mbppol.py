# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
MBPPOL: PPO-Lagrangian in the imagination of an ensemble (Jayant and Bhatnagar, arXiv 2210.07573).

Each round drives the real environment, fits OmniSafe's ensemble to all experience, and improves
the policy on imagined trajectories while it improves in most models. The cost is a known function
of the coordinates, as in the paper. It departs from the paper in this: each imagined trajectory
stays in one model; the limit of a trajectory is the episode's times its share of an episode, not
one tuned by hand; decisions after which a goal moved are not learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.baselines.coordinates import CoordinateEnvironment, HazardCost
from benchmarks.baselines.driving import DrivenTraining, Experience, World
from benchmarks.baselines.runs import COORDINATES, Run
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.control.contract import ActionSpec
from spowl_ros.evaluation.episodes import Agent

from omnisafe.algorithms.model_based.base.ensemble import (  # type: ignore[import-not-found]  # isort: skip
    EnsembleDynamicsModel,
    StandardScaler,
)

_LEAST_SPREAD = 1e-2


@dataclass(frozen=True)
class Settings:
    """Sizes and rates; the paper's where it names them."""

    round_decisions: int = 6_000
    models: int = 8
    model_hidden: int = 200
    horizon: int = 80
    trajectories: int = 128
    """Imagined for one update, over all models."""
    most_updates: int = 40
    least_improved: float = 0.66
    """Fraction of models in which an update has to improve the policy."""
    hidden: int = 64
    epochs: int = 10
    batch: int = 1_024
    rate: float = 3e-4
    value_rate: float = 1e-3
    multiplier_rate: float = 5e-2
    clip: float = 0.1
    discount: float = 0.99
    smoothing: float = 0.97


def network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return a multilayer perceptron with two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden),
                         nn.Tanh(), nn.Linear(hidden, outputs))


class Policy(nn.Module):
    """A Gaussian policy over standardised observations; its mean acts in an evaluation."""

    window = 0
    seen_mean: Tensor
    seen_std: Tensor

    def __init__(self, size: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.mean = network(size, hidden, actions)
        self.log_std = nn.Parameter(torch.full((actions,), -0.5))
        self.register_buffer('seen_mean', torch.zeros(size))
        self.register_buffer('seen_std', torch.ones(size))

    def standardise(self, seen: Tensor) -> Tensor:
        """Return observations (..., O) with mean 0 and spread 1."""
        return ((seen - self.seen_mean) / self.seen_std).clamp(-5.0, 5.0)

    def distribution(self, seen: Tensor) -> torch.distributions.Normal:
        """Return the distribution of actions (..., A), which the environment clips."""
        return torch.distributions.Normal(self.mean(self.standardise(seen)), self.log_std.exp())

    def begin(self, seeds: Sequence[int]) -> None:
        """Do nothing: the policy keeps nothing between decisions."""

    def paid(self, lane: int, cost: float) -> None:
        """Do nothing."""

    @torch.no_grad()
    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return mean actions (n, A) for observations (n, O)."""
        mean = self.distribution(torch.as_tensor(observations)).mean
        return mean.clamp(-1.0, 1.0).numpy(), ['policy'] * len(lanes)


@dataclass(frozen=True)
class Problem:
    """What is to be learned."""

    world: World
    action: ActionSpec
    cost_of: Callable[[Tensor], Tensor]
    """From observations (..., O) after a decision to its cost (..., 1)."""


def in_coordinates(task: str, action_repeat: int) -> Problem:
    """Return a task of ours on coordinates; each raw step costs what the decision's last does."""
    world, cost = CoordinateEnvironment(task, action_repeat), HazardCost(task)
    return Problem(world, world.contract.action, partial(_repeated, cost, action_repeat))


def _repeated(cost_of: HazardCost, times: int, seen: Tensor) -> Tensor:
    return times * cost_of(seen)


class Scaler(StandardScaler):  # type: ignore[misc]
    """OmniSafe's, but a number that never changes is not blown up."""

    def fit(self, data: NDArray[np.float32]) -> None:
        """Take mean and spread of inputs (N, O + A)."""
        super().fit(data)
        self._std_t.clamp_(min=_LEAST_SPREAD)


class Learner:
    """
    Everything that learns, apart from any environment.

    :param size: of an observation
    :param limit: of the cost of a decision, in the mean
    """

    def __init__(self, size: int, problem: Problem, limit: float, settings: Settings) -> None:
        s = self.settings = settings
        self._limit = limit
        self._ensemble = EnsembleDynamicsModel(SimpleNamespace(
            num_ensemble=s.models, elite_size=s.models, hidden_size=s.model_hidden,
            batch_size=256, max_epoch=5, reward_size=1, cost_size=1, predict_reward=True,
            predict_cost=False, use_cost=True, use_decay=True, use_terminal=False, use_var=False,
            use_reward_critic=False, use_cost_critic=False), torch.device('cpu'), (size,),
            (problem.action.size,), cost_func=problem.cost_of)
        self._ensemble.ensemble_model.scaler = Scaler(torch.device('cpu'))
        self.policy = Policy(size, problem.action.size, s.hidden)
        self._values = network(size, s.hidden, 2)
        self._price = nn.Parameter(torch.tensor(0.5))
        self._adam = torch.optim.Adam([
            {'params': self.policy.parameters(), 'lr': s.rate},
            {'params': self._values.parameters(), 'lr': s.value_rate}])
        self._price_adam = torch.optim.Adam([self._price], s.multiplier_rate)

    @property
    def multiplier(self) -> float:
        """What a unit of cost weighs against a unit of reward."""
        return float(functional.softplus(self._price.detach()))

    def learn(self, experience: Experience) -> None:
        """Fit the ensemble, then improve the policy."""
        self._ensemble.train(
            np.concatenate([experience['obs'], experience['action']], axis=1),
            np.concatenate([experience['reward'],
                            experience['next_obs'] - experience['obs']], axis=1),
            holdout_ratio=0.1)
        starts = torch.from_numpy(experience['obs'])
        self.policy.seen_mean.copy_(starts.mean(0))
        self.policy.seen_std.copy_(starts.std(0).clamp_min(_LEAST_SPREAD))
        s = self.settings
        for _ in range(s.most_updates):
            rows = torch.randint(len(starts), (s.models, s.trajectories // s.models))
            before = self._judge(starts[rows])
            self._update(self._imagine(starts[rows]))
            improved = (self._judge(starts[rows]) > before).float().mean()
            if improved < s.least_improved:
                break

    @torch.no_grad()
    def _imagine(self, seen: Tensor, mean: bool = False) -> dict[str, Tensor]:
        """Return trajectories (H, M, N, ...) from observations (M, N, O), each in its model."""
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(self.settings.horizon):
            distribution = self.policy.distribution(seen)
            action = distribution.mean if mean else distribution.sample()
            after, reward, info = self._ensemble.sample(seen, action.clamp(-1.0, 1.0),
                                                        deterministic=mean)
            steps.append((seen, action, distribution.log_prob(action).sum(-1),
                          torch.cat([reward, info['costs'][0]], -1)))
            seen = after
        names = 'obs', 'action', 'log_prob', 'gains'
        return {**dict(zip(names, map(torch.stack, zip(*steps, strict=True)), strict=True)),
                'last': seen}

    def _judge(self, starts: Tensor) -> Tensor:
        """Return what the mean policy gains in each model (M,), cost weighed by the multiplier."""
        reward, cost = self._imagine(starts, mean=True)['gains'].mean((0, 2)).unbind(-1)
        return reward - self.multiplier * cost

    def _update(self, found: dict[str, Tensor]) -> None:
        """Move the multiplier, then policy and values by PPO's clipped objective."""
        s = self.settings
        self._price_adam.zero_grad()
        (self._price * (self._limit - found['gains'][..., 1].mean())).backward()
        self._price_adam.step()
        with torch.no_grad():
            values = self._values(self.policy.standardise(
                torch.cat([found['obs'], found['last'].unsqueeze(0)])))
        errors = found['gains'] + s.discount * values[1:] - values[:-1]
        advantage, last = torch.zeros_like(errors), torch.zeros_like(errors[0])
        for step in reversed(range(len(errors))):
            last = errors[step] + s.discount * s.smoothing * last
            advantage[step] = last
        wanted = (advantage + values[:-1]).flatten(0, 2)
        advantage = (advantage - advantage.mean((0, 1, 2))) / (advantage[..., 0].std() + 1e-8)
        weight = self.multiplier
        gain = ((advantage[..., 0] - weight * advantage[..., 1]) / (1.0 + weight)).flatten()
        obs, action = found['obs'].flatten(0, 2), found['action'].flatten(0, 2)
        before = found['log_prob'].flatten()
        for _ in range(s.epochs):
            for rows in torch.randperm(len(obs)).split(s.batch):
                distribution = self.policy.distribution(obs[rows])
                ratio = (distribution.log_prob(action[rows]).sum(-1) - before[rows]).exp()
                clipped = torch.minimum(ratio * gain[rows],
                                        ratio.clamp(1 - s.clip, 1 + s.clip) * gain[rows])
                missed = self._values(self.policy.standardise(obs[rows])) - wanted[rows]
                self._adam.zero_grad()
                (missed.square().mean() - clipped.mean()).backward()
                self._adam.step()


class MBPPOLTraining(DrivenTraining):
    """MBPPOL in training, on coordinates."""

    observation = COORDINATES

    def __init__(self, run: Run, folder: Path,
                 problem_of: Callable[[str, int], Problem] = in_coordinates,
                 settings: Settings | None = None) -> None:
        self._settings = s = settings or Settings()
        problem = problem_of(run.task, self.action_repeat)
        super().__init__(run, problem.world, problem.action, lambda size: Learner(
            size, problem, run.cost_limit * self.action_repeat / RAW_STEPS, s), s.round_decisions)

    def advance(self) -> tuple[float, float]:
        """Drive and learn; return return and cost of recent episodes."""
        policy = self._learner.policy

        @torch.no_grad()
        def act(seen: NDArray[np.float32], begins: bool) -> NDArray[np.float32]:
            action = policy.distribution(torch.as_tensor(seen)).sample()
            drawn: NDArray[np.float32] = action.clamp(-1.0, 1.0).numpy()
            return drawn

        self._driver.drive(act, self._settings.round_decisions)
        experience = self._driver.experience()
        foreseeable = experience['goal_moved'][:, 0] == 0.0
        self._learner.learn({name: part[foreseeable] for name, part in experience.items()})
        return self._driver.recent()

    def policy(self) -> Agent:
        """Return the policy."""
        policy: Policy = self._learner.policy
        return policy
