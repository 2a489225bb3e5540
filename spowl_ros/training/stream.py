# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The episodes of one environment as a stream that can be resumed exactly."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.contract import SCAN_RANGE, Contract
from spowl_ros.seeds import FIRST_TRAINING
from spowl_ros.sim import environment


@dataclass(frozen=True)
class EpisodeSummary:
    """One finished episode: sums over its raw steps, discount 1."""

    reward: float
    cost: float
    decisions: int
    raw_steps: int


def margin_cost(contract: Contract, observation: NDArray[np.float32], margin: float) -> float:
    """
    Charge for being within `margin` metres of an obstacle that costs, 0 to action_repeat.

    The largest closeness of a scan is the distance to its nearest object, so that nothing but
    the observation (n,) is needed. Zero without a margin.
    """
    if margin <= 0:
        return 0.0
    worst = 0.0
    slices = contract.slices
    for part in contract.fields:
        if part.hazard_radius is not None:
            distance = SCAN_RANGE * (1.0 - float(observation[slices[part.name]].max()))
            worst = max(worst, (part.hazard_radius + margin - distance) / margin)
    return contract.action_repeat * min(worst, 1.0)


@dataclass
class Stream:
    """
    Episodes of one environment, one after another, each from a seed of its own.

    The state is (episode number, actions since its reset): physics is deterministic, so that
    repeating the actions restores the environment to the last bit.
    """

    task: str
    action_repeat: int
    seed: int
    number: int
    cost_margin: float = 0.0
    least_cost: float = 0.0
    termination_reward: float = 0.0
    episode: int = 0
    actions: list[NDArray[np.float32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = environment.make(self.task, action_repeat=self.action_repeat)
        self._spec = self.environment.contract.action
        self._rest = self._spec.rest.astype(np.float32)
        self._begin()

    def begin_next(self) -> None:
        """Leave the episode as it is and begin another."""
        self.episode += 1
        self._begin()

    def _begin(self) -> None:
        words = np.random.SeedSequence([self.seed, self.number, self.episode])
        seed = FIRST_TRAINING + int(words.generate_state(1)[0]) % (2 ** 31)
        self.actions = []
        self.reward = self.cost = 0.0
        self.raw_steps = 0
        self.observation = self.environment.reset(seed=seed)

    def step(self, action: NDArray[np.float32]
             ) -> tuple[dict[str, NDArray[np.float32] | float], EpisodeSummary | None]:
        """
        Act once; returns the decision as the replay buffer takes it, and an episode's end.

        What is done, and stored, is the action held within the contract's greatest change.
        """
        action = self._spec.held(action, self.actions[-1] if self.actions else self._rest)
        result = self.environment.step(action)
        self.actions.append(action)
        self.reward += result.reward
        self.cost += result.cost
        self.raw_steps += result.info['raw_steps']
        ended = result.terminated or result.truncated
        charges = [result.cost, margin_cost(self.environment.contract, result.observation,
                                            self.cost_margin)]
        if result.cost > 0:
            charges.append(self.least_cost)
        decision: dict[str, Any] = {
            'obs': self.observation, 'next_obs': result.observation, 'action': action,
            'reward': result.reward + result.terminated * self.termination_reward,
            'cost': max(charges),
            'terminated': float(result.terminated), 'ended': float(ended)}
        self.observation = result.observation
        if not ended:
            return decision, None
        summary = EpisodeSummary(self.reward, self.cost, len(self.actions), self.raw_steps)
        self.begin_next()
        return decision, summary

    def state(self) -> dict[str, object]:
        """Return what :meth:`load_state` needs."""
        return {'episode': self.episode, 'actions': [a.tolist() for a in self.actions]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go to the same moment of the same episode."""
        self.episode = state['episode']
        self._begin()
        for action in state['actions']:
            self.step(np.asarray(action, np.float32))
