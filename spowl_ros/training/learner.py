# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
One update of model, values, policy, targets and scale, for one learner or many.

An update reads tensors, writes tensors in place, and never reads a number back from the device. So
a CUDA graph can capture it, and the same code runs uncaptured elsewhere.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.training.adam import Adam
from spowl_ros.training.compiled import Compiled
from spowl_ros.training.constraint import AugmentedLagrangian, Constraint
from spowl_ros.training.losses import Batch, LossConfig, ModelLoss, model_loss, policy_terms
from spowl_ros.training.networks import Networks
from spowl_ros.training.weights import MODEL, POLICY, TARGET, Stack, each


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


@dataclass(frozen=True)
class LearnerSettings:
    """Settings of a learner; between learners only numbers may differ."""

    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    constraint: Constraint = field(default_factory=AugmentedLagrangian)


@dataclass(frozen=True)
class Guidance:
    """Actions of a guide that is no network; the policies are drawn to them."""

    actions: Tensor
    """(M, H + 1, B, A): at every observation of a batch, and at the observation after it."""
    weight: Tensor
    """(M,): weight of the squared distance (mean over actuators) against the scaled values."""


_AVERAGE_START = 10
"""The average's rate is this / (this + updates) until it falls to its setting."""
_OF_MODEL = 0.3
"""A guide's weight in the model's loss, whose parts are a tenth of the values' in size."""
_MOVING = ('value_scale', 'entropy_weight')
_METRICS = ('consistency', 'reward', 'cost', 'reward_value', 'cost_value')


class Learners:
    """
    M learners: networks with their optimisers, multipliers and running scales.

    `averages` are networks whose weights follow the others' (Polyak and Juditsky 1992). Late in
    training the policy swings between daring and careful; the averages lie in between.

    :param networks: one per learner, of the same sizes, on their device
    :param settings: one per learner
    :param seeds: one per learner, for all randomness in its updates
    :raises SpowlError: settings that differ in more than numbers
    """

    def __init__(self, networks: Sequence[Networks], settings: Sequence[LearnerSettings],
                 seeds: Sequence[int]) -> None:
        self.count = len(networks)
        self.device = next(networks[0].parameters()).device
        self.weights = Stack(networks)
        self.settings = settings[0]
        self._varied: dict[str, dict[str, Any]] = {'loss': {}, 'optimiser': {},
                                                      'constraint': {}}
        self._rate = torch.zeros_like(self.weights.flat[MODEL])
        self.set_numbers(settings)
        o = self.settings.optimiser
        self.averages = self.weights.copy() if o.average_rate else self.weights
        self.generators = [torch.Generator(self.device).manual_seed(seed) for seed in seeds]
        self.state = {'value_scale': torch.ones(self.count, device=self.device),
                      'entropy_weight': self._each_of([s.optimiser.entropy for s in settings])}
        """(M,) by name: scale of the values and weight of the entropy."""
        starts = [s.constraint.start() for s in settings]
        self.constraint = {name: torch.tensor([start[name] for start in starts],
                                              dtype=torch.float64, device=self.device)
                           for name in starts[0]}
        """(M,) by name: the constraint's state."""
        self.averaged = torch.zeros((), device=self.device)
        fused = o.fuses(self.device)
        self.model_optimiser = Adam(self.weights.flat[MODEL], 1e-8, fused)
        self.policy_optimiser = Adam(self.weights.flat[POLICY], 1e-5, fused)
        self._quantiles = torch.tensor([0.05, 0.95], device=self.device)
        self._model_loss = self._of_all(self._model_loss_of_one)
        self._policy_terms = self._of_all(self._policy_terms_of_one)

    # -- settings ---------------------------------------------------------------------------

    def set_numbers(self, settings: Sequence[LearnerSettings]) -> None:
        """
        Take the numbers in which learners differ; numbers that differed before change in place.

        :raises SpowlError: a differing setting is no number
        """
        for section, varied in self._varied.items():
            all_of = [vars(getattr(s, section)) for s in settings]
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
        self.settings = settings[0]
        o = self._optimiser()
        size, first = self.weights.flat[MODEL].shape[1], self.weights.encoder_size
        factor = torch.ones(self.count, size, device=self.device)
        factor[:, :first] = _column(o.encoder_factor)
        rate = factor * _column(o.learning_rate)
        self._rate.copy_(rate)

    def _of_all(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Extend a function of one learner to all, compiled if the settings ask for it."""
        if not self.settings.optimiser.compile:
            return each(self.count, function)
        if self.count == 1:  # a plain call adds views, which compilers handle badly
            return each(1, Compiled(function))
        return Compiled(each(self.count, function))

    def _each_of(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _optimiser(self) -> OptimiserConfig:
        """Return the optimiser's settings; differing ones are tensors (M,)."""
        return replace(self.settings.optimiser, **self._varied['optimiser'])

    # -- of one learner, without its axis -----------------------------------------------------

    def _model_loss_of_one(self, model: Tensor, rest: dict[str, Tensor],
                           buffers: dict[str, Tensor], batch: dict[str, Tensor], noise: Tensor,
                           members: Tensor, numbers: dict[str, Any],
                           guidance: tuple[Tensor, ...]
                           ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        config = replace(self.settings.loss, **numbers)

        def losses(networks: Networks) -> tuple[Tensor, ModelLoss]:
            loss = model_loss(networks, Batch(**batch), config, noise, members)
            if not guidance:
                return loss.total, loss
            actions, weight = guidance
            z = networks.encode(batch['obs'].flatten(0, 1))
            mean = torch.tanh(networks.policy_distribution(z)[0])
            apart = (mean - actions[:-1].flatten(0, 1)).square().mean()
            return loss.total + _OF_MODEL * weight * apart, loss

        total, loss = self.weights.call({MODEL: model, **rest}, buffers, losses)
        parts = {f'{name}_loss': getattr(loss, name) for name in _METRICS}
        return total, parts, loss.latents

    def _policy_terms_of_one(self, policy: Tensor, rest: dict[str, Tensor],
                             buffers: dict[str, Tensor], z: Tensor, noise: Tensor,
                             members: Tensor) -> dict[str, Tensor]:
        terms = self.weights.call({POLICY: policy, **rest}, buffers, policy_terms, z, noise,
                                  members)
        return dict(vars(terms))

    def _constrained_of_one(self, state: dict[str, Tensor], numbers: dict[str, Any],
                            value: Tensor, cost_value: Tensor, weight: Tensor, scale: Tensor
                            ) -> Tensor:
        constraint = replace(self.settings.constraint, **numbers)
        return constraint.loss(state, value, cost_value, weight, scale)

    def _after_update_of_one(self, state: dict[str, Tensor], numbers: dict[str, Any],
                             mean_cost_value: Tensor) -> dict[str, Tensor]:
        return replace(self.settings.constraint, **numbers).after_update(state, mean_cost_value)

    # -- of all -------------------------------------------------------------------------------

    def update(self, batch: Batch, guidance: Guidance | None = None) -> dict[str, Tensor]:
        """
        Take one step on a batch; axis 0 of its tensors is the learner.

        :return: figures (M,) by name
        """
        self.weights.train()
        _, horizon, size = batch.reward.shape
        flat, o = self.weights.flat, self._optimiser()
        guided = () if guidance is None else (guidance.actions, guidance.weight)
        leaf = flat[MODEL].detach().requires_grad_()
        total, metrics, latents = self._model_loss(
            leaf, {POLICY: flat[POLICY], TARGET: flat[TARGET]}, self.weights.buffers,
            dict(vars(batch)), self._noise(horizon * size), self._pairs(), self._varied['loss'],
            guided)
        gradient, = torch.autograd.grad(total.sum(), leaf)
        norm = self.model_optimiser.step(gradient, self._rate, o.gradient_norm)
        metrics = {'loss': total.detach(), **metrics, 'gradient_norm': norm,
                   **self._update_policy(latents, guidance)}
        with torch.no_grad():
            sources = flat[MODEL][:, -flat[TARGET].shape[1]:]
            flat[TARGET].lerp_(sources, _column(o.target_rate))
            self._follow()
        return metrics

    def _update_policy(self, latents: Tensor, guidance: Guidance | None) -> dict[str, Tensor]:
        o, flat, state = self._optimiser(), self.weights.flat, self.state
        _, steps, size, _ = latents.shape
        z = latents.flatten(1, 2)
        leaf = flat[POLICY].detach().requires_grad_()
        terms = self._policy_terms(leaf, {MODEL: flat[MODEL]}, self.weights.buffers, z,
                                   self._noise(z.shape[1]), self._pairs())
        rho = self.settings.loss.rho if 'rho' not in self._varied['loss'] else (
            _column(self._varied['loss']['rho']))
        rho = rho ** torch.arange(steps, device=z.device, dtype=z.dtype)
        weight = (rho / (steps * size)).repeat_interleave(size, dim=-1).expand(self.count, -1)
        with torch.no_grad():
            low, high = torch.quantile(terms['value'], self._quantiles, dim=1)
            spread = (high - low).clamp_min(0.0)
            spread = torch.maximum(spread, _like(spread, o.least_scale))
            state['value_scale'] += o.scale_rate * (spread - state['value_scale'])
        value = (state['entropy_weight'].unsqueeze(-1) * terms['log_prob']
                 - terms['value'] / state['value_scale'].unsqueeze(-1))
        if guidance is not None:
            apart = (terms['mean'] - guidance.actions.flatten(1, 2)).square().mean(dim=-1)
            value = value + guidance.weight.unsqueeze(-1) * apart
        loss = each(self.count, self._constrained_of_one)(
            self.constraint, self._varied['constraint'], value, terms['cost_value'], weight,
            state['value_scale'])
        gradient, = torch.autograd.grad(loss.sum(), leaf)
        rate = _like(state['value_scale'], o.policy_learning_rate).unsqueeze(-1)
        norm = self.policy_optimiser.step(gradient, rate, o.gradient_norm)
        with torch.no_grad():
            mean_cost_value = terms['cost_value'].detach().mean(dim=-1)
            entropy = -terms['log_prob'].detach().mean(dim=-1)
            metrics = {'policy_loss': loss.detach(), 'policy_gradient_norm': norm,
                       'value': terms['value'].detach().mean(dim=-1),
                       'cost_value': mean_cost_value, 'entropy': entropy,
                       **{name: state[name].clone() for name in _MOVING},
                       'multiplier': self.constraint['multiplier'].clone()}
            after = each(self.count, self._after_update_of_one)(
                self.constraint, self._varied['constraint'], mean_cost_value.double())
            for name, now in after.items():
                self.constraint[name].copy_(now)
            self._steer_entropy(entropy)
        return metrics

    def _steer_entropy(self, entropy: Tensor) -> None:
        """Raise the entropy's weight below its target and lower it above (SAC, 1812.05905)."""
        o = self._optimiser()
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
        rate = self._optimiser().average_rate
        self.averages.follow(self.weights, torch.maximum(start, _like(start, rate)))

    def episode_ended(self, learner: int, cost: float) -> None:
        """Give a learner's constraint the cost of an episode."""
        numbers = {name: value[learner] for name, value in self._varied['constraint'].items()}
        constraint = replace(self.settings.constraint, **numbers)
        mine = {name: value[learner] for name, value in self.constraint.items()}
        cost_now = torch.full_like(mine['multiplier'], cost)
        for name, now in constraint.after_episode(mine, cost_now).items():
            self.constraint[name][learner] = now

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Return the policies' actions (M, N, A) for observations (M, N, O); noise (M, N, A)."""
        self.weights.train(False)
        if self.count == 1:  # its networks are views of the stack: no weights to pass
            networks = self.weights.members[0]
            return networks.act(networks.encode(observations[0]), noise[0]).action.unsqueeze(0)
        flat = self.weights.flat
        return each(self.count, self._act_of_one)(
            {MODEL: flat[MODEL], POLICY: flat[POLICY]}, self.weights.buffers, observations, noise)

    def _act_of_one(self, rows: dict[str, Tensor], buffers: dict[str, Tensor], obs: Tensor,
                    noise: Tensor) -> Tensor:
        def act(networks: Networks) -> Tensor:
            return networks.act(networks.encode(obs), noise).action

        action: Tensor = self.weights.call(rows, buffers, act)
        return action

    # -- what is random -----------------------------------------------------------------------

    def _noise(self, rows: int) -> Tensor:
        actions = self.weights.members[0].config.action_dim
        return torch.stack([torch.randn(rows, actions, device=self.device, generator=generator)
                            for generator in self.generators])

    def _pairs(self) -> Tensor:
        """Two random members of the reward value ensemble, or all where there are fewer."""
        members = self.weights.members[0].config.num_q
        drawn = torch.stack([torch.rand(members, device=self.device, generator=generator)
                             for generator in self.generators])
        return drawn.argsort(dim=-1)[:, :2]

    # -- what is kept -------------------------------------------------------------------------

    def save(self, learner: int) -> dict[str, object]:
        """Return all that a bit-exact continuation needs, except the average's weights."""
        return {'networks': self.weights.members[learner].state_dict(),
                'averaged': self.averaged.clone(),
                'model_optimiser': self.model_optimiser.save(learner),
                'policy_optimiser': self.policy_optimiser.save(learner),
                **{name: value[learner].clone() for name, value in self.state.items()},
                'constraint': {name: value[learner].clone()
                               for name, value in self.constraint.items()},
                'generator': self.generators[learner].get_state()}

    def load(self, learner: int, state: dict[str, Any]) -> None:
        """Restore what :meth:`save` returned."""
        self.weights.members[learner].load_state_dict(state['networks'])
        self.averaged.copy_(state['averaged'])
        self.model_optimiser.load(learner, state['model_optimiser'])
        self.policy_optimiser.load(learner, state['policy_optimiser'])
        for name, value in self.state.items():
            value[learner] = state[name]
        for name, value in self.constraint.items():
            value[learner] = state['constraint'][name]
        self.generators[learner].set_state(state['generator'].cpu())


def _column(value: float | Tensor) -> float | Tensor:
    """Return a setting that broadcasts with (M, N)."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def _like(like: Tensor, value: float | Tensor) -> Tensor:
    """Return a setting as a tensor, without a host copy: a graph could not capture one."""
    return value if isinstance(value, Tensor) else torch.full_like(like, value)
