# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A quick look at the policy during training, on seeds that nothing else uses.

It drives the nominal robot and, if configured, the robot `PERTURBED` on the same layouts. Episodes
run on CPUs, a few side by side; the figures do not depend on where.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
import contextlib
from dataclasses import dataclass, replace
import logging

import numpy as np
from numpy.typing import NDArray
import torch

from spowl_ros.base.children import pool
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.evaluation.episodes import side_by_side
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import preset
from spowl_ros.training.agent import PlannerAgent
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.networks import Networks

PERTURBED = 'ordinary'
"""The perturbed robot of validations, a name in `perturbation.PRESETS`."""
ROBOTS = 'evaluation', 'perturbed'
"""What the figures of the nominal and of the perturbed robot begin with."""
FIGURES = 'return', 'cost', 'cost_free'
SIDE_BY_SIDE = 4
"""Episodes that one process drives at once."""
_ASK_S = 0.2

Outcomes = NDArray[np.float64]
"""(episodes, 2): return and cost."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Episodes:
    """Some episodes of one learner's policy."""

    learner: int
    config: TrainConfig
    weights: dict[str, NDArray[np.float32]]
    robot: str
    """One of `ROBOTS`."""
    seeds: Sequence[int]

    def drive(self, proceed: Callable[[int], bool] | None = None) -> Outcomes:
        """Return the episodes' outcomes, by the policy's mean; fewer if `proceed` says False."""
        with torch.random.fork_rng([]):  # new networks draw weights
            networks = Networks(self.config.networks)
        networks.load_state_dict({name: torch.from_numpy(value)
                                  for name, value in self.weights.items()})
        repeat = self.config.collect.action_repeat
        robot = preset(PERTURBED, environment.contract(self.config.task, repeat).raw_period
                       ) if self.robot == ROBOTS[1] else None
        agent = PlannerAgent(networks, replace(self.config.planner, kind='policy'))
        environments = [environment.make(self.config.task, action_repeat=repeat,
                                         perturbation=robot) for _ in self.seeds]
        done = side_by_side(agent, environments, self.seeds, proceed)
        return np.array([(episode.reward, episode.cost) for episode in done]).reshape(-1, 2)


class Validation:
    """
    Validates learners, in several processes at once if asked.

    :param workers: processes; 0: none but this one
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._stack = contextlib.ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, due: Sequence[tuple[Networks, TrainConfig]],
                 proceed: Callable[[], bool] = lambda: True) -> list[dict[str, float]]:
        """
        Run the validation episodes of learners.

        :param due: networks and configuration of each
        :param proceed: asked again and again
        :return: means for each, those of the perturbed robot begin with `perturbed_`; none if
            `proceed` returned False
        """
        parts = [part for learner, (networks, config) in enumerate(due)
                 for part in _parts(learner, networks, config)]
        outcomes = self._apart(parts, proceed) if self._workers else None
        if outcomes is None:
            outcomes = [part.drive(lambda steps: proceed()) for part in parts if proceed()]
        if sum(map(len, outcomes)) < sum(len(part.seeds) for part in parts):
            return []
        made: defaultdict[tuple[int, str], list[Outcomes]] = defaultdict(list)
        for part, outcome in zip(parts, outcomes, strict=True):
            made[part.learner, part.robot].append(outcome)
        figures: list[dict[str, float]] = [{} for _ in due]
        for (learner, robot), some in made.items():
            reward, cost = np.concatenate(some).T
            means = reward.mean(), cost.mean(), (cost == 0).mean()
            figures[learner] |= {f'{robot}_{name}': float(mean)
                                 for name, mean in zip(FIGURES, means, strict=True)}
        return figures

    def _apart(self, parts: Sequence[_Episodes], proceed: Callable[[], bool]
               ) -> list[Outcomes] | None:
        """Return the outcomes, made in other processes; None if one of these died."""
        try:
            if self._pool is None:
                self._pool = self._stack.enter_context(
                    pool(self._workers, torch.set_num_threads, (1,)))
            futures: list[Future[Outcomes]] = [self._pool.submit(part.drive) for part in parts]
            missing = set(futures)
            while missing:
                missing = wait(missing, _ASK_S).not_done
                if not proceed():
                    for future in missing:
                        future.cancel()
                    return []
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            log.warning('a process that validated died; this one does it: %s', error)
            self.close()
            return None

    def close(self) -> None:
        """End the processes."""
        self._stack.close()
        self._pool = None


def _parts(learner: int, networks: Networks, config: TrainConfig) -> list[_Episodes]:
    weights = {name: value.detach().cpu().numpy()
               for name, value in networks.state_dict().items()}
    schedule = config.schedule
    seeds = VALIDATION[:schedule.evaluation_episodes], VALIDATION[:schedule.perturbed_episodes]
    return [_Episodes(learner, config, weights, robot, mine[first:first + SIDE_BY_SIDE])
            for robot, mine in zip(ROBOTS, seeds, strict=True)
            for first in range(0, len(mine), SIDE_BY_SIDE)]
