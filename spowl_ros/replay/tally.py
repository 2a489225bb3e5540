# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums over the decisions of two bundles on the same recordings; those of many bags add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
import json
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.statistics import number
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay.alarms import judge_alarms
from spowl_ros.replay.foresight import foresight
from spowl_ros.replay.measures import driving

if TYPE_CHECKING:
    from spowl_ros.replay.replay import Replay

ACTION_STEP = 0.001
"""Differences of actions are counted rounded up to a multiple of this."""
SECONDS_STEP = 0.01
"""Latencies are counted rounded up by this part of them at most."""
_SHORTEST_S = 1e-6
_UNKNOWN = -1


@dataclass(frozen=True)
class BundleSums:
    """Sums of one bundle over the decisions of recordings."""

    stops: int = 0
    cost_value: float = 0.0
    """Sum of the predicted cost values of what was done, where there are any."""
    cost_values: int = 0
    """How many there are."""
    cost_error: float = 0.0
    """Sum of the squares of predicted less followed cost, where both are known."""
    cost_errors: int = 0
    """How many there are."""
    misses: float = 0.0
    """Costs not warned of; NaN if any cost is unknown."""
    false_alarms: float = 0.0
    """Alarms that no cost followed; NaN if any cost is unknown."""

    @classmethod
    def of(cls, replay: Replay) -> Self:
        """Return the sums of one replay."""
        trace = driving(replay)
        seen = foresight(trace, 'cost_value', replay.settings.planner.cost_discount)
        errors = (seen.predicted - seen.followed)[seen.known]
        cost_values = trace.executed('cost_value')
        cost_values = cost_values[np.isfinite(cost_values)]
        alarms, known = judge_alarms(trace), not np.isnan(trace.cost).any()
        return cls(
            stops=int(np.sum(trace.source == SOURCES.index('stop'))),
            cost_value=float(cost_values.sum()), cost_values=cost_values.size,
            cost_error=float(np.sum(errors**2)), cost_errors=errors.size,
            misses=float(alarms.misses) if known else math.nan,
            false_alarms=float(alarms.false_alarms) if known else math.nan)

    def __add__(self, other: BundleSums) -> BundleSums:
        """Return the sums over both."""
        return BundleSums(*(getattr(self, entry.name) + getattr(other, entry.name)
                            for entry in fields(BundleSums)))


@dataclass(frozen=True)
class Tally:
    """
    Sums over the same decisions of an old bundle, A, and a new one, B.

    Quantiles come from counts of rounded values, so that a tally stays small for any number of
    decisions.
    """

    decisions: int = 0
    difference: float = 0.0
    """Sum of the differences of the actions: of each decision the greatest of its parts."""
    source_changes: int = 0
    a: BundleSums = field(default_factory=BundleSums)
    b: BundleSums = field(default_factory=BundleSums)
    differences: Mapping[int, int] = field(default_factory=dict)
    """Difference of the actions in ACTION_STEP to its number."""
    latencies: Mapping[int, int] = field(default_factory=dict)
    """Latency of B as a power of 1 + SECONDS_STEP to its number."""

    @classmethod
    def of(cls, old: Replay, new: Replay) -> Self:
        """Return the sums of one recording."""
        one, other = driving(old), driving(new)
        apart = np.abs(one.action - other.action).max(axis=1, initial=0.0)
        seconds = np.maximum(other.seconds, _SHORTEST_S) / _SHORTEST_S
        return cls(
            decisions=len(other), difference=float(apart.sum()),
            source_changes=int(np.sum(one.source != other.source)),
            a=BundleSums.of(old), b=BundleSums.of(new),
            differences=_counts(np.ceil(apart / ACTION_STEP - 1e-9)),
            latencies=_counts(np.ceil(np.log(seconds) / math.log1p(SECONDS_STEP) - 1e-9)))

    def __add__(self, other: Tally) -> Tally:
        """Return the sums over both."""
        return Tally(
            self.decisions + other.decisions, self.difference + other.difference,
            self.source_changes + other.source_changes, self.a + other.a, self.b + other.b,
            Counter(self.differences) + Counter(other.differences),
            Counter(self.latencies) + Counter(other.latencies))

    def figures(self, period: float) -> dict[str, float | None]:
        """
        Return the figure of each rule of the gate; None: unknown.

        :param period: control period, seconds
        """
        a, b = self.a, self.b
        error_a, error_b = (math.sqrt(_ratio(side.cost_error, side.cost_errors))
                            for side in (a, b))
        latency = _quantile(self.latencies, 0.99)
        figures = {
            'decisions': float(self.decisions),
            'action_mean': _ratio(self.difference, self.decisions),
            'action_high': _quantile(self.differences, 0.95) * ACTION_STEP,
            'source_changes': _ratio(self.source_changes, self.decisions),
            'stops': _ratio(b.stops - a.stops, self.decisions),
            'predicted_cost': (_ratio(b.cost_value, b.cost_values)
                               - _ratio(a.cost_value, a.cost_values)),
            'cost_error': error_b / error_a if error_a > 0.0 else (
                1.0 if error_b == error_a == 0.0 else math.inf),
            'misses': b.misses - a.misses, 'false_alarms': b.false_alarms - a.false_alarms,
            'latency': _SHORTEST_S * (1.0 + SECONDS_STEP)**latency / period}
        return {name: number(figure) for name, figure in figures.items()}

    def row(self) -> dict[str, Any]:
        """Return the tally as plain values, under the names of COLUMNS."""
        return {name: json.dumps(sorted(value.items())) if isinstance(value, Mapping) else
                number(value) if isinstance(value, float) else value
                for name, value in self._flat().items()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the tally of such values."""
        own: dict[str, Any] = {name: math.nan if row[name] is None else row[name]
                               for name in COLUMNS}
        for name in _COUNTS:
            own[name] = dict(json.loads(own[name]))
        for side in _SIDES:
            own[side] = BundleSums(**{entry.name: own.pop(f'{entry.name}_{side}')
                                      for entry in fields(BundleSums)})
        return cls(**own)

    def _flat(self) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for entry in fields(Tally):
            value = getattr(self, entry.name)
            flat |= {f'{part.name}_{entry.name}': getattr(value, part.name)
                     for part in fields(BundleSums)} if entry.name in _SIDES else {
                         entry.name: value}
        return flat


_SIDES = ('a', 'b')
_COUNTS = ('differences', 'latencies')
COLUMNS: dict[str, type] = {
    name: str if name in _COUNTS else type(value) for name, value in Tally()._flat().items()}
"""The names of a tally's row, and the types of its values."""


def _counts(values: NDArray[np.float64]) -> dict[int, int]:
    whole = np.where(np.isfinite(values), values, _UNKNOWN).astype(np.int64)
    bins, numbers = np.unique(whole, return_counts=True)
    return dict(zip(bins.tolist(), numbers.tolist(), strict=True))


def _quantile(counts: Mapping[int, int], share: float) -> float:
    """
    Return the smallest value with this share of the numbers at or below it.

    :return: NaN if there are no numbers, or one of them is unknown
    """
    if _UNKNOWN in counts:
        return math.nan
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0.0:
            return float(value)
    return math.nan


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
