# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Constraints keep the cost down: a multiplier, and its term in the policy's loss.

Each kind of constraint is one class here. Its fields are the settings in a configuration's section
`constraint`; its `kind` is the value of `constraint.kind`.

The code is for one learner: tensors have no learner axis. `torch.vmap` extends it to many, each
with its own state and, where they vary, its own settings; such settings are tensors too. So the
code has no `float()` and no `if` on a number.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read, setting

KIND = 'how cost is kept down: augmented (a Lagrangian over replayed states) or budget (control ' \
    'of the cost of finished episodes)'

State = dict[str, Tensor]
"""Scalars by name, float64; includes `multiplier`."""


@dataclass(frozen=True)
class Constraint(ABC):
    """A constraint: its settings and its effect on learning."""

    kind: str = setting('', KIND)
    budget: float = setting(
        1.0, 'mean cost of an episode that validation accepts without loss', low=1e-3)

    @abstractmethod
    def start(self) -> dict[str, float]:
        """Return the state of a fresh run, by name."""

    @property
    def starting(self) -> set[str]:
        """Return the names of its settings that only begin a state, which then moves by itself."""
        return self.start().keys() & _names(type(self))

    @abstractmethod
    def loss(self, state: State, value: Tensor, cost_value: Tensor, weight: Tensor,
             scale: Tensor) -> Tensor:
        """
        Return the policy's loss, a scalar.

        :param value: (N,) the policy's loss at each latent without cost, scaled
        :param cost_value: (N,) cost value of its action
        :param weight: (N,) of each latent
        :param scale: spread of the reward value; `value` is already divided by it
        """

    def after_update(self, state: State, mean_cost_value: Tensor) -> State:
        """Return the state after an update with this mean cost value."""
        return state

    def after_episode(self, state: State, cost: Tensor) -> State:
        """Return the state after an episode with this cost, discount 1."""
        return state


@dataclass(frozen=True)
class AugmentedLagrangian(Constraint):
    """The authors' augmented Lagrangian of E[cost value] <= limit, driven by replay states."""

    kind: str = setting('augmented', KIND)
    limit: float = setting(0.1, 'mean cost value that the policy may have (augmented)')
    multiplier: float = setting(1e-6, 'price of a unit of cost value, at first')
    multiplier_max: float = setting(10.0, 'greatest price of a unit of cost value')
    penalty: float = setting(
        5e-9, 'weight of the squared excess, at first (augmented)', low=1e-12)
    penalty_rate: float = setting(5e-6, 'growth of that weight per update (augmented)')
    penalty_max: float = setting(
        1.0, 'greatest weight of the squared excess (augmented)', low=1e-12)

    def start(self) -> dict[str, float]:
        """Return multiplier and penalty."""
        return {'multiplier': self.multiplier, 'penalty': self.penalty}

    def psi(self, state: State, mean_cost_value: Tensor) -> Tensor:
        """Return the term ψ of a scalar mean cost value."""
        multiplier, penalty = state['multiplier'], state['penalty']
        gap = mean_cost_value - self.limit
        active = multiplier * gap + 0.5 * penalty * gap.square()
        return torch.where(multiplier + penalty * gap > 0, active,
                           -multiplier.square() / (2 * penalty))

    def loss(self, state: State, value: Tensor, cost_value: Tensor, weight: Tensor,
             scale: Tensor) -> Tensor:
        """Add ψ of the mean cost value."""
        psi = self.psi(state, cost_value.mean()).to(value.dtype)
        return (value * weight).sum() + psi * weight.sum()

    def after_update(self, state: State, mean_cost_value: Tensor) -> State:
        """Ascend the multiplier by the constraint's gap, then raise the penalty."""
        multiplier, penalty = state['multiplier'], state['penalty']
        gap = mean_cost_value - self.limit
        raised = torch.maximum(penalty * (1 + self.penalty_rate), penalty)
        return {'multiplier': _clip(multiplier + penalty * gap, 0.0, self.multiplier_max),
                'penalty': _clip(raised, 0.0, self.penalty_max)}


@dataclass(frozen=True)
class BudgetController(Constraint):
    """
    Proportional-integral control of log λ towards a budget of cost per episode.

    The error is relative and bounded, (J - budget) / max(J, budget): neither one very costly
    episode nor a long cheap stretch winds up the multiplier. The bounds on λ are the anti-windup.
    The input is the undiscounted cost of finished episodes, not the replay states. The policy's
    loss is normalised by 1 + λ.
    """

    kind: str = setting('budget', KIND)
    multiplier: float = setting(0.1, 'price of a unit of cost value, at first')
    multiplier_min: float = setting(0.01, 'lowest price of a unit of cost value (budget)')
    multiplier_max: float = setting(20.0, 'greatest price of a unit of cost value')
    integral_gain: float = setting(
        0.05, "change of the price's logarithm per episode and unit of relative excess (budget)")
    proportional_gain: float = setting(
        0.0, "part of the price's logarithm that follows the present excess (budget)")
    smoothing: float = setting(
        0.1, 'weight of the newest episode in the cost that is steered (budget)')

    def start(self) -> dict[str, float]:
        """Return the multiplier, its integral, and the average cost (negative: none yet)."""
        return {'multiplier': self.multiplier, 'integral': self.multiplier, 'average': -1.0}

    def loss(self, state: State, value: Tensor, cost_value: Tensor, weight: Tensor,
             scale: Tensor) -> Tensor:
        """Charge the cost value with the scale of the reward value."""
        multiplier = state['multiplier'].to(value.dtype)
        value = value + multiplier * cost_value / scale
        return (value * weight).sum() / (1 + multiplier)

    def after_episode(self, state: State, cost: Tensor) -> State:
        """Adjust the multiplier by the cost of one finished episode."""
        average = state['average']
        average = torch.where(average < 0, cost, average + self.smoothing * (cost - average))
        budget = full(average, self.budget)
        error = (average - budget) / torch.maximum(average, budget)
        integral = self._bounded(state['integral'] * torch.exp(self.integral_gain * error))
        multiplier = self._bounded(integral * torch.exp(self.proportional_gain * error))
        return {'multiplier': multiplier, 'integral': integral, 'average': average}

    def _bounded(self, multiplier: Tensor) -> Tensor:
        return _clip(multiplier, self.multiplier_min, self.multiplier_max)


def kinds() -> dict[str, type[Constraint]]:
    """Return every kind of constraint by its name."""
    found, unseen = {}, Constraint.__subclasses__()
    while unseen:
        kind = unseen.pop()
        found[kind.kind] = kind
        unseen += kind.__subclasses__()
    return dict(sorted(found.items()))


def from_dict(data: Mapping[str, Any]) -> Constraint:
    """
    Return the constraint that a configuration's section describes.

    Settings of another kind are accepted if they have no effect. Older files need this: their one
    section held the settings of every kind.

    :raises SpowlError: an unknown kind, or a setting that the kind does not have
    """
    if not isinstance(data, Mapping):
        raise SpowlError(f'constraint is {data!r}; wanted a mapping of keys')
    known = kinds()
    name = data.get('kind', AugmentedLagrangian.kind)
    if name not in known:
        raise SpowlError(f'constraint.kind is {name!r}; it must be one of {", ".join(known)}')
    own = _names(known[name])
    return read(known[name], {key: value for key, value in data.items()
                              if key in own or not _idle(key, value)}, 'constraint')


def kept(section: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the settings of a section that remain when another section overrides it.

    All remain, unless the other section chooses another kind: then only those of every kind.
    """
    default = AugmentedLagrangian.kind
    if over.get('kind', section.get('kind', default)) == section.get('kind', default):
        return dict(section)
    return {key: value for key, value in section.items()
            if key in _names(Constraint)}


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def _idle(key: str, value: Any) -> bool:
    """Return whether a setting has the value that its kind has anyway."""
    return any(key in _names(kind) and getattr(kind(), key) == value
               for kind in kinds().values())


def full(like: Tensor, value: float | Tensor) -> Tensor:
    """Return a setting as a tensor, without a host copy: a graph could not capture one."""
    return value if isinstance(value, Tensor) else torch.full_like(like, value)


def _clip(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, full(x, low)), full(x, high))
