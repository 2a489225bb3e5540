# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What every environment answers to a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one decision led to."""

    observation: NDArray[np.float32]
    """Shape (n,): after the last raw step."""
    reward: float
    """Sum over the raw steps."""
    cost: float
    """Sum over the raw steps; of SafetyGymnasium's tasks each is 0 or 1."""
    terminated: bool
    """The episode ended in a state from which nothing follows, as a fall."""
    truncated: bool
    """The episode ended because its time was over."""
    info: dict[str, Any]
    """'goals': goals met; 'raw_steps': steps made; 'cost_parts': cost by cause, summed."""
