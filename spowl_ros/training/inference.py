# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The networks in the form in which the planner evaluates them: same weights, less work.

A latent shared by all candidates goes through its part of the first layer once, members of an
ensemble are separate two-dimensional products, and activations and read-outs are in the form that
inference engines run best.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from spowl_ros.training.networks import LAYER_NORM_EPS, MLP, Layer, Networks, TwoHot


def mish_by_exponential(x: Tensor) -> Tensor:
    """
    Mish, x tanh(softplus(x)), as x n / (n + 2) with n = e^x (e^x + 2).

    The same function in operators that inference engines vectorise; e^30 squared is still finite
    in float32, and the quotient is 1 long before.
    """
    e = torch.exp(x.clamp(max=30.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


class InferenceNetworks(nn.Module):
    """
    Evaluates `networks` for rows of latents and actions; holds no weights of its own.

    Latents are (N, D) or, shared by all rows, (1, D); actions are (N, A).

    :param exportable: write Mish with exponentials, for engines whose own operator is slow
    """

    def __init__(self, networks: Networks, *, exportable: bool = False) -> None:
        super().__init__()
        self.networks = networks
        self.config = networks.config
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            'mish': mish_by_exponential if exportable else F.mish, 'silu': F.silu}
        self._activation = functions[self.config.activation]

    def encode(self, observation: Tensor) -> Tensor:
        """Return latents (N, D) of observations (N, O)."""
        x = self._hidden(self.networks.encoder, self.networks.features(observation), None)
        return self._simnorm(x)

    def policy(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean before the squash and standard deviation, each (N, A)."""
        mean, raw = self._hidden(self.networks.policy, z, None).chunk(2, dim=-1)
        low, high = self.config.log_std_min, self.config.log_std_max
        return mean, torch.exp(low + 0.5 * (high - low) * (torch.tanh(raw) + 1))

    def next(self, z: Tensor, action: Tensor) -> Tensor:
        """Return predicted next latents (N, D)."""
        return self._simnorm(self._head(self.networks.dynamics, z, action))

    def reward(self, z: Tensor, action: Tensor) -> Tensor:
        """Return predicted rewards (N,) of one decision."""
        return self._decode(self.networks.reward_codec,
                            self._head(self.networks.reward, z, action))

    def cost(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return predicted costs of one decision, (N,) for each head; 0 heads are all."""
        return self._ensemble(self.networks.cost, self.networks.cost_codec, z, action,
                              heads or self.config.num_c)

    def reward_value(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return reward values, (N,) for each head; 0 heads are all."""
        return self._ensemble(self.networks.reward_value, self.networks.reward_value_codec, z,
                              action, heads or self.config.num_q)

    def cost_value(self, z: Tensor, action: Tensor, heads: int = 0) -> list[Tensor]:
        """Return cost values, (N,) for each head; 0 heads are all."""
        return self._ensemble(self.networks.cost_value, self.networks.cost_value_codec, z, action,
                              heads or self.config.num_q)

    def _ensemble(self, net: MLP, codec: TwoHot, z: Tensor, action: Tensor,
                  heads: int) -> list[Tensor]:
        return [self._decode(codec, self._head(net, z, action, member)) for member in range(heads)]

    def _decode(self, codec: TwoHot, logits: Tensor) -> Tensor:
        """Return what `codec` reads; a sum, as engines are slow at a product with a vector."""
        probabilities = torch.softmax(logits, dim=-1)
        if codec.readout == 'symlog':
            x = (probabilities * codec.bins).sum(dim=-1)
            # engines have no expm1
            return codec.config.unit * torch.sign(x) * (torch.exp(torch.abs(x)) - 1)
        return (probabilities * codec.values).sum(dim=-1)

    def _simnorm(self, x: Tensor) -> Tensor:
        """Return the softmax over groups of features (N, D), with sizes that a tracer knows."""
        c = self.config
        groups = x.view(-1, c.latent_dim // c.simnorm_dim, c.simnorm_dim)
        return torch.softmax(groups, dim=-1).view(-1, c.latent_dim)

    def _head(self, net: MLP, z: Tensor, action: Tensor, member: int | None = None) -> Tensor:
        """Evaluate a network of latent and action."""
        if z.shape[0] == action.shape[0]:
            return self._hidden(net, torch.cat([z, action], dim=-1), member)
        # a latent shared by all rows goes through its part of the first layer once
        layer = _layers(net)[0]
        weight, bias = _of(layer.weight, member), _of(layer.bias, member)
        d = self.config.latent_dim
        x = F.linear(action, weight[:, d:]) + F.linear(z, weight[:, :d], bias)
        return self._hidden(net, self._finish(layer, x, member), member, first=1)

    def _hidden(self, net: MLP, x: Tensor, member: int | None, first: int = 0) -> Tensor:
        for layer in _layers(net)[first:]:
            x = F.linear(x, _of(layer.weight, member), _of(layer.bias, member))
            x = self._finish(layer, x, member)
        return x

    def _finish(self, layer: Layer, x: Tensor, member: int | None) -> Tensor:
        if layer.norm:
            x = F.layer_norm(x, x.shape[-1:], _of(layer.ln_weight, member),
                             _of(layer.ln_bias, member), LAYER_NORM_EPS)
        return self._activation(x) if layer.activation else x


def _layers(net: MLP) -> list[Layer]:
    return [layer for layer in net.layers if isinstance(layer, Layer)]


def _of(parameter: Tensor, member: int | None) -> Tensor:
    return parameter if member is None else parameter[member]
