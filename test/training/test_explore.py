# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Exploration of many learners at once is that of each alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.sim import environment
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.explore import Explorer
from spowl_ros.training.learner import Learners
from spowl_ros.training.networks import Networks

STREAMS, PLANNING = 3, 2


def explorer(tiny: TrainConfig, seeds: list[int], planners: list[PlannerSettings]) -> Explorer:
    """Return the exploration of learners with these seeds."""
    contract = environment.contract(tiny.task, tiny.collect.action_repeat)
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(Networks(replace(tiny.networks, dropout=0.0).fitted(contract)))
    collect = replace(tiny.collect, environments=STREAMS, planning_share=PLANNING / STREAMS)
    configs = [replace(tiny, seed=seed, planner=planner, collect=collect)
               for seed, planner in zip(seeds, planners, strict=True)]
    return Explorer(Learners(networks, configs), configs,
                    [torch.Generator().manual_seed(seed) for seed in seeds])


def acted(tested: Explorer, learner: int, random: np.random.Generator) -> list[Any]:
    """Return a learner's actions of three steps; its first stream begins anew before the last."""
    count, _, size = tested._seen.shape
    result = []
    for step in range(3):
        observations = random.uniform(0, 1, (STREAMS, size)).astype(np.float32)
        noise = torch.from_numpy(random.standard_normal(
            (STREAMS, tested._noise.shape[-1])).astype(np.float32))
        if step == 2:
            for index in range(count):
                tested.reset(index, 0)
        result.append(tested.act(np.tile(observations, (count, 1, 1)),
                                 noise.expand(count, -1, -1))[learner])
    return result


def test_stacked_learners_explore_as_alone(tiny: TrainConfig) -> None:
    """Policies, plans, their memory and their noise are a learner's own; so are its knobs."""
    planners = [tiny.planner, replace(tiny.planner, temperature=0.1)]
    together = [explorer(tiny, [3, 5], planners) for _ in range(2)]
    for learner, seed in enumerate([3, 5]):
        alone = explorer(tiny, [seed], [planners[learner]])
        mine = acted(alone, 0, np.random.default_rng(0))
        theirs = acted(together[learner], learner, np.random.default_rng(0))
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_memory_goes_on(tiny: TrainConfig) -> None:
    """State that is restored explores the same; of another number of plans only the noise is."""
    first, second = (explorer(tiny, [3], [tiny.planner]) for _ in range(2))
    acted(first, 0, np.random.default_rng(0))
    second.load_state(first.state(0), 0)
    one, other = (acted(e, 0, np.random.default_rng(1)) for e in (first, second))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
