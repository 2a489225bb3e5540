# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The result of a run: its episodes, where its actions came from, and how long they took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from spowl_ros.base.statistics import latency_ms, shares
from spowl_ros.control.decision import SOURCES, Decision


@dataclass(frozen=True)
class Episode:
    """One finished episode."""

    episode_return: float
    """Sum of rewards, undiscounted."""
    cost: float
    """Sum of costs, undiscounted."""
    steps: int
    """Raw steps of the simulation."""


class RunRecord:
    """
    Collects the results of a run; `reward` and `cost` are of the episode in progress.

    :param expected: episodes after which the run is over; 0: never
    """

    def __init__(self, task: str, expected: int = 0) -> None:
        self.task = task
        self.expected = expected
        self.episodes: list[Episode] = []
        self.reward = 0.0
        self.cost = 0.0
        self.deadline_misses = 0
        self.sources: Counter[str] = Counter()
        self._seconds: list[float] = []

    @property
    def decisions(self) -> int:
        """Return the number of decisions seen."""
        return len(self._seconds)

    @property
    def complete(self) -> bool:
        """Return whether every expected episode has ended."""
        return 0 < self.expected <= len(self.episodes)

    def add_decision(self, decision: Decision) -> None:
        """Count a decision; ignore a stop after the last episode, when the robot has gone."""
        if self.complete and decision.source == 'stop':
            return
        self.sources[decision.source] += 1
        self.deadline_misses += decision.deadline_missed
        self._seconds.append(decision.seconds.get('total', math.nan))

    def add_episode(self, episode: Episode) -> None:
        """Add a finished episode and begin the next one."""
        self.episodes.append(episode)
        self.reward = self.cost = 0.0

    def source_fraction(self) -> dict[str, float]:
        """Return the fraction of decisions by source."""
        return shares(self.sources, SOURCES)

    def latency_ms(self) -> dict[str, float]:
        """Return quantiles of the decision time, milliseconds; empty before any decision."""
        return latency_ms(self._seconds) if self._seconds else {}

    def summary(self) -> dict[str, Any]:
        """Return the whole record for JSON."""
        return {
            'task': self.task,
            'episodes': [
                {'return': episode.episode_return, 'cost': episode.cost, 'steps': episode.steps}
                for episode in self.episodes
            ],
            'decisions': self.decisions,
            'source_fraction': self.source_fraction(),
            'latency_ms': self.latency_ms(),
            'deadline_misses': self.deadline_misses,
        }

    def table(self) -> str:
        """Return the summary as text for a terminal."""
        rows = [(str(number), f'{episode.episode_return:.2f}', f'{episode.cost:.0f}',
                 str(episode.steps)) for number, episode in enumerate(self.episodes, start=1)]
        if len(rows) > 1:
            mean = np.mean([(e.episode_return, e.cost, e.steps) for e in self.episodes], axis=0)
            rows.append(('mean', f'{mean[0]:.2f}', f'{mean[1]:.1f}', f'{mean[2]:.0f}'))
        lines = ['episode    return      cost     steps'] if rows else []
        lines += [f'{name:>7}{total:>10}{cost:>10}{steps:>10}'
                  for name, total, cost, steps in rows]
        shares = ', '.join(f'{source} {fraction:.0%}'
                           for source, fraction in self.source_fraction().items())
        lines.append(f'decisions  {self.decisions}' + (f', of them {shares}' if self.decisions
                                                       else ''))
        if latency := self.latency_ms():
            lines.append('latency    ' + ', '.join(
                f'{name} {value:.1f} ms' for name, value in latency.items())
                + f'; {self.deadline_misses} deadlines missed')
        return '\n'.join(lines)
