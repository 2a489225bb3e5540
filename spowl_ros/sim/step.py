# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An environment's answer to a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract


@dataclass(frozen=True, slots=True)
class StepResult:
    """The outcome of one decision."""

    observation: NDArray[np.float32]
    """Shape (n,): after the last raw step."""
    reward: float
    """Sum over the raw steps."""
    cost: float
    """Sum over the raw steps; in SafetyGymnasium's tasks each step costs 0 or 1."""
    terminated: bool
    """The episode ended in a terminal state, such as a fall."""
    truncated: bool
    """The episode ended at its time limit."""
    info: dict[str, Any]
    """'goals': goals reached; 'raw_steps': steps made; 'cost_parts': summed cost by cause."""


def checked(action: ArrayLike, contract: Contract, ended: bool) -> NDArray[np.float64]:
    """
    Return the action of a step, shape (A,).

    :raises SpowlError: it has another shape, or the episode has ended
    """
    values = np.asarray(action, np.float64)
    if values.shape != (contract.action.size,):
        raise SpowlError(f'an action of shape {values.shape} for {contract.task}, '
                         f'which takes ({contract.action.size},)')
    if ended:
        raise SpowlError('the episode has ended; reset the environment before the next step')
    return values
