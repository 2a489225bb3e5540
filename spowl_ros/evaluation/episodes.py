# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Run a controller's episodes in simulation, and summarise them.

An `Agent` decides; the run-time controller and the PyTorch planner each have one. An agent decides
for several episodes at once, one in each lane. Several processes can share the episodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
import multiprocessing
from multiprocessing.sharedctypes import Synchronized
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.children import pool
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.statistics import bootstrap, shares
from spowl_ros.control.window import Wide
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import Perturbation

_POLL_SECONDS = 0.5


class Agent(Protocol):
    """Decides for several episodes side by side, one in each lane."""

    window: int
    """Rows of the window that it wants beside each observation; see `control.window`."""

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin an episode in one lane for each seed; a lane's randomness depends on its seed."""

    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """
        Return actions (n, A) and their sources for observations of these lanes.

        :param observations: (n, O + window (O + A))
        """

    def paid(self, lane: int, cost: float) -> None:
        """Take what the last action of a lane cost."""


class AgentSource(Protocol):
    """Makes an agent; small enough to send to another process."""

    @property
    def task(self) -> str:
        """Return the agent's task."""

    @property
    def action_repeat(self) -> int:
        """Return the raw steps of one decision."""

    @property
    def lanes(self) -> int:
        """Return the greatest number of episodes that its agent runs side by side."""

    def open(self) -> Agent:
        """Return a fresh agent."""


@dataclass(frozen=True)
class EvaluatedEpisode:
    """One episode; sums over its raw steps, discount 1."""

    seed: int
    reward: float
    cost: float
    decisions: int
    raw_steps: int
    goals: int
    sources: dict[str, int]
    """Decisions by source."""
    action_change: float
    """Mean absolute change of an actuator's command between decisions; its range is 2."""


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one controller in one task."""

    task: str
    planner: str
    episodes: tuple[EvaluatedEpisode, ...]
    seconds: float
    """Wall time of all episodes."""
    details: dict[str, Any] = field(default_factory=dict)
    """Other inputs that define the evaluation: model, settings, perturbation."""

    @property
    def returns(self) -> list[float]:
        """Return of each episode."""
        return [episode.reward for episode in self.episodes]

    @property
    def costs(self) -> list[float]:
        """Cost of each episode."""
        return [episode.cost for episode in self.episodes]

    @property
    def cost_free_fraction(self) -> float:
        """Fraction of the episodes without any cost."""
        return sum(cost == 0 for cost in self.costs) / len(self.episodes)

    @property
    def source_fraction(self) -> dict[str, float]:
        """Fraction of all decisions by source."""
        total: Counter[str] = Counter()
        for episode in self.episodes:
            total.update(episode.sources)
        return shares(total)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of the evaluation."""
        decisions = sum(episode.decisions for episode in self.episodes)
        raw_steps = sum(episode.raw_steps for episode in self.episodes)
        return {
            'task': self.task, 'planner': self.planner, 'episodes': len(self.episodes),
            'returns': self.returns, 'costs': self.costs,
            'return': vars(bootstrap(self.returns)), 'cost': vars(bootstrap(self.costs)),
            'cost_free_fraction': self.cost_free_fraction,
            'source_fraction': self.source_fraction, 'seconds': self.seconds,
            'rates': {'decisions_per_second': decisions / self.seconds,
                      'raw_steps_per_second': raw_steps / self.seconds},
            'seeds': [episode.seed for episode in self.episodes],
            'steps': [episode.raw_steps for episode in self.episodes],
            'goals': [episode.goals for episode in self.episodes],
            'action_change': [episode.action_change for episode in self.episodes],
            **self.details}


ChunkRunner = Callable[[Sequence[int]], list[EvaluatedEpisode]]
"""Runs an episode for each seed, side by side."""
Elsewhere = Callable[[AgentSource, list[list[int]], Perturbation | None,
                      Callable[[list[EvaluatedEpisode]], object]], None]
"""Runs chunks of episodes, and passes on the episodes of each chunk as it ends."""


def side_by_side(agent: Agent, environments: Sequence[environment.AnyEnvironment],
                 seeds: Sequence[int], on_decisions: Callable[[int], bool] | None = None
                 ) -> list[EvaluatedEpisode]:
    """
    Run one episode in each environment until all have ended.

    Limits actions to the contract's greatest change, as controllers and supervisor do.

    :param environments: at least as many as seeds
    :param on_decisions: gets the number of raw steps made; returning False stops
    :return: the episodes in the order of the seeds; none if stopped
    """
    agent.begin(seeds)
    contract = environments[0].contract
    rest = contract.action.rest.astype(np.float32)
    windows = [Wide(agent.window, contract.size, rest) for _ in seeds]
    observations = {lane: windows[lane].begin(environments[lane].reset(seed=seed))
                    for lane, seed in enumerate(seeds)}
    totals = [np.zeros(5) for _ in seeds]  # reward, cost, raw steps, goals, change of action
    last: dict[int, NDArray[np.float32]] = {}
    sources: list[Counter[str]] = [Counter() for _ in seeds]
    while observations:
        lanes = list(observations)
        actions, chosen = agent.act(lanes, np.stack(list(observations.values())))
        raw_steps = 0
        for lane, wanted, source in zip(lanes, actions, chosen, strict=True):
            action = contract.action.held(wanted, last.get(lane, rest))
            result = environments[lane].step(action)
            sources[lane][source] += 1
            change = float(np.abs(action - last.get(lane, action)).mean())
            last[lane] = action
            agent.paid(lane, result.cost)
            totals[lane] += (result.reward, result.cost, result.info['raw_steps'],
                             result.info['goals'], change)
            raw_steps += result.info['raw_steps']
            if result.terminated or result.truncated:
                del observations[lane]
            else:
                observations[lane] = windows[lane].after(action, result.observation)
        if on_decisions and not on_decisions(raw_steps):
            return []
    return [EvaluatedEpisode(seed, float(total[0]), float(total[1]), count.total(), int(total[2]),
                    int(total[3]), dict(count), float(total[4]) / max(count.total() - 1, 1))
            for seed, total, count in zip(seeds, totals, sources, strict=True)]


def evaluate(source: AgentSource, planner: str, seeds: Sequence[int], *, workers: int = 1,
             perturbation: Perturbation | None = None, details: dict[str, Any] | None = None,
             on_steps: Callable[[int], object] = lambda steps: None,
             on_episodes: Callable[[Evaluation], object] = lambda so_far: None,
             elsewhere: Elsewhere | None = None) -> Evaluation:
    """
    Run an episode for each seed.

    :param planner: name of the evaluation
    :param workers: processes that share the episodes
    :param on_steps: gets the raw steps made so far, now and then
    :param on_episodes: gets the evaluation so far whenever episodes have ended
    :param elsewhere: runs the episodes instead of this process and its workers, in the chunks of
        a single process
    :raises SpowlError: no episodes, or a worker died
    """
    if not seeds:
        raise SpowlError('there is no episode to evaluate; at least one is needed')
    begin = time.perf_counter()
    size = min(source.lanes, -(-len(seeds) // max(workers, 1)))
    chunks = [list(seeds[i:i + size]) for i in range(0, len(seeds), size)]
    workers = min(workers, len(chunks))
    episodes: list[EvaluatedEpisode] = []

    def so_far() -> Evaluation:
        return Evaluation(source.task, planner,
                          tuple(sorted(episodes, key=lambda episode: episode.seed)),
                          time.perf_counter() - begin, details or {})

    def add(ended: list[EvaluatedEpisode]) -> None:
        episodes.extend(ended)
        on_episodes(so_far())

    if elsewhere is not None:
        elsewhere(source, chunks, perturbation, add)
    elif workers > 1:
        _in_processes(source, chunks, workers, perturbation, on_steps, add)
    else:
        made = 0

        def count(steps: int) -> bool:
            nonlocal made
            made += steps
            on_steps(made)
            return True

        run = runner(source, size, perturbation, count)
        for chunk in chunks:
            add(run(chunk))
    return so_far()


def runner(source: AgentSource, lanes: int, perturbation: Perturbation | None,
           on_decisions: Callable[[int], bool] | None = None) -> ChunkRunner:
    """Return `side_by_side` for a fresh agent and its environments, one for each lane."""
    agent = source.open()
    environments = [environment.make(source.task, action_repeat=source.action_repeat,
                                     perturbation=perturbation) for _ in range(lanes)]
    return partial(side_by_side, agent, environments, on_decisions=on_decisions)


_run: ChunkRunner | None = None
"""What a worker process keeps between chunks of episodes."""


def _open_worker(source: AgentSource, lanes: int, perturbation: Perturbation | None,
                 made: Synchronized[int]) -> None:
    global _run

    def count(steps: int) -> bool:
        with made.get_lock():
            made.value += steps
        return True

    _run = runner(source, lanes, perturbation, count)


def _run_chunk(seeds: list[int]) -> list[EvaluatedEpisode]:
    assert _run is not None, 'the pool opens every worker first'
    return _run(seeds)


def _in_processes(source: AgentSource, chunks: list[list[int]], workers: int,
                  perturbation: Perturbation | None, on_steps: Callable[[int], object],
                  on_ended: Callable[[list[EvaluatedEpisode]], object]) -> None:
    """Run the chunks in several processes, and pass on the episodes of each as it ends."""
    made = multiprocessing.get_context('spawn').Value('q', 0)
    with pool(workers, _open_worker, (source, len(chunks[0]), perturbation, made)) as processes:
        pending = {processes.submit(_run_chunk, chunk) for chunk in chunks}
        try:
            while pending:
                done, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
                on_steps(made.get_obj().value)  # a worker may have died while it held the lock
                for future in done:
                    on_ended(future.result())
        except BrokenProcessPool as error:
            raise SpowlError('a worker process died (out of memory?); evaluate with fewer '
                             '--workers') from error
