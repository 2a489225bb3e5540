# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The episodes of one environment as a stream that can be resumed exactly."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import training_seed
from spowl_ros.control.contract import SAME_OBJECT, SCAN_RANGE, Contract
from spowl_ros.control.window import Wide
from spowl_ros.sim import environment
from spowl_ros.sim.randomisation import Randomisation


@dataclass(frozen=True)
class EpisodeSummary:
    """One finished episode: sums over its raw steps, discount 1."""

    reward: float
    cost: float
    decisions: int
    raw_steps: int


def decision_shapes(observation: int, action: int) -> dict[str, tuple[int, ...]]:
    """Return the parts of a decision and their shapes, for values of this size."""
    return {'obs': (observation,), 'next_obs': (observation,), 'action': (action,),
            'reward': (), 'cost': (), 'terminated': (), 'ended': ()}


def margin_cost(contract: Contract, before: NDArray[np.float32], after: NDArray[np.float32],
                margin: float) -> float:
    """
    Return a charge, 0 to action_repeat, for coming within `margin` metres of a costly object.

    The largest closeness in a scan gives the distance to its nearest object, so the observations
    (n,) before and after the decision suffice. The charge is zero without a margin.

    Among objects of which one is wanted, another one costs only while it comes nearer. After the
    robot touches the wanted one, another becomes wanted; the robot must be free to leave.
    """
    if margin <= 0:
        return 0.0
    worst = 0.0
    slices = contract.slices
    for part in contract.fields:
        here = slices[part.name]
        if part.hazard_radius is not None:
            radius, distance = part.hazard_radius, _nearest(after[here])
        elif part.others_radius is not None and part.wanted is not None:
            there = slices[part.wanted]
            radius, distance = part.others_radius, _nearest_other(after[here], after[there])
            last = _nearest_other(before[here], before[there])
            if not distance < last < SCAN_RANGE:  # the scan may have been empty
                continue
        else:
            continue
        worst = max(worst, (radius + margin - distance) / margin)
    return contract.action_repeat * min(worst, 1.0)


def _nearest(scan: NDArray[np.float32]) -> float:
    """Return the distance in metres to the nearest object of a scan (sectors,)."""
    return SCAN_RANGE * (1.0 - float(scan.max()))


def _nearest_other(scan: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the same for the objects that the scan of the wanted one does not show."""
    return _nearest(np.where(scan - wanted > SAME_OBJECT, scan, 0.0))


@dataclass
class Stream:
    """
    Episodes of one environment, one after another, each with its own seed.

    The state is (episode number, actions since its reset). The seed and the number of an episode
    determine its layout, and the robot that it draws. Physics is deterministic, so repeating the
    actions restores the environment bit for bit.
    """

    task: str
    action_repeat: int
    seed: int
    number: int
    cost_margin: float = 0.0
    least_cost: float = 0.0
    termination_reward: float = 0.0
    least_upright: float = -1.0
    sleep: bool = False
    randomisation: Randomisation = Randomisation()
    window: int = 0

    def __post_init__(self) -> None:
        self.environment = environment.make(self.task, action_repeat=self.action_repeat,
                                            sleep=self.sleep)
        self._body = self.environment.body if self.least_upright > -1.0 else None
        if self._body is None and self.least_upright > -1.0:
            raise SpowlError(f'collect.least_upright is {self.least_upright:g}, but nobody knows '
                             f'the body of {self.task}; leave it at -1')
        self._spec = self.environment.contract.action
        self._rest = self._spec.rest.astype(np.float32)
        self._wide = Wide(self.window, self.environment.contract.size, self._rest)
        self._begin(0)

    def _begin(self, episode: int) -> None:
        self.episode = episode
        numbers = self.seed, self.number, episode
        if self.randomisation.active:
            words = np.random.SeedSequence(numbers)
            self.environment.perturb(self.randomisation.draw(
                np.random.default_rng(words.spawn(1)[0]), self.environment.contract.raw_period))
        self.actions: list[NDArray[np.float32]] = []
        self.reward = self.cost = 0.0
        self.raw_steps = 0
        self.observation = self.environment.reset(seed=training_seed(*numbers))
        self.wide = self._wide.begin(self.observation)
        self._seen = self.environment.unperturbed

    def step(self, action: NDArray[np.float32]
             ) -> tuple[dict[str, NDArray[np.float32] | float], EpisodeSummary | None]:
        """
        Act once; return the decision for the replay buffer, and the summary at an episode's end.

        The environment gets, and the decision stores, the action limited to the contract's
        greatest change.
        """
        action = self._spec.held(action, self.actions[-1] if self.actions else self._rest)
        result = self.environment.step(action)
        self.actions.append(action)
        self.reward += result.reward
        self.cost += result.cost
        self.raw_steps += result.info['raw_steps']
        terminated = result.terminated or (
            self._body is not None and self._body.upright() < self.least_upright)
        ended = terminated or result.truncated
        before, self._seen = self._seen, self.environment.unperturbed
        near = margin_cost(self.environment.contract, before, self._seen, self.cost_margin)
        least = self.least_cost if result.cost > 0 else 0.0
        decision: dict[str, Any] = {
            'obs': self.observation, 'next_obs': result.observation, 'action': action,
            'reward': result.reward + terminated * self.termination_reward,
            'cost': max(result.cost, near, least),
            'terminated': float(terminated), 'ended': float(ended)}
        self.observation = result.observation
        self.wide = self._wide.after(action, self.observation)
        if not ended:
            return decision, None
        summary = EpisodeSummary(self.reward, self.cost, len(self.actions), self.raw_steps)
        self._begin(self.episode + 1)
        return decision, summary

    def load_state(self, state: dict[str, Any]) -> None:
        """
        Go to a moment of an episode.

        :param state: the number of the `episode`, and the `actions` since its beginning
        """
        if self.actions or state != {'episode': self.episode, 'actions': []}:
            self._begin(state['episode'])
        for action in state['actions']:
            self.step(np.asarray(action, np.float32))
