# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A quick look at the policy during training, on seeds that nothing else uses.

It drives the nominal robot and, if configured, the robot `PERTURBED` on the same layouts.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spowl_ros.base.seeds import VALIDATION
from spowl_ros.evaluation.episodes import side_by_side
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import preset
from spowl_ros.training.agent import PlannerAgent
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.networks import Networks

PERTURBED = 'ordinary'
"""The perturbed robot of validations, a name in `perturbation.PRESETS`."""


def validate(networks: Networks, config: TrainConfig, proceed: Callable[[], bool] = lambda: True
             ) -> dict[str, float] | None:
    """
    Run the policy's mean side by side for the episodes of `config.schedule`.

    :param proceed: asked after every decision
    :return: means, those of the perturbed robot begin with `perturbed_`; None if `proceed`
        returned False
    """
    schedule = config.schedule
    raw_period = environment.contract(config.task, config.collect.action_repeat).raw_period
    figures: dict[str, float] = {}
    for name, episodes, perturbation in (
            ('evaluation', schedule.evaluation_episodes, None),
            ('perturbed', schedule.perturbed_episodes, preset(PERTURBED, raw_period))):
        if not episodes:
            continue
        agent = PlannerAgent(networks, replace(config.planner, kind='policy'))
        environments = [environment.make(config.task, action_repeat=config.collect.action_repeat,
                                         perturbation=perturbation) for _ in range(episodes)]
        done = side_by_side(agent, environments, VALIDATION[:episodes], lambda steps: proceed())
        if not done:
            return None
        costs = np.array([episode.cost for episode in done])
        figures |= {f'{name}_return': float(np.mean([episode.reward for episode in done])),
                    f'{name}_cost': float(costs.mean()),
                    f'{name}_cost_free': float((costs == 0).mean())}
    return figures
