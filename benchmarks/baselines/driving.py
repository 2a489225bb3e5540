# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Drives an environment for a method that is written here, and remembers what it saw."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.seeds import FIRST_TRAINING
from spowl_ros.sim.step import StepResult

RECENT = 20
"""Episodes whose mean the learning curve shows."""
Experience = dict[str, NDArray[np.float32]]
"""`obs`, `action`, `reward`, `cost`, `next_obs`, each (N, its size)."""


class World(Protocol):
    """An environment; an episode ends at its time limit or in a terminal state."""

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode; return the observation (O,)."""

    def step(self, action: NDArray[np.float32]) -> StepResult:
        """Make one decision."""


class Driver:
    """
    Drives a world, one episode after another, each with a training seed of its own.

    It remembers all decisions but those after which a goal moved: nobody could foretell where to.

    :param action_repeat: raw steps of a decision
    """

    def __init__(self, world: World, seed: int, action_repeat: int) -> None:
        self._world, self._seed, self._repeat = world, seed, action_repeat
        self.raw_steps = 0
        self._episode = 0
        self._rows: dict[str, list[Any]] = {name: [] for name in (
            'obs', 'action', 'reward', 'cost', 'next_obs')}
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._begin()

    def _begin(self) -> None:
        words = np.random.SeedSequence([self._seed, self._episode])
        self.seen = self._world.reset(FIRST_TRAINING + int(words.generate_state(1)[0]) % 2 ** 31)
        self._sums = np.zeros(2)

    def drive(self, act: Callable[[NDArray[np.float32]], NDArray[np.float32]], decisions: int
              ) -> None:
        """Make decisions by a function from an observation (O,) to an action (A,)."""
        for _ in range(decisions):
            action = act(self.seen)
            made = self._world.step(action)
            self.raw_steps += self._repeat
            self._sums += made.reward, made.cost
            if not made.info['goals']:
                values = self.seen, action, [made.reward], [made.cost], made.observation
                for rows, value in zip(self._rows.values(), values, strict=True):
                    rows.append(value)
            self.seen = made.observation
            if made.terminated or made.truncated:
                self._recent.append((self._sums[0], self._sums[1]))
                self._episode += 1
                self._begin()

    def experience(self) -> Experience:
        """Return all that it remembers."""
        return {name: np.array(rows, np.float32) for name, rows in self._rows.items()}

    def recent(self) -> tuple[float, float]:
        """Return the means of return and cost of recent episodes; NaN before one has ended."""
        if not self._recent:
            return float('nan'), float('nan')
        mean_return, mean_cost = np.mean(list(self._recent), axis=0)
        return float(mean_return), float(mean_cost)

    def state(self) -> dict[str, Any]:
        """Return what `load` needs."""
        return {'rows': self.experience(), 'raw_steps': self.raw_steps,
                'episode': self._episode, 'recent': list(self._recent)}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state; the episode that was under way begins anew."""
        self._rows = {name: list(rows) for name, rows in state['rows'].items()}
        self.raw_steps, self._episode = state['raw_steps'], state['episode']
        self._recent.extend(state['recent'])
        self._begin()
