# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A long series of decisions as columns of numbers, small enough for memory."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.control.monitors.base import Stage
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.plan import NUMBERS

LIMITED = tuple(kind.name for kind in kinds() if kind.stage is Stage.AFTER_PLANNING)
"""Monitors with kept limits: their limits have the unit of a prediction."""
BUDGET = ('spent', 'left', 'coverage')


@dataclass(frozen=True)
class Trace:
    """
    Decisions in order; every array has one row for each, NaN where unknown.

    Reward and cost are those between a decision and the next one; NaN if they were not recorded at
    all.
    """

    now_ns: NDArray[np.int64]
    episode: NDArray[np.int64]
    """Counted from 0; a reset of the controller begins a new episode: its steps do not go on."""
    source: NDArray[np.int64]
    """Index into SOURCES."""
    action: NDArray[np.float64]
    """Shape (decisions, actions), in [-1, 1]."""
    plan: dict[str, NDArray[np.float64]]
    """The plan's numbers, by their names in NUMBERS."""
    cost_offset: NDArray[np.float64]
    reward: NDArray[np.float64]
    cost: NDArray[np.float64]
    seconds: NDArray[np.float64]
    """Duration of the decision."""
    deadline_missed: NDArray[np.bool_]
    position: NDArray[np.float64]
    """Shape (decisions, 2): position of the robot, metres."""
    alarms: dict[str, NDArray[np.bool_]]
    """Monitor to whether it was tripped."""
    limits: dict[str, NDArray[np.float64]]
    """Monitor of LIMITED to the value beyond which it alarms."""
    budget: dict[str, NDArray[np.float64]]
    """What decisions say of the episode's budget, by the names in BUDGET."""

    def __len__(self) -> int:
        return len(self.now_ns)

    @property
    def time(self) -> NDArray[np.float64]:
        """Seconds since the first decision; where the clock was set back, no time passes."""
        steps_ns = np.maximum(np.diff(self.now_ns, prepend=self.now_ns[:1]), 0)
        return np.asarray(np.cumsum(steps_ns) * 1e-9, np.float64)

    def executed(self, quantity: str) -> NDArray[np.float64]:
        """
        Return the predicted value of the action that was executed.

        :param quantity: 'value' or 'cost_value'
        :return: NaN where neither plan nor policy acted
        """
        return np.asarray(np.select(
            [self.source == SOURCES.index('plan'), self.source == SOURCES.index('policy')],
            [self.plan[f'plan_{quantity}'], self.plan[f'policy_{quantity}']], np.nan), np.float64)

    def select(self, rows: NDArray[np.bool_]) -> Trace:
        """Return some of the decisions."""
        chosen: dict[str, Any] = {
            name: {key: column[rows] for key, column in part.items()}
            if isinstance(part, dict) else part[rows] for name, part in vars(self).items()}
        return Trace(**chosen)


class TraceBuilder:
    """
    Collects decisions one by one, at about 300 bytes each.

    :param outcomes: which of 'reward' and 'cost' are known
    """

    def __init__(self, outcomes: Collection[str] = ('reward', 'cost')) -> None:
        self._nothing_yet = {name: 0.0 if name in outcomes else math.nan
                             for name in ('reward', 'cost')}
        self._times = array('q')
        self._columns: defaultdict[str, array[float]] = defaultdict(lambda: array('d'))
        self._actions = array('d')
        self._tripped: list[tuple[str, ...]] = []
        self._monitors: set[str] = set()
        self.episode = -1
        """That of the last decision."""
        self._step = -1

    def __len__(self) -> int:
        return len(self._times)

    def add(self, decision: Decision) -> None:
        """Add a decision; reward and cost come later."""
        if decision.step <= self._step or self.episode < 0:  # the bag may lack step 0
            self.episode += 1
        self._step = decision.step
        self._times.append(decision.now_ns)
        self._actions.extend(decision.action)
        limits = {reading.monitor: reading.limit for reading in decision.readings}
        numbers = {
            **{name: getattr(decision.plan, name, math.nan) for name in NUMBERS},
            'episode': self.episode, 'source': SOURCES.index(decision.source),
            'cost_offset': decision.cost_offset, **self._nothing_yet,
            **{f'budget_{name}': getattr(decision, f'budget_{name}') for name in BUDGET},
            'seconds': decision.seconds.get('total', math.nan),
            'deadline_missed': decision.deadline_missed, 'x': math.nan, 'y': math.nan,
            **{f'{name}.limit': limits.get(name, math.nan) for name in LIMITED}}
        for name, number in numbers.items():
            self._columns[name].append(number)
        self._tripped.append(decision.tripped)
        self._monitors.update(limits, decision.tripped)

    def add_outcome(self, name: str, amount: float) -> None:
        """
        Add to the reward or cost that followed the last decision.

        :param name: 'reward' or 'cost'
        """
        if len(self):
            self._columns[name][-1] += amount

    def set_position(self, position: tuple[float, float]) -> None:
        """Set the robot's position at the last decision."""
        if len(self):
            self._columns['x'][-1], self._columns['y'][-1] = position

    def build(self) -> Trace:
        """Return all decisions added so far."""
        count = len(self)

        def column(name: str) -> NDArray[np.float64]:
            return np.array(self._columns[name])

        return Trace(
            now_ns=np.array(self._times, np.int64), episode=column('episode').astype(np.int64),
            source=column('source').astype(np.int64),
            action=np.array(self._actions).reshape(count, -1 if count else 0),
            plan={name: column(name) for name in NUMBERS},
            **{name: column(name) for name in ('cost_offset', 'reward', 'cost', 'seconds')},
            deadline_missed=column('deadline_missed') > 0,
            position=np.column_stack((column('x'), column('y'))),
            alarms={monitor: np.array([monitor in tripped for tripped in self._tripped])
                    for monitor in sorted(self._monitors)},
            limits={name: column(f'{name}.limit') for name in LIMITED},
            budget={name: column(f'budget_{name}') for name in BUDGET})
