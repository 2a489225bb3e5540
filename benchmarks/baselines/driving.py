# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Drives an environment for a method that is written here, and remembers what it saw."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import pickle
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
import torch

from benchmarks.baselines.runs import Run
from spowl_ros.base.seeds import training_seed
from spowl_ros.control.contract import ActionSpec
from spowl_ros.sim.step import StepResult

RECENT = 20
"""Episodes whose mean the learning curve shows."""
NAMES = ('obs', 'action', 'reward', 'cost', 'next_obs', 'terminated', 'begins', 'goal_moved')
"""Parts of a decision; the last three are 0 or 1."""
Experience = dict[str, NDArray[np.float32]]
"""Arrays (N, size of the part) by the names of `NAMES`."""
Act = Callable[[NDArray[np.float32], bool], NDArray[np.float32]]
"""From an observation (O,), and whether an episode begins, to an action (A,)."""


class World(Protocol):
    """An environment; an episode ends at its time limit or in a terminal state."""

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode; return the observation (O,)."""

    def step(self, action: NDArray[np.float32]) -> StepResult:
        """Make one decision."""


class Driver:
    """
    Drives a world, one episode after another, each with a training seed of its own.

    Limits actions to the contract's greatest change, as evaluation does, and remembers the limited
    ones.

    :param action_repeat: raw steps of a decision
    """

    def __init__(self, world: World, action: ActionSpec, seed: int, action_repeat: int) -> None:
        self._world, self._spec, self._seed, self._repeat = world, action, seed, action_repeat
        self.raw_steps = 0
        self._episode = 0
        self._rows: list[tuple[Any, ...]] = []
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._begin()

    def _begin(self) -> None:
        self.seen = self._world.reset(training_seed(self._seed, self._episode))
        self._sums, self._begins = np.zeros(2), True
        self._last = self._spec.rest.astype(np.float32)

    def drive(self, act: Act, decisions: int) -> None:
        """Make decisions."""
        for _ in range(decisions):
            action = self._last = self._spec.held(act(self.seen, self._begins), self._last)
            made = self._world.step(action)
            self.raw_steps += self._repeat
            self._sums += made.reward, made.cost
            self._rows.append((self.seen, action, [made.reward], [made.cost], made.observation,
                               [made.terminated], [self._begins], [made.info['goals'] > 0]))
            self._begins = False
            self.seen = made.observation
            if made.terminated or made.truncated:
                self._recent.append((self._sums[0], self._sums[1]))
                self._episode += 1
                self._begin()

    def __len__(self) -> int:
        """Return the number of decisions."""
        return len(self._rows)

    def experience(self) -> Experience:
        """Return all decisions."""
        return self._stack(self._rows)

    def sequences(self, count: int, length: int) -> Experience:
        """Return random sequences (count, length, ...), each of one episode; NumPy draws them."""
        chosen: list[tuple[Any, ...]] = []
        while len(chosen) < count * length:
            start = int(np.random.randint(len(self._rows) - length + 1))
            rows = self._rows[start:start + length]
            if not any(row[NAMES.index('begins')][0] for row in rows[1:]):
                chosen += rows
        return {name: array.reshape(count, length, -1)
                for name, array in self._stack(chosen).items()}

    def _stack(self, rows: list[tuple[Any, ...]]) -> Experience:
        return {name: np.array(parts, np.float32)
                for name, parts in zip(NAMES, zip(*rows, strict=True), strict=True)}

    def recent(self) -> tuple[float, float]:
        """Return the means of return and cost of recent episodes; NaN before one has ended."""
        if not self._recent:
            return float('nan'), float('nan')
        mean_return, mean_cost = np.mean(list(self._recent), axis=0)
        return float(mean_return), float(mean_cost)

    def state(self) -> dict[str, Any]:
        """Return what `load` needs."""
        return {'rows': self._rows, 'raw_steps': self.raw_steps,
                'episode': self._episode, 'recent': list(self._recent)}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state; the episode that was under way begins anew."""
        self._rows, self.raw_steps = state['rows'], state['raw_steps']
        self._episode = state['episode']
        self._recent.extend(state['recent'])
        self._begin()


class DrivenTraining:
    """
    What the trainings that are written here share: a driver, a learner, and going on.

    :param learner_of: from the size of an observation to the learner; PyTorch is seeded before
    :param round_decisions: decisions between two times of learning
    """

    action_repeat = 5

    def __init__(self, run: Run, world: World, action: ActionSpec,
                 learner_of: Callable[[int], Any], round_decisions: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(run.seed)
        np.random.seed(run.seed)
        self._driver = Driver(world, action, run.seed, self.action_repeat)
        self._learner = learner_of(len(self._driver.seen))
        each = round_decisions * self.action_repeat
        self.total_steps = -(-run.raw_steps // each) * each

    @property
    def raw_steps(self) -> int:
        """Return the raw steps so far."""
        return self._driver.raw_steps

    def state(self) -> bytes:
        """Return all that `restore` needs."""
        return pickle.dumps((self._learner, self._driver.state(), torch.get_rng_state(),
                             np.random.get_state()))

    def restore(self, state: bytes) -> None:
        """Go back to a state; the episode that was under way begins anew."""
        self._learner, driver, of_torch, of_numpy = pickle.loads(state)
        self._driver.load(driver)
        torch.set_rng_state(of_torch)
        np.random.set_state(of_numpy)
