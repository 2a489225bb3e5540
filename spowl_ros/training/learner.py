# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
One update of model, values, policy, targets and scale, for one learner or many.

An update reads tensors, writes tensors in place, and never reads a number back from the device. So
a CUDA graph can capture it, and the same code runs uncaptured elsewhere.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.training.acceleration import Compiled
from spowl_ros.training.adam import Adam
from spowl_ros.training.constraint import full
from spowl_ros.training.losses import Batch, model_loss, policy_terms
from spowl_ros.training.networks import Networks
from spowl_ros.training.weights import MODEL, POLICY, TARGET, Stack, each

if TYPE_CHECKING:
    from spowl_ros.training.config import TrainConfig


@dataclass(frozen=True)
class OptimiserConfig:
    """Optimisers and averaging; the defaults are the authors'."""

    learning_rate: float = setting(3e-4, 'learning rate of the model and the values')
    encoder_factor: float = setting(0.3, "factor on the encoder's learning rate; 0 holds it")
    policy_learning_rate: float = setting(3e-4, "the policy's learning rate; 0 holds it")
    gradient_norm: float = setting(20.0, 'greatest norm of a gradient')
    target_rate: float = setting(0.01, 'rate at which the target networks follow')
    scale_rate: float = setting(0.01, "rate at which the value's measured spread follows")
    least_scale: float = setting(
        1.0, "the value's spread counts as at least this much where the policy weighs it")
    entropy: float = setting(1e-4, "weight of the policy's entropy, at first")
    entropy_target: float | None = setting(
        None, 'entropy of the policy per actuator to which its weight is steered; null: the '
        'weight is fixed')
    entropy_rate: float = setting(0.003, 'rate at which the weight of the entropy is steered')
    average_rate: float = setting(
        0.0, 'rate at which the average that is validated and shipped follows the networks; 0: '
        'the networks themselves ship')
    compile: bool = setting(
        False, 'compile the losses with torch.compile: a minute at first, then faster updates')

    def fuses(self, device: torch.device) -> bool:
        """Whether the sample and the optimisers' steps are compiled too: launches bind a GPU."""
        return self.compile and device.type == 'cuda'


class Guidance(NamedTuple):
    """Actions of a guide that is no network; the policies are drawn to them."""

    actions: Tensor
    """(M, H + 1, B, A): at every observation of a batch, and at the observation after it."""
    weight: Tensor
    """(M,): weight of the squared distance (mean over actuators) against the scaled values."""


_AVERAGE_START = 10
"""The average's rate is this / (this + updates) until it falls to its setting."""
_OF_MODEL = 0.3
"""A guide's weight in the model's loss, whose parts are a tenth of the values' in size."""


class Learners:
    """
    M learners: networks with their optimisers, multipliers and running scales.

    `averages` are networks whose weights follow the others' (Polyak and Juditsky 1992). Late in
    training the policy swings between daring and careful; the averages lie in between.

    :param networks: one per learner, of the same sizes, on their device
    :param configs: one per learner: `loss`, `optimiser` and `constraint`, which may differ in
        numbers only, and `seed`, for all randomness in its updates
    :raises SpowlError: settings that differ in more than numbers
    """

    def __init__(self, networks: Sequence[Networks], configs: Sequence[TrainConfig]) -> None:
        self.count = len(networks)
        self.device = next(networks[0].parameters()).device
        self.weights = Stack(networks)
        self._varied: dict[str, dict[str, Any]] = {'loss': {}, 'optimiser': {},
                                                      'constraint': {}}
        self._rate = torch.zeros_like(self.weights.flat[MODEL])
        self.set_numbers(configs)
        o = configs[0].optimiser
        self.averages = self.weights.copy() if o.average_rate else self.weights
        self.generators = [torch.Generator(self.device).manual_seed(c.seed) for c in configs]
        self.state = {'value_scale': torch.ones(self.count, device=self.device),
                      'entropy_weight': self._each_of([c.optimiser.entropy for c in configs])}
        """(M,) by name: scale of the values and weight of the entropy."""
        starts = [c.constraint.start() for c in configs]
        self.constraint = {name: torch.tensor([start[name] for start in starts],
                                              dtype=torch.float64, device=self.device)
                           for name in starts[0]}
        """(M,) by name: the constraint's state."""
        self.averaged = torch.zeros((), device=self.device)
        fused = o.fuses(self.device)
        self._adam = {group: Adam(self.weights.flat[group], eps, fused)
                      for group, eps in ((MODEL, 1e-8), (POLICY, 1e-5))}
        self._quantiles = torch.tensor([0.05, 0.95], device=self.device)
        self._model_loss = self._of_all(self._model_loss_of_one, o.compile)
        self._policy_terms = self._of_all(policy_terms, o.compile)

    # -- settings ---------------------------------------------------------------------------

    def set_numbers(self, configs: Sequence[TrainConfig]) -> None:
        """
        Take the numbers in which learners differ; numbers that differed before change in place.

        :raises SpowlError: a differing setting is no number
        """
        for section, varied in self._varied.items():
            all_of = [vars(getattr(config, section)) for config in configs]
            for name, value in all_of[0].items():
                values = [one[name] for one in all_of]
                if name in varied:
                    varied[name].copy_(self._each_of(values))
                elif any(other != value for other in values):
                    if not all(isinstance(v, float) for v in values):
                        raise SpowlError(f'{section}.{name} differs among learners that are '
                                         f'trained as one ({", ".join(map(str, values))}); only '
                                         'numbers may')
                    if name == 'average_rate' and not all(values):
                        raise SpowlError('optimiser.average_rate is 0 of some learners and not '
                                         'of others; all or none can have an average')
                    varied[name] = self._each_of(values)
        self._loss, self._constraint = configs[0].loss, configs[0].constraint
        self._optimiser = replace(configs[0].optimiser, **self._varied['optimiser'])
        """Settings; differing ones are tensors (M,)."""
        self._rate.fill_(1.0)
        self._rate[:, :self.weights.encoder_size] = _column(self._optimiser.encoder_factor)
        self._rate *= _column(self._optimiser.learning_rate)

    def _each_of(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    # -- of one learner, without its axis -----------------------------------------------------

    def _model_loss_of_one(self, networks: Networks, batch: Batch, noise: Tensor,
                           members: Tensor, numbers: dict[str, Any],
                           guidance: tuple[Tensor, ...]
                           ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        total, parts, latents = model_loss(networks, batch, replace(self._loss, **numbers), noise,
                                           members)
        if guidance:
            actions, weight = guidance
            z = networks.encode(batch.obs.flatten(0, 1))
            mean = torch.tanh(networks.policy_distribution(z)[0])
            apart = (mean - actions[:-1].flatten(0, 1)).square().mean()
            total = total + _OF_MODEL * weight * apart
        return total, {f'{name}_loss': part for name, part in parts.items()}, latents

    # -- of all -------------------------------------------------------------------------------

    def _constrained(self, method: str, *args: Tensor) -> Any:
        """Return what this method of each learner's constraint returns."""
        def of_one(state: dict[str, Tensor], numbers: dict[str, Any], *args: Tensor) -> Any:
            return getattr(replace(self._constraint, **numbers), method)(state, *args)

        return each(self.count, of_one)(self.constraint, self._varied['constraint'], *args)

    def update(self, batch: Batch, guidance: Guidance | None = None) -> dict[str, Tensor]:
        """
        Take one step on a batch; axis 0 of its tensors is the learner.

        :return: figures (M,) by name
        """
        self.weights.train()
        flat, o = self.weights.flat, self._optimiser
        leaf = flat[MODEL].detach().requires_grad_()
        total, metrics, latents = self._model_loss(
            {**flat, MODEL: leaf}, self.weights.buffers, batch,
            self._noise(batch.reward[0].numel()), self._pairs(), self._varied['loss'],
            guidance or ())
        gradient, = torch.autograd.grad(total.sum(), leaf)
        norm = self._adam[MODEL].step(gradient, self._rate, o.gradient_norm)
        metrics = {'loss': total.detach(), **metrics, 'gradient_norm': norm,
                   **self._update_policy(latents, guidance)}
        with torch.no_grad():
            sources = flat[MODEL][:, -flat[TARGET].shape[1]:]
            flat[TARGET].lerp_(sources, _column(o.target_rate))
            self._follow()
        return metrics

    def _update_policy(self, latents: Tensor, guidance: Guidance | None) -> dict[str, Tensor]:
        o, flat, state = self._optimiser, self.weights.flat, self.state
        _, steps, size, _ = latents.shape
        z = latents.flatten(1, 2)
        leaf = flat[POLICY].detach().requires_grad_()
        terms = self._policy_terms({MODEL: flat[MODEL], POLICY: leaf}, self.weights.buffers, z,
                                   self._noise(z.shape[1]), self._pairs())
        rho = _column(self._varied['loss'].get('rho', self._loss.rho))
        rho = rho ** torch.arange(steps, device=z.device, dtype=z.dtype)
        weight = (rho / (steps * size)).repeat_interleave(size, dim=-1).expand(self.count, -1)
        with torch.no_grad():
            low, high = torch.quantile(terms.value, self._quantiles, dim=1)
            spread = (high - low).clamp_min(0.0)
            spread = torch.maximum(spread, full(spread, o.least_scale))
            state['value_scale'] += o.scale_rate * (spread - state['value_scale'])
        value = (state['entropy_weight'].unsqueeze(-1) * terms.log_prob
                 - terms.value / state['value_scale'].unsqueeze(-1))
        if guidance is not None:
            apart = (terms.mean - guidance.actions.flatten(1, 2)).square().mean(dim=-1)
            value = value + guidance.weight.unsqueeze(-1) * apart
        loss = self._constrained('loss', value, terms.cost_value, weight,
                                 state['value_scale'])
        gradient, = torch.autograd.grad(loss.sum(), leaf)
        rate = full(state['value_scale'], o.policy_learning_rate).unsqueeze(-1)
        norm = self._adam[POLICY].step(gradient, rate, o.gradient_norm)
        with torch.no_grad():
            mean_cost_value = terms.cost_value.mean(dim=-1)
            entropy = -terms.log_prob.mean(dim=-1)
            metrics = {'policy_loss': loss.detach(), 'policy_gradient_norm': norm,
                       'value': terms.value.mean(dim=-1),
                       'cost_value': mean_cost_value, 'entropy': entropy,
                       **{name: value.clone() for name, value in state.items()},
                       'multiplier': self.constraint['multiplier'].clone()}
            after = self._constrained('after_update', mean_cost_value.double())
            for name, now in after.items():
                self.constraint[name].copy_(now)
            self._steer_entropy(entropy)
        return metrics

    def _steer_entropy(self, entropy: Tensor) -> None:
        """Raise the entropy's weight below its target and lower it above (SAC, 1812.05905)."""
        o = self._optimiser
        if o.entropy_target is not None:
            actions = self.weights.members[0].config.action_dim
            missing = (o.entropy_target - entropy / actions).clamp(-1.0, 1.0).nan_to_num(0.0)
            self.state['entropy_weight'] *= torch.exp(o.entropy_rate * missing)

    def _follow(self) -> None:
        """Move the averages towards the networks."""
        if self.averages is self.weights:
            return
        self.averaged += 1
        start = _AVERAGE_START / (_AVERAGE_START + self.averaged)
        rate = full(start, self._optimiser.average_rate)
        self.averages.follow(self.weights, torch.maximum(start, rate))

    def episode_ended(self, learner: int, cost: float) -> None:
        """Give a learner's constraint the cost of an episode."""
        costs = torch.full_like(self.constraint['multiplier'], cost)
        for name, now in self._constrained('after_episode', costs).items():
            self.constraint[name][learner] = now[learner]

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return the policies' actions (M, N, A) for observations (M, N, O); noise (M, N, A)."""
        self.weights.train(False)
        if self.count == 1:  # its networks are views of the stack: no weights to pass
            return _act(self.weights.members[0], observations[0], noise[0]).unsqueeze(0)
        action: Tensor = self.apply(_act, observations, noise)
        return action

    def apply(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Return `function(networks, *args)` of every learner; axis 0 of tensors is the learner.

        :param function: uses no target networks
        """
        rows = {group: self.weights.flat[group] for group in (MODEL, POLICY)}
        return self._of_all(function)(rows, self.weights.buffers, *args)

    def _of_all(self, function: Callable[..., Any], compiled: bool = False) -> Callable[..., Any]:
        """Return a function of all weights (rows by group, buffers) and of other arguments."""
        def of_one(rows: dict[str, Tensor], buffers: dict[str, Tensor], *args: Any) -> Any:
            return self.weights.call(rows, buffers, function, *args)

        if not compiled:
            return each(self.count, of_one)
        if self.count == 1:  # a plain call adds views, which compilers handle badly
            return each(1, Compiled(of_one))
        return Compiled(each(self.count, of_one))

    # -- what is random -----------------------------------------------------------------------

    def _drawn(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        return torch.stack([draw(*shape, device=self.device, generator=generator)
                            for generator in self.generators])

    def _noise(self, rows: int) -> Tensor:
        return self._drawn(torch.randn, rows, self.weights.members[0].config.action_dim)

    def _pairs(self) -> Tensor:
        """Two random members of the reward value ensemble, or all where there are fewer."""
        drawn = self._drawn(torch.rand, self.weights.members[0].config.num_q)
        return drawn.argsort(dim=-1)[:, :2]

    # -- what is kept -------------------------------------------------------------------------

    def save(self, learner: int) -> dict[str, object]:
        """Return all that a bit-exact continuation needs, except the average's weights."""
        return {'networks': self.weights.members[learner].state_dict(),
                'averaged': self.averaged.clone(),
                **{f'{group}_optimiser': adam.save(learner)
                   for group, adam in self._adam.items()},
                **{name: value[learner].clone() for name, value in self.state.items()},
                'constraint': {name: value[learner].clone()
                               for name, value in self.constraint.items()},
                'generator': self.generators[learner].get_state()}

    def load(self, learner: int, state: dict[str, Any]) -> None:
        """Restore what :meth:`save` returned."""
        self.weights.members[learner].load_state_dict(state['networks'])
        self.averaged.copy_(state['averaged'])
        for group, adam in self._adam.items():
            adam.load(learner, state[f'{group}_optimiser'])
        for name, value in self.state.items():
            value[learner] = state[name]
        for name, value in self.constraint.items():
            value[learner] = state['constraint'][name]
        self.generators[learner].set_state(state['generator'].cpu())


def _column(value: float | Tensor) -> float | Tensor:
    """Return a setting that broadcasts with (M, N)."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def _act(networks: Networks, obs: Tensor, noise: Tensor) -> Tensor:
    return networks.act(networks.encode(obs), noise).action
