# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What OmniSafe's model-based methods see instead of scans: where goal and hazards are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
import torch
from torch import Tensor

from benchmarks.baselines.omnisafe_tasks import MODEL_BASED, coordinates, register, scene_of
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment
from spowl_ros.sim.environment import Environment
from spowl_ros.sim.step import StepResult


class CoordinateEnvironment:
    """Our environment with OmniSafe's coordinates (C,) as its observation."""

    def __init__(self, task: str, action_repeat: int) -> None:
        register()
        inner = environment.make(task, action_repeat=action_repeat)
        assert isinstance(inner, Environment)
        self._inner = inner
        self._theirs = coordinates.SafetyGymnasiumModelBased(task + MODEL_BASED)
        self._theirs._env.task = scene_of(inner)

    @property
    def contract(self) -> Contract:
        """Return the contract, whose actions are the same."""
        return self._inner.contract

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode and return the coordinates."""
        self._inner.reset(seed=seed)
        return self._coordinates()

    def step(self, action: ArrayLike) -> StepResult:
        """Hold an action, as our environment does."""
        made = self._inner.step(action)
        return replace(made, observation=self._coordinates())

    def _coordinates(self) -> NDArray[np.float32]:
        theirs = self._theirs
        flat = theirs._get_flat_coordinate(theirs._get_coordinate_sensor())
        return np.asarray(flat, np.float32)


class HazardCost:
    """The cost (..., 1) of coordinates (..., C): 1 inside a hazard, as OmniSafe computes it."""

    def __init__(self, task: str) -> None:
        theirs = coordinates.SafetyGymnasiumModelBased(task + MODEL_BASED)
        self._places = theirs.key_to_slice['hazards']
        self._size = theirs.hazards_size

    def __call__(self, seen: Tensor) -> Tensor:
        """Return 0 or 1."""
        places = seen[..., self._places].unflatten(-1, (-1, 2))
        inside = torch.linalg.vector_norm(places, dim=-1) <= self._size
        return inside.any(dim=-1, keepdim=True).float()
