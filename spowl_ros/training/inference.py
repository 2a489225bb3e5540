# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The networks as the planner calls them: for rows of candidates, one head after another.

The forward pass is that of `networks`, with less work. A latent shared by all candidates goes
through its part of the first layer once. Members of an ensemble are separate two-dimensional
products; only the requested ones are computed.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from spowl_ros.training.networks import MISH_BY_EXPONENTIAL, MLP, Head, Networks, simnorm


def exportable(networks: Networks) -> Networks:
    """Return networks with the same weights and without operators that are slow in engines."""
    if networks.config.activation != 'mish':
        return networks
    other = Networks(replace(networks.config, activation=MISH_BY_EXPONENTIAL))
    other.load_state_dict(networks.state_dict(), assign=True)
    return other.train(networks.training)


class InferenceNetworks(nn.Module):
    """
    Evaluates `networks` for rows of latents and actions; holds no weights of its own.

    Latents are (N, D) or, shared by all rows, (1, D); actions are (N, A).
    """

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.networks = networks
        self.config = networks.config

    def encode(self, observation: Tensor) -> Tensor:
        """Return latents (N, D) of observations (N, O)."""
        return self.networks.encode(observation)

    def policy(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean before the squash and standard deviation, each (N, A)."""
        mean, log_std = self.networks.policy_distribution(z)
        return mean, torch.exp(log_std)

    def next(self, z: Tensor, action: Tensor) -> Tensor:
        """Return predicted next latents (N, D)."""
        return simnorm(self._output(self.networks.dynamics, z, action), self.config.simnorm_dim)

    def reward(self, z: Tensor, action: Tensor) -> Tensor:
        """Return predicted rewards (N,) of one decision."""
        return self._scalar(self.networks.reward, z, action)

    def cost(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return predicted costs of one decision, (N,) for each head; 0 means all heads."""
        return [self._scalar(self.networks.cost, z, action, member)
                for member in range(heads or self.config.num_c)]

    def reward_value(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return reward values, (N,) for each head; 0 means all heads."""
        return [self._scalar(self.networks.reward_value, z, action, member)
                for member in range(heads or self.config.num_q)]

    def cost_value(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return cost values, (N,) for each head; 0 means all heads."""
        return [self._scalar(self.networks.cost_value, z, action, member)
                for member in range(heads or self.config.num_q)]

    def _scalar(self, head: Head, z: Tensor, action: Tensor, member: int | None = None) -> Tensor:
        return head.codec.decode(self._output(head, z, action, member))

    def _output(self, net: MLP, z: Tensor, action: Tensor, member: int | None = None) -> Tensor:
        """Evaluate a network of latent and action."""
        if z.shape[0] == action.shape[0]:
            return net(torch.cat([z, action], dim=-1), member)
        return net(action, member, shared=z)
