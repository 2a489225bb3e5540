# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A training run so small that it takes seconds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spowl_ros.training.config import TrainConfig, from_dict


@pytest.fixture(scope='session')
def tiny_data() -> dict[str, Any]:
    """Return the smallest configuration that does everything a run does, as in a file."""
    return {
        'task': 'SafetyPointGoal1-v0', 'batch_size': 8,
        'collect': {'action_repeat': 20, 'environments': 3, 'decisions': 360,
                    'random_decisions': 30, 'updates_per_decision': 0.1, 'replay_capacity': 300,
                    'planning_share': 0.4},
        'networks': {'latent_dim': 16, 'enc_dim': 16, 'mlp_dim': 16, 'num_c': 2, 'num_q': 2,
                     'activation': 'silu', 'readout': 'linear', 'proximity_scale': 0.4},
        'optimiser': {'average_rate': 0.1}, 'constraint': {'kind': 'budget'},
        'schedule': {'log': 30, 'evaluate': 180, 'evaluation_episodes': 1, 'checkpoint': 60},
        'planner': {'iterations': 1, 'samples': 8, 'policy_candidates': 4, 'elites': 4}}


@pytest.fixture(scope='session')
def tiny(tiny_data: dict[str, Any]) -> TrainConfig:
    """Return that configuration."""
    return from_dict(tiny_data)


@pytest.fixture(autouse=True, scope='session')
def _one_thread() -> None:
    """Let PyTorch use one thread: small products gain nothing, and waiting threads cost all."""
    torch.set_num_threads(1)
