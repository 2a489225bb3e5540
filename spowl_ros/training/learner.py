# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One update of everything: model, values, policy, targets, scale."""
from __future__ import annotations

from collections.abc import Callable
import copy
from dataclasses import dataclass, field
import math
from typing import Any

import torch
from torch import Tensor, nn

from spowl_ros.base.errors import SpowlError
from spowl_ros.training.constraint import AugmentedLagrangian, BudgetController
from spowl_ros.training.losses import Batch, LossConfig, model_loss, policy_terms
from spowl_ros.training.networks import Networks


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimisers and averaging; the defaults are the authors'."""

    learning_rate: float = 3e-4
    encoder_factor: float = 0.3
    policy_learning_rate: float = 3e-4
    gradient_norm: float = 20.0
    target_rate: float = 0.01
    scale_rate: float = 0.01
    # the reward value's spread counts as at least this much where the policy weighs it
    least_scale: float = 1.0
    entropy: float = 1e-4
    # entropy of the policy per actuator that its weight is steered to; none: the weight is fixed
    entropy_target: float | None = None
    entropy_rate: float = 0.003
    # what is validated and shipped follows the networks at this rate; 0: the networks themselves
    average_rate: float = 0.0
    # torch.compile the losses: faster updates after a minute of compilation
    compile: bool = False


@dataclass(frozen=True)
class ConstraintConfig:
    """
    How cost is kept down.

    'augmented' is the authors' Lagrangian on the cost value at replay states; 'budget' steers
    the cost of recent episodes to `budget` and normalises the policy's loss by 1 + multiplier.
    """

    kind: str = 'augmented'
    limit: float = 0.1
    budget: float = 1.0
    multiplier: float = 0.1
    multiplier_min: float = 0.01
    multiplier_max: float = 20.0
    integral_gain: float = 0.05
    proportional_gain: float = 0.0

    def make(self) -> AugmentedLagrangian | BudgetController:
        """Return the multiplier's fresh state."""
        if self.kind == 'augmented':
            return AugmentedLagrangian(limit=self.limit)
        if self.kind == 'budget':
            return BudgetController(
                budget=self.budget, multiplier=self.multiplier,
                multiplier_min=self.multiplier_min, multiplier_max=self.multiplier_max,
                integral_gain=self.integral_gain, proportional_gain=self.proportional_gain)
        raise SpowlError(f"constraint.kind {self.kind!r} is neither 'augmented' nor 'budget'")

    def restore(self, state: dict[str, float]) -> AugmentedLagrangian | BudgetController:
        """Return the multiplier as its `state()` was, under what is configured now."""
        fresh = self.make()
        if isinstance(fresh, BudgetController):
            state = {**state, 'budget': self.budget, 'multiplier_min': self.multiplier_min,
                     'multiplier_max': self.multiplier_max, 'integral_gain': self.integral_gain}
        return type(fresh)(**state)


@dataclass(frozen=True)
class Guide:
    """What draws the policy to the actions of something that is no network."""

    actions: Callable[[Tensor], Tensor]
    """Actions (N, A) for observations (N, O)."""
    weight: float
    """Of the squared distance, the mean over actuators, beside the scaled values."""

    @property
    def model_weight(self) -> float:
        """Of the same in the model's loss, whose parts are a tenth of the values' in size."""
        return 0.3 * self.weight


_AVERAGE_START = 10
"""Until the average's rate is reached, it is this many times one over the updates."""


@dataclass
class Learner:
    """
    Networks with their optimisers, multiplier and running scale of the reward value.

    `average` are networks whose weights follow the others' (Polyak and Juditsky 1992): late in
    training, the policy moves between more daring and more careful, and they lie in between.
    """

    networks: Networks
    loss: LossConfig
    optimiser: OptimiserConfig
    constraint: ConstraintConfig
    seed: int = 0
    value_scale: float = 1.0
    multiplier: AugmentedLagrangian | BudgetController = field(init=False)

    def __post_init__(self) -> None:
        n, o = self.networks, self.optimiser
        self.average = copy.deepcopy(n) if o.average_rate else n
        self.averaged = 0
        self.entropy_weight = o.entropy
        self.multiplier = self.constraint.make()
        self.device = next(n.parameters()).device
        self.generator = torch.Generator(self.device).manual_seed(self.seed)
        model: list[torch.nn.Module] = [n.dynamics, n.reward, n.cost, n.reward_value, n.cost_value]
        self.model_parameters = [p for net in (n.encoder, *model) for p in net.parameters()]
        groups: list[dict[str, Any]] = [
            {'params': list(n.encoder.parameters()),
             'lr': o.learning_rate * o.encoder_factor},
            {'params': [p for net in model for p in net.parameters()]},
        ]
        self.model_optimiser = torch.optim.Adam(groups, lr=o.learning_rate, fused=True)
        self.policy_optimiser = torch.optim.Adam(
            n.policy.parameters(), lr=o.policy_learning_rate, eps=1e-5, fused=True)
        self._model_loss, self._policy_terms = model_loss, policy_terms
        if o.compile:
            self._model_loss = torch.compile(model_loss, dynamic=False)
            self._policy_terms = torch.compile(policy_terms, dynamic=False)

    def update(self, batch: Batch, guide: Guide | None = None) -> dict[str, Tensor | float]:
        """
        Take one step on a batch; returns scalars (tensors are not yet read back).

        :param guide: what draws the policy's mean to its own actions
        """
        n, o = self.networks, self.optimiser
        n.train()
        horizon, size = batch.reward.shape
        loss = self._model_loss(n, batch, self.loss,
                                self._noise(horizon * size), self._pair())
        self.model_optimiser.zero_grad(set_to_none=True)
        total = loss.total
        if guide and guide.weight:
            total = total + guide.model_weight * self._imitation(batch, guide)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model_parameters, o.gradient_norm, foreach=True)
        self.model_optimiser.step()
        policy = self._update_policy(loss.latents, batch, guide)
        n.update_targets(o.target_rate)
        self._follow()
        return {'loss': loss.total.detach(), 'consistency_loss': loss.consistency,
                'reward_loss': loss.reward, 'cost_loss': loss.cost,
                'reward_value_loss': loss.reward_value, 'cost_value_loss': loss.cost_value,
                'gradient_norm': norm, **policy}

    def _imitation(self, batch: Batch, guide: Guide) -> Tensor:
        """Return how far the policy is from the guide, for the encoder to learn what it needs."""
        obs = batch.obs.flatten(0, 1)
        mean = torch.tanh(self.networks.policy_distribution(self.networks.encode(obs))[0])
        return (mean - guide.actions(obs)).square().mean()

    def _update_policy(self, latents: Tensor, batch: Batch, guide: Guide | None
                       ) -> dict[str, Tensor | float]:
        o = self.optimiser
        steps, size, _ = latents.shape
        z = latents.flatten(0, 1)
        terms = self._policy_terms(self.networks, z, self._noise(len(z)), self._pair())
        rho = self.loss.rho ** torch.arange(steps, device=z.device, dtype=z.dtype)
        weight = (rho / (steps * size)).repeat_interleave(size)
        with torch.no_grad():
            low, high = torch.quantile(terms.value, torch.tensor([0.05, 0.95], device=z.device))
            spread = max(float(high - low), o.least_scale)
        self.value_scale += o.scale_rate * (spread - self.value_scale)
        value = self.entropy_weight * terms.log_prob - terms.value / self.value_scale
        if guide and guide.weight:
            seen = torch.cat([batch.obs, batch.next_obs[-1:]]).flatten(0, 1)
            apart = (terms.mean - guide.actions(seen)).square().mean(dim=-1)
            value = value + guide.weight * apart
        if isinstance(self.multiplier, AugmentedLagrangian):
            mean_cost_value = terms.cost_value.mean()
            loss = (value * weight).sum() + self.multiplier.psi(mean_cost_value) * weight.sum()
            self.multiplier.update(float(mean_cost_value.detach()))
        else:
            lam = self.multiplier.multiplier
            value = value + lam * terms.cost_value / self.value_scale
            loss = (value * weight).sum() / (1 + lam)
        self.policy_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.networks.policy.parameters(), o.gradient_norm,
                                        foreach=True)
        self.policy_optimiser.step()
        self._steer_entropy(-float(terms.log_prob.detach().mean()))
        return {'policy_loss': loss.detach(), 'policy_gradient_norm': norm,
                'value': terms.value.detach().mean(),
                'cost_value': terms.cost_value.detach().mean(),
                'entropy': -terms.log_prob.detach().mean(),
                'entropy_weight': self.entropy_weight, 'value_scale': self.value_scale,
                'multiplier': self.multiplier.multiplier}

    def _steer_entropy(self, entropy: float) -> None:
        """Raise the entropy's weight below its target and lower it above (SAC, 1812.05905)."""
        o = self.optimiser
        if o.entropy_target is not None and math.isfinite(entropy):
            missing = o.entropy_target - entropy / self.networks.config.action_dim
            self.entropy_weight *= math.exp(o.entropy_rate * min(max(missing, -1.0), 1.0))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the networks."""
        if self.average is self.networks:
            return
        self.averaged += 1
        rate = max(self.optimiser.average_rate, _AVERAGE_START / (_AVERAGE_START + self.averaged))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.networks.parameters()),
                             rate)
        for mine, theirs in zip(self.average.buffers(), self.networks.buffers(), strict=True):
            mine.copy_(theirs)

    def _noise(self, rows: int) -> Tensor:
        return torch.randn(rows, self.networks.config.action_dim, device=self.device,
                           generator=self.generator)

    def _pair(self) -> Tensor:
        """Two random members of the reward value ensemble, or all where there are fewer."""
        order = torch.randperm(self.networks.config.num_q, device=self.device,
                               generator=self.generator)
        return order[:2]

    def state(self) -> dict[str, object]:
        """Return everything a bit-exact continuation needs beside the average's weights."""
        return {'networks': self.networks.state_dict(),
                'averaged': self.averaged, 'entropy_weight': self.entropy_weight,
                'model_optimiser': self.model_optimiser.state_dict(),
                'policy_optimiser': self.policy_optimiser.state_dict(),
                'multiplier': self.multiplier.state(), 'value_scale': self.value_scale,
                'generator': self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.networks.load_state_dict(state['networks'])
        self.averaged = state['averaged']
        self.entropy_weight = state['entropy_weight']
        self.model_optimiser.load_state_dict(state['model_optimiser'])
        self.policy_optimiser.load_state_dict(state['policy_optimiser'])
        self.multiplier = self.constraint.restore(state['multiplier'])
        self.value_scale = state['value_scale']
        self.generator.set_state(state['generator'])
