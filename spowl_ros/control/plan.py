# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One plan: what the planner says at a decision, and what of it is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def _unrecorded(factory: Any) -> Any:
    return field(default_factory=factory, compare=False, repr=False)


@dataclass(frozen=True)
class Plan:
    """
    What the planner said at one decision; actions are in [-1, 1], values are discounted sums.

    Two plans are equal where everything that is recorded is. What is not recorded is empty in a
    plan that was read from a record.
    """

    source: str
    """'plan' or 'policy': the planner's own switch between its two actions."""
    plan_action: tuple[float, ...]
    """Empty where nothing but the policy was asked, and the plan's numbers are not numbers."""
    policy_action: tuple[float, ...]
    plan_value: float
    policy_value: float
    """Of the policy's action, mean of the heads, as its cost value."""
    plan_cost_value: float
    policy_cost_value: float
    value_low: float
    """q_l: the plan's value must be at least this."""
    cost_value_high: float
    """k_h: the plan's cost value must be at most this."""
    value_threshold: float
    """q*: candidates counted have at least this value."""
    cost_threshold: float
    """k*: candidates counted have at most this cost value."""
    counted: float
    """Candidates of the last improvement within both thresholds."""
    model_error: float
    """Distance of this latent from the one predicted; not-a-number where nothing was."""
    iterations: int
    """Improvements made."""
    latent: Array = _unrecorded(lambda: np.empty(0, np.float32))
    """(D,) encoded observation."""
    predicted_next: Array = _unrecorded(lambda: np.empty(0, np.float32))
    """(D,) latent predicted after the action."""
    seconds: dict[str, float] = _unrecorded(dict)
    """Time spent by stage; 'improve' is the sum over its iterations."""

    @property
    def action(self) -> tuple[float, ...]:
        """Return the action of the source."""
        return self.plan_action if self.source == 'plan' else self.policy_action


RECORDED = {entry.name: str(entry.type) for entry in fields(Plan) if entry.compare}
"""The names of what is recorded of a plan, with the text of their types."""
NUMBERS = tuple(name for name, kind in RECORDED.items() if kind in ('float', 'int'))
"""Those of them that are a number."""
