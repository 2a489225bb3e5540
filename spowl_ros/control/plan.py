# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One plan: the planner's output at a decision, and which of its fields are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def _unrecorded(factory: Any) -> Any:
    return field(default_factory=factory, compare=False, repr=False)


@dataclass(frozen=True)
class Plan:
    """
    The planner's output at one decision; actions are in [-1, 1], values are discounted sums.

    A value that is not known is not-a-number. Two plans are equal if all recorded fields are.
    Fields that are not recorded are empty in a plan read from a record.
    """

    source: str
    """'plan' or 'policy': the planner's own switch between its two actions."""
    plan_action: tuple[float, ...]
    """Empty if only the policy ran; the plan's values are then not-a-number."""
    policy_action: tuple[float, ...]
    plan_value: float = math.nan
    policy_value: float = math.nan
    """Value of the policy's action: the mean of the heads, as for its cost value."""
    plan_cost_value: float = math.nan
    policy_cost_value: float = math.nan
    value_low: float = math.nan
    """q_l: the plan's value must be at least this."""
    cost_value_high: float = math.nan
    """k_h: the plan's cost value must be at most this."""
    value_threshold: float = math.nan
    """q*: counted candidates have at least this value."""
    cost_threshold: float = math.nan
    """k*: counted candidates have at most this cost value."""
    counted: float = math.nan
    """Candidates of the last improvement within both thresholds."""
    model_error: float = math.nan
    """Distance between this latent and the predicted one; not-a-number without a prediction."""
    iterations: int = 0
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
"""The recorded fields of a plan, with their types as text."""
NUMBERS = tuple(name for name, kind in RECORDED.items() if kind in ('float', 'int'))
"""The recorded fields that are a number."""
