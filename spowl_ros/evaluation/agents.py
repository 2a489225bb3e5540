# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's controller, with its monitors, as an evaluation agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.observation import Observation
from spowl_ros.control.settings import ControllerSettings


class BundleAgent:
    """
    Decides for one episode at a time, without a clock: each decision makes all iterations.

    Every sensor is fresh, because the simulation waits. The controller keeps its own window.
    """

    window = 0

    def __init__(self, loaded: bundle.Bundle, settings: ControllerSettings) -> None:
        self._bundle, self._settings = loaded, settings
        self._period_ns = round(loaded.contract.control_period * 1e9)

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin an episode; its randomness depends only on the one seed."""
        (seed,) = seeds
        self._controller = Controller(self._bundle, self._settings, seed=seed)
        self._now_ns = 0
        self._cost = math.nan

    def paid(self, lane: int, cost: float) -> None:
        """Keep the cost for a budget; the other monitors are evaluated without any."""
        if self._settings.budget.limit:
            self._cost = cost

    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return the action (1, A) for an observation (1, O), and its source."""
        self._now_ns += self._period_ns
        fields = len(self._bundle.contract.fields)
        decision = self._controller.decide(Observation(
            observations[0], np.full(fields, self._now_ns), self._now_ns, np.zeros(fields)),
            cost=self._cost)
        return np.array([decision.action], np.float32), [decision.source]


@dataclass(frozen=True)
class BundleAgents:
    """Makes agents from a bundle."""

    path: Path
    settings: ControllerSettings
    task: str
    action_repeat: int
    lanes: int = 1

    def open(self) -> BundleAgent:
        """Return a fresh agent on one thread."""
        return BundleAgent(bundle.load(self.path), self.settings)
