# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Untrained networks, to try a machine, a task or a test before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from spowl_ros.control.bundle import Bundle
from spowl_ros.control.contract import Contract
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.training.export import export
from spowl_ros.training.networks import BinConfig, NetworkConfig, Networks

COMPACT = NetworkConfig(
    latent_dim=64, enc_dim=128, mlp_dim=128, num_c=2, num_q=2, activation='silu',
    readout='linear', reward_bins=BinConfig(51, -2.0, 2.0), cost_bins=BinConfig(51, 0.0, 3.0),
    reward_value_bins=BinConfig(51, -4.0, 4.0), cost_value_bins=BinConfig(51, 0.0, 5.0))
"""Networks that plan within a control period on two cores."""
PAPER = NetworkConfig()
"""The authors' networks."""
PAPER_PLANNER = PlannerSettings()
"""The authors' planner."""


def untrained_networks(contract: Contract, config: NetworkConfig = COMPACT,
                       seed: int = 0) -> Networks:
    """
    Return networks of a contract's sizes with random weights.

    The last layers are random too, unlike at the start of a training. Otherwise all candidates
    would get the same prediction, and a planner could not choose.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        networks = Networks(config.fitted(contract))
        for parameter in networks.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=1.5 / parameter.shape[-1] ** 0.5)
    return networks.eval()


def export_untrained(directory: str | Path, contract: Contract,
                     config: NetworkConfig = COMPACT, settings: PlannerSettings | None = None,
                     seed: int = 0, **options: Any) -> Bundle:
    """
    Write a bundle of untrained networks, marked as untrained.

    :param options: passed on to `export`
    """
    return export(untrained_networks(contract, config, seed), contract,
                  settings or PlannerSettings.compact(), directory,
                  provenance={'untrained': True, 'seed': seed}, **options)
