# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Multipliers of the cost constraint: the authors' Lagrangian and a budget controller."""
from __future__ import annotations

from dataclasses import asdict, dataclass
import math

import torch
from torch import Tensor


@dataclass
class AugmentedLagrangian:
    """Augmented Lagrangian of E[cost value] <= limit (SPOWL's own, driven by replay states)."""

    limit: float = 0.1
    multiplier: float = 1e-6
    penalty: float = 5e-9
    penalty_rate: float = 5e-6
    penalty_max: float = 1.0
    multiplier_max: float = 10.0

    def psi(self, mean_cost_value: Tensor) -> Tensor:
        """Return the term ψ to add to the policy's loss for a scalar mean cost value."""
        gap = mean_cost_value - self.limit
        if self.multiplier + self.penalty * float(gap.detach()) > 0:
            return self.multiplier * gap + 0.5 * self.penalty * gap.square()
        return torch.full_like(gap, -self.multiplier ** 2 / (2 * self.penalty))

    def update(self, mean_cost_value: float) -> None:
        """Ascend the multiplier by the constraint's gap, then raise the penalty."""
        gap = mean_cost_value - self.limit
        self.multiplier = min(max(self.multiplier + self.penalty * gap, 0.0), self.multiplier_max)
        raised = self.penalty * (1 + self.penalty_rate)
        self.penalty = min(max(raised, self.penalty), self.penalty_max)

    def state(self) -> dict[str, float]:
        """Return everything needed to go on, as plain numbers."""
        return asdict(self)


@dataclass
class BudgetController:
    """
    Proportional-integral control of log λ towards a budget of cost per episode.

    The error is relative and bounded, (J - budget) / max(J, budget), so that neither one very
    costly episode nor a long cheap stretch winds the multiplier up; the bounds on λ are the
    anti-windup. Driven by the undiscounted cost of finished episodes, not by replay states.
    """

    budget: float = 1.0
    multiplier: float = 0.1
    integral_gain: float = 0.05
    proportional_gain: float = 0.0
    multiplier_min: float = 0.01
    multiplier_max: float = 20.0
    average: float = -1.0
    smoothing: float = 0.1
    log_integral: float = math.nan

    def update(self, episode_cost: float) -> None:
        """Take the cost of one finished episode."""
        if math.isnan(self.log_integral):
            self.log_integral = math.log(self.multiplier)
        self.average = (episode_cost if self.average < 0
                        else self.average + self.smoothing * (episode_cost - self.average))
        error = (self.average - self.budget) / max(self.average, self.budget)
        low, high = math.log(self.multiplier_min), math.log(self.multiplier_max)
        self.log_integral = min(max(self.log_integral + self.integral_gain * error, low), high)
        log_multiplier = self.log_integral + self.proportional_gain * error
        self.multiplier = math.exp(min(max(log_multiplier, low), high))

    def state(self) -> dict[str, float]:
        """Return everything needed to go on, as plain numbers."""
        return asdict(self)
