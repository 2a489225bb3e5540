# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Reference numbers of the authors' implementation: read networks and planner settings from files.

A pair of files `NAME.npz`, `NAME.json` holds the weights of all networks, inputs and outputs of
every part, and the settings of the computation.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.training.networks import BinConfig, NetworkConfig, Networks


@dataclass(frozen=True)
class Reference:
    """Networks with the weights from a pair of files, and the rest of its content."""

    networks: Networks
    """In evaluation mode, on the CPU."""
    arrays: dict[str, np.ndarray]
    """Every array of the npz file except the weights."""
    settings: dict[str, Any]
    """The json file; its `cases` are the settings of the planner calls."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return an array as a tensor."""
        return torch.from_numpy(self.arrays[name])

    def planner_settings(self, case: dict[str, Any]) -> PlannerSettings:
        """Return the settings of one planner call: the authors' planner, one iteration."""
        s = self.settings
        return PlannerSettings(
            kind=case['method'], iterations=1, horizon=s['horizon'],
            samples=s['num_samples'] - s['num_policy_trajectories'],
            policy_candidates=s['num_policy_trajectories'], elites=s['num_elites'],
            temperature=s['temperature'], min_std=s['min_std'], max_std=s['max_std'],
            first_std=s['max_std'], warm_std=s['max_std'], discount=s['discount'],
            cost_discount=s['cost_discount'],
            thresholds='interval' if case['use_ci_thresholds'] else 'mean',
            limit_elites=case['restrict_elites'], switch=case['restrict_action'],
            cost_threshold=case['threshold'])


def load(npz: str | Path, settings: str | Path) -> Reference:
    """
    Build the networks of a pair of reference files.

    :param npz: arrays; axis 0 of an ensemble's is the member
    :param settings: the json file beside it
    :raises SpowlError: a file cannot be read, or the weights do not fit the settings
    """
    try:
        with np.load(npz, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        described = json.loads(Path(settings).read_text())
    except (OSError, ValueError) as error:
        raise SpowlError(f'cannot read reference numbers {npz}, {settings}: {error}') from error
    try:
        bins = BinConfig(described['num_bins'], described['vmin'], described['vmax'])
        config = NetworkConfig(
            **{key: described[key] for key in (
                'obs_dim', 'action_dim', 'latent_dim', 'simnorm_dim', 'enc_dim', 'mlp_dim',
                'num_c', 'num_q', 'log_std_min', 'log_std_max')},
            enc_layers=_depth(arrays, 'encoder'), mlp_layers=_depth(arrays, 'dynamics'),
            reward_bins=bins, cost_bins=bins, reward_value_bins=bins, cost_value_bins=bins)
    except KeyError as error:
        raise SpowlError(f'{settings} lacks the setting {error}') from error
    networks = Networks(config)
    weights = {_parameter(name): torch.from_numpy(arrays.pop(name))
               for name in list(arrays) if name.startswith('w.')}
    missing, unexpected = networks.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.startswith('features.')]
    if missing or unexpected:
        raise SpowlError(f'weights of {npz} do not fit: missing {missing}, unknown {unexpected}')
    return Reference(networks.eval(), arrays, described)


def _depth(arrays: dict[str, np.ndarray], net: str) -> int:
    """Return the number of hidden layers of a network."""
    return sum(name.startswith(f'w.{net}.') and name.count('.') == 3 and name.endswith('.weight')
               for name in arrays) - 1


def _parameter(name: str) -> str:
    """Return our name of the weight `w.<net>.<layer>.<what>`."""
    _, net, layer, what = name.split('.', 3)
    return f'{net}.layers.{layer}.{what.replace(".", "_")}'
