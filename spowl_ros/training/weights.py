# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The weights of several learners, stacked: one operation serves all learners.

For each group of networks, one tensor (M, P) holds all weights: M learners, P weights. Optimiser,
clipping and averaging are then a handful of operations. Each learner's `Networks` are views of its
row, so code that validates, plans or saves does not see the stack.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from spowl_ros.training.networks import Networks

MODEL, POLICY, TARGET = 'model', 'policy', 'target'
_GROUPS = {
    MODEL: ('encoder', 'dynamics', 'reward', 'cost', 'reward_value', 'cost_value'),
    POLICY: ('policy',),
    TARGET: ('target_reward_value', 'target_cost_value'),
}
"""Networks of each group; the targets copy the model's last networks, in the same order."""


def each(learners: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """
    Extend a function of one learner to all; axis 0 of every tensor in and out is M.

    For one learner this is a plain call without overhead.
    """
    if learners > 1:
        return vmap(function, randomness='different')

    def alone(*args: Any) -> Any:
        first = pytree.tree_map_only(Tensor, lambda x: x[0], args)
        return pytree.tree_map_only(Tensor, lambda x: x.unsqueeze(0), function(*first))

    return alone


class _Caller(nn.Module):
    """Networks as a module; its forward pass is any function of them."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(self.networks, *args)


class Stack:
    """
    Weights of M networks of the same sizes.

    :param members: networks on their device; they become views of this stack
    """

    def __init__(self, members: Sequence[Networks]) -> None:
        self.members = list(members)
        self.flat: dict[str, Tensor] = {}
        """(M, P) by group."""
        self._shapes: dict[str, dict[str, torch.Size]] = {}
        for group, nets in _GROUPS.items():
            shapes = {f'{net}.{name}': parameter.shape for net in nets
                      for name, parameter in getattr(members[0], net).named_parameters()}
            self._shapes[group] = shapes
            self.flat[group] = torch.stack([
                torch.cat([member.get_parameter(name).detach().flatten() for name in shapes])
                for member in members])
            for row, member in zip(self.flat[group], members, strict=True):
                for name, view in self.parts(group, row).items():
                    member.get_parameter(name).data = view
        self.encoder_size = sum(parameter.numel() for parameter in members[0].encoder.parameters())
        own = members[0].state_dict().keys() - set().union(*self._shapes.values())
        self.buffers = {name: torch.stack([member.get_buffer(name) for member in members])
                        for name in sorted(own)}
        """(M, ...) by name: untrained tensors of each learner."""
        for name, rows in self.buffers.items():
            owner, _, attribute = name.rpartition('.')
            for row, member in zip(rows, members, strict=True):
                setattr(member.get_submodule(owner), attribute, row)
        self._caller = _Caller(members[0])

    def parts(self, group: str, row: Tensor) -> dict[str, Tensor]:
        """Return the weights (P,) of one learner's group by name and in their shapes."""
        shapes = self._shapes[group]
        pieces = row.split([shape.numel() for shape in shapes.values()])
        return {name: piece.view(shape)
                for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}

    def call(self, rows: dict[str, Tensor], buffers: dict[str, Tensor],
             function: Callable[..., Any], *args: Any) -> Any:
        """
        Return `function(networks, *args)` with one learner's weights.

        :param rows: (P,) by group; `function` must not use a missing group
        :param buffers: of the same learner
        """
        weights = {f'networks.{name}': part for group, row in rows.items()
                   for name, part in self.parts(group, row).items()}
        weights |= {f'networks.{name}': value for name, value in buffers.items()}
        return functional_call(self._caller, weights, (function, *args))

    def train(self, mode: bool = True) -> None:
        """Set the training mode (dropout) of `call`."""
        self.members[0].train(mode)

    def copy(self) -> Stack:
        """Return another stack of the same weights."""
        return Stack([copy.deepcopy(member) for member in self.members])

    @torch.no_grad()
    def follow(self, other: Stack, rate: float | Tensor) -> None:
        """Move all weights towards another stack's by a fraction: (M,), or one number for all."""
        weight = rate.unsqueeze(-1) if isinstance(rate, Tensor) and rate.dim() else rate
        for group, flat in self.flat.items():
            flat.lerp_(other.flat[group], weight)
        for name, value in self.buffers.items():
            value.copy_(other.buffers[name])
