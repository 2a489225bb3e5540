# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitors' alarms compared with costs: hits, misses, false alarms, lead time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.monitors.registry import kinds
from spowl_ros.replay.trace import Trace

WINDOW_S = 2.0
"""How long before a cost an alarm may begin to count as a warning of it."""
QUIET_S = 1.0
"""A cost is a new event after this long without cost."""


@dataclass(frozen=True)
class AlarmCount:
    """Hits, misses and false alarms."""

    hits: int
    """Cost events with a warning."""
    misses: int
    """Cost events without a warning."""
    false_alarms: int
    """Alarms without a cost within the window, as far as costs are known."""
    leads: NDArray[np.float64]
    """Shape (hits,): seconds from the first warning to the cost."""
    alarmed: float
    """Fraction of the decisions with an alarm; a permanent alarm has no misses, but fraction 1."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON; `lead_seconds` is the median, None without hits."""
        return {'hits': self.hits, 'misses': self.misses, 'false_alarms': self.false_alarms,
                'lead_seconds': float(np.median(self.leads)) if self.leads.size else None,
                'alarmed': self.alarmed}


def foreseeing() -> tuple[str, ...]:
    """Return the monitors that warn of costs; the others judge sensors and timing."""
    return tuple(kind.name for kind in kinds() if kind.foresees)


def judge_alarms(trace: Trace, monitors: tuple[str, ...] | None = None) -> AlarmCount:
    """
    Compare the alarms of some monitors, taken together, with the costs of the same decisions.

    :param monitors: None: those that warn of costs

    An alarm lasts from the decision at which a monitor trips to its release. It warns of a cost
    that begins while it lasts or at most WINDOW_S after its end, and did not begin with it; an
    alarm raised by the decision whose own outcome cost is counted as a warning of no lead.
    """
    tripped = np.zeros(len(trace), bool)
    for monitor in foreseeing() if monitors is None else monitors:
        tripped |= trace.alarms.get(monitor, False)
    time = trace.time
    alarms = runs(tripped, trace.episode)
    events = cost_events(time, trace.cost, trace.episode)
    useful = np.array([bool(np.isnan(trace.cost[first])) for first, _ in alarms], bool)
    leads = []
    for event in events:
        # An alarm of another episode warns of nothing here, however close in time.
        warning = [index for index, (first, last) in enumerate(alarms)
                   if trace.episode[first] == trace.episode[event] and first <= event
                   and time[last] >= time[event] - WINDOW_S]
        useful[warning] = True
        if warning:
            leads.append(time[event] - time[alarms[warning[0]][0]])
    return AlarmCount(len(leads), len(events) - len(leads), int(np.sum(~useful)),
                      np.array(leads, np.float64), float(tripped.mean()))


def runs(active: NDArray[np.bool_], episode: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return first and last index of each stretch of True within an episode."""
    rows = np.flatnonzero(active)
    first = (np.diff(rows, prepend=-2) > 1) | (np.diff(episode[rows], prepend=-1) != 0)
    last = np.roll(first, -1)  # the row before a first one is a last one
    return list(zip(rows[first].tolist(), rows[last].tolist(), strict=True))


def cost_events(time: NDArray[np.float64], cost: NDArray[np.float64],
                episode: NDArray[np.int64]) -> list[int]:
    """Return the decisions at which a cost began after QUIET_S without cost."""
    rows = np.flatnonzero(cost > 0.0)
    quiet = np.diff(time[rows], prepend=-np.inf) > QUIET_S
    begins = quiet | (np.diff(episode[rows], prepend=-1) != 0)
    return list(rows[begins].tolist())
