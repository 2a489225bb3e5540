# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One learner of a trainer: everything it has of its own except weights and replay."""
from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from spowl_ros.base.names import BEST
from spowl_ros.training import checkpoint
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.gait import Gait
from spowl_ros.training.progress import Progress
from spowl_ros.training.stream import EpisodeSummary
from spowl_ros.training.validation import FIGURES, ROBOTS

RECENT = 20
"""Number of recent episodes in the reported return and cost."""
COST_WEIGHT = 2.0
"""Penalty per unit of cost over the budget, subtracted from a validation's return."""


def score(evaluation: Mapping[str, float], budget: float) -> float:
    """Return a validation's return minus a penalty for cost over the budget, the robots' mean."""
    return float(np.mean([
        evaluation[f'{robot}_return']
        - COST_WEIGHT * max(0.0, evaluation[f'{robot}_cost'] - budget)
        for robot in ROBOTS if f'{robot}_return' in evaluation]))


class Member:
    """
    Configuration, directory, randomness, episodes and validation of one learner.

    :param index: its place in the trainer's stacks
    :param name: its name among several learners; empty for a single one
    :param gait: acts first and then guides; None: no gait
    :param device: of the learner
    """

    def __init__(self, index: int, name: str, config: TrainConfig, directory: Path,
                 gait: Gait | None, device: torch.device) -> None:
        self.index, self.name, self.config = index, name, config
        self.directory, self.gait = directory, gait
        self.plan_noise = torch.Generator(device).manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.episodes: deque[EpisodeSummary] = deque(maxlen=RECENT)
        self.evaluation: dict[str, float] = {}
        self.evaluation_due = False
        self.best_score = -np.inf
        self.failed = ''
        """Why this learner ended before the others; empty while it runs."""
        self.progress: Progress
        """Since the run has begun."""

    # -- acting -------------------------------------------------------------------------------

    def first_actions(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return actions (streams, A) from the gait or at random, without a network."""
        if self.gait is None:
            shape = len(observations), self.config.networks.action_dim
            return self.rng.uniform(-1, 1, shape).astype(np.float32)
        guided = self.gait(torch.from_numpy(observations).to(self.plan_noise.device)).cpu().numpy()
        noise = self.rng.standard_normal(guided.shape, np.float32)
        return np.clip(guided + self.config.guide.noise * noise, -1.0, 1.0)

    def exploration(self) -> Tensor:
        """Return noise (streams, A) for the policy; zero for the last streams if configured."""
        collect = self.config.collect
        shape = collect.environments, self.config.networks.action_dim
        noise = self.rng.standard_normal(shape, np.float32)
        noise[collect.environments - round(collect.quiet_share * collect.environments):] = 0.0
        return torch.from_numpy(noise)

    # -- measuring ----------------------------------------------------------------------------

    def take_evaluation(self, evaluation: dict[str, float]) -> bool:
        """Keep a validation's figures; return whether they are the best so far."""
        self.evaluation, self.evaluation_due = evaluation, False
        optimiser = self.config.optimiser
        # if encoder and policy do not learn, only the values are new, and the newest are kept
        learns = optimiser.encoder_factor or optimiser.policy_learning_rate
        if self.score < self.best_score or (self.score == self.best_score and learns):
            return False
        self.best_score = self.score
        return True

    @property
    def score(self) -> float:
        """Return the last validation's score."""
        return score(self.evaluation, self.config.constraint.budget)

    def rescore(self) -> dict[str, Tensor] | None:
        """
        Score the kept networks by the present budget; return them, or None if none are.

        If a validation has other episodes now, no later score compares with theirs, and the next
        validated networks replace them.
        """
        if not (self.directory / BEST).exists():
            return None
        kept = checkpoint.load(self.directory / BEST)
        before, now = configuration.from_dict(kept['config']).schedule, self.config.schedule
        alike = (before.evaluation_episodes == now.evaluation_episodes
                 and before.perturbed_episodes == now.perturbed_episodes)
        self.best_score = (score(kept['evaluation'], self.config.constraint.budget) if alike
                           else -np.inf)
        networks: dict[str, Tensor] = kept['networks']
        return networks

    def figures(self) -> dict[str, float]:
        """Return the means of recent episodes and the last validation's figures."""
        mean = {column: float(np.mean([getattr(e, name) for e in self.episodes]))
                if self.episodes else float('nan')
                for column, name in (('return', 'reward'), ('cost', 'cost'))}
        driven = ROBOTS if self.config.schedule.perturbed_episodes else ROBOTS[:1]
        shown = [f'{robot}_{figure}' for robot in driven for figure in FIGURES]
        return {**mean, **{name: self.evaluation.get(name, float('nan')) for name in shown}}

    # -- what is kept -------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {'name': self.name, 'config': self.config.to_dict(), 'failed': self.failed,
                'evaluation': dict(self.evaluation), 'evaluation_due': self.evaluation_due,
                'best_score': float(self.best_score),
                'episodes': [vars(e) for e in self.episodes],
                'rng': self.rng.bit_generator.state}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.failed = state['failed']
        self.evaluation = state['evaluation']
        self.evaluation_due = state['evaluation_due']
        self.best_score = state['best_score']
        self.episodes.extend(EpisodeSummary(**e) for e in state['episodes'])
        self.rng.bit_generator.state = state['rng']
