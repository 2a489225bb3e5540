# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Adam (Kingma and Ba, 1412.6980) for the weights of many learners, each clipped separately."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spowl_ros.training.acceleration import Compiled

_BETAS = 0.9, 0.999


class Adam:
    """
    Adam with its state on the device, for weights (M, P).

    PyTorch's Adam has one learning rate and one clipping norm for all learners of a stack.

    :param fused: compile the step, where it is bound by launches and memory: on a GPU
    """

    def __init__(self, weights: Tensor, eps: float, fused: bool = False) -> None:
        self._weights, self._eps = weights, eps
        self._change = Compiled(_change) if fused else _change
        self.moments = torch.zeros_like(weights), torch.zeros_like(weights)
        """First and second moment of the gradients, each (M, P)."""
        self._steps = torch.zeros((), dtype=torch.float64, device=weights.device)

    def step(self, gradient: Tensor, rate: Tensor, largest: float | Tensor) -> Tensor:
        """
        Change the weights.

        :param gradient: (M, P); changed in place
        :param rate: learning rates (M, P) or (M, 1)
        :param largest: norm to which each learner's gradient is clipped
        :return: norms before clipping (M,)
        """
        norm: Tensor = self._change(self._weights, gradient, *self.moments, self._steps, rate,
                                    largest, self._eps)
        return norm

    def save(self, learner: int) -> dict[str, Tensor]:
        """Return what :meth:`load` needs."""
        return {'steps': self._steps.clone(), 'first': self.moments[0][learner].clone(),
                'second': self.moments[1][learner].clone()}

    def load(self, learner: int, state: dict[str, Any]) -> None:
        """Restore what :meth:`save` returned."""
        self._steps.copy_(state['steps'])
        self.moments[0][learner] = state['first']
        self.moments[1][learner] = state['second']


@torch.no_grad()
def _change(weights: Tensor, gradient: Tensor, first: Tensor, second: Tensor, steps: Tensor,
            rate: Tensor, largest: float | Tensor, eps: float) -> Tensor:
    """Take one step in place; arguments and result as for `Adam.step`."""
    norm = torch.linalg.vector_norm(gradient, dim=1)
    gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0).unsqueeze(-1))
    steps += 1
    first.lerp_(gradient, 1 - _BETAS[0])
    second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
    unbias = [(1 - beta ** steps).float() for beta in _BETAS]
    size = (second.sqrt() / unbias[1].sqrt()).add_(eps)
    weights.sub_(first.mul(rate / unbias[0]).div_(size))
    return norm
