# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A quick look at the policy during training, on seeds that nothing else uses."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spowl_ros.base.seeds import VALIDATION
from spowl_ros.evaluation.episodes import side_by_side
from spowl_ros.sim import environment
from spowl_ros.training.agent import PlannerAgent
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.networks import Networks


def validate(networks: Networks, config: TrainConfig, episodes: int,
             proceed: Callable[[], bool] = lambda: True) -> dict[str, float] | None:
    """
    Run the policy's mean for `episodes` episodes side by side.

    :param proceed: asked after every decision
    :return: means, or None if `proceed` returned False
    """
    agent = PlannerAgent(networks, replace(config.planner, kind='policy'))
    environments = [environment.make(config.task, action_repeat=config.collect.action_repeat)
                    for _ in range(episodes)]
    done = side_by_side(agent, environments, VALIDATION[:episodes], lambda steps: proceed())
    if not done:
        return None
    costs = np.array([episode.cost for episode in done])
    return {'evaluation_return': float(np.mean([episode.reward for episode in done])),
            'evaluation_cost': float(costs.mean()),
            'evaluation_cost_free': float((costs == 0).mean())}
