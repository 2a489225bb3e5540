# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Judge whether a new bundle may replace an old one, by decisions on the same recordings.

A tally holds the sums over the decisions of both; those of many bags add up. Rules limit its
figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import declared, read, setting
from spowl_ros.base.statistics import number
from spowl_ros.control.contract import differing
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay.alarms import judge_alarms
from spowl_ros.replay.foresight import foresight
from spowl_ros.replay.measures import driving
from spowl_ros.replay.replay import Changes, Replay, replay

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle

ACTION_STEP = 0.001
"""Differences of actions are counted rounded up to a multiple of this."""
SECONDS_STEP = 0.01
"""Latencies are counted rounded up by this part of them at most."""
_SHORTEST_S = 1e-6
_UNKNOWN = -1
_OFF = ' (-1: off)'


def _rule(limit: float, meaning: str, high: float | None = None) -> Any:
    """Declare a rule that can be switched off."""
    return setting(limit, meaning + _OFF, low=-1.0, high=high)


@dataclass(frozen=True)
class GateRules:
    """
    Limits for the new bundle, B, compared with the old one, A.

    A rule in use fails if its figure is unknown, for instance if costs were not recorded.
    """

    decisions: int = setting(100, 'least number of decisions', low=1)
    action_mean: float = _rule(
        0.5, 'mean difference of the actions, which range from -1 to 1')
    action_high: float = _rule(1.5, '95th percentile of the difference of the actions')
    source_changes: float = _rule(0.5, 'fraction of the decisions whose source differs', 1.0)
    stops: float = _rule(0.02, 'increase of the fraction of decisions that are stops', 1.0)
    predicted_cost: float = _rule(
        1.0, 'increase of the mean predicted cost value of the executed actions')
    cost_error: float = _rule(1.2, "RMS error of the predicted cost, as a multiple of A's")
    misses: float = _rule(0.0, 'additional costs without a warning')
    false_alarms: float = _rule(2.0, 'additional alarms without a cost')
    latency: float = _rule(
        0.5, '99th percentile of the latency on this machine, as a fraction of the control period')


@dataclass(frozen=True)
class Tally:
    """
    Sums over the same decisions of an old bundle, A, and a new one, B.

    Quantiles come from counts of rounded values, so that a tally stays small for any number of
    decisions. NaN in a sum: a part of it is unknown.
    """

    decisions: int = 0
    difference: float = 0.0
    """Sum of the differences of the actions: of each decision the greatest of its parts."""
    source_changes: int = 0
    stops_a: int = 0
    cost_value_a: float = 0.0
    """Sum of the predicted cost values of what was done, where there are any."""
    cost_values_a: int = 0
    """How many there are."""
    cost_error_a: float = 0.0
    """Sum of the squares of predicted less followed cost, where both are known."""
    cost_errors_a: int = 0
    """How many there are."""
    misses_a: float = 0.0
    """Costs not warned of; NaN if any cost is unknown."""
    false_alarms_a: float = 0.0
    """Alarms that no cost followed; NaN if any cost is unknown."""
    stops_b: int = 0
    cost_value_b: float = 0.0
    cost_values_b: int = 0
    cost_error_b: float = 0.0
    cost_errors_b: int = 0
    misses_b: float = 0.0
    false_alarms_b: float = 0.0
    differences: Counter[int] = field(default_factory=Counter)
    """Difference of the actions in ACTION_STEP to its number."""
    latencies: Counter[int] = field(default_factory=Counter)
    """Latency of B as a power of 1 + SECONDS_STEP to its number."""
    damage: str = ''
    """A line, with its end, for each thing that could not be read."""

    @classmethod
    def of(cls, path: Path, first: Bundle, second: Bundle, changes: Changes | None = None,
           progress: Callable[[int], Any] = lambda decisions: None) -> Self:
        """
        Return the sums over the decisions of two bundles on one recording.

        :param first: the old bundle, A
        :param second: the new bundle, B
        :raises SpowlError: the bag cannot be replayed
        """
        old, new = (replay(path, bundle, changes, progress=progress)
                    for bundle in (first, second))
        one, other = driving(old), driving(new)
        apart = np.abs(one.action - other.action).max(axis=1, initial=0.0)
        seconds = np.maximum(other.seconds, _SHORTEST_S) / _SHORTEST_S
        return cls(
            decisions=len(other), difference=float(apart.sum()),
            source_changes=int(np.sum(one.source != other.source)),
            **_sums(old, 'a'), **_sums(new, 'b'),
            differences=_counts(np.ceil(apart / ACTION_STEP - 1e-9)),
            latencies=_counts(np.ceil(np.log(seconds) / math.log1p(SECONDS_STEP) - 1e-9)),
            damage=''.join(f'{path}: {line}\n' for line in old.damage))

    def __add__(self, other: Tally) -> Tally:
        """Return the sums over both."""
        return Tally(*(getattr(self, name) + getattr(other, name) for name in COLUMNS))

    def figures(self, period: float) -> dict[str, float | None]:
        """
        Return the figure of each rule of the gate; None: unknown.

        :param period: control period, seconds
        """
        error_a = math.sqrt(_ratio(self.cost_error_a, self.cost_errors_a))
        error_b = math.sqrt(_ratio(self.cost_error_b, self.cost_errors_b))
        latency = _quantile(self.latencies, 0.99)
        figures = {
            'decisions': float(self.decisions),
            'action_mean': _ratio(self.difference, self.decisions),
            'action_high': _quantile(self.differences, 0.95) * ACTION_STEP,
            'source_changes': _ratio(self.source_changes, self.decisions),
            'stops': _ratio(self.stops_b - self.stops_a, self.decisions),
            'predicted_cost': (_ratio(self.cost_value_b, self.cost_values_b)
                               - _ratio(self.cost_value_a, self.cost_values_a)),
            'cost_error': error_b / error_a if error_a > 0.0 else (
                1.0 if error_b == error_a == 0.0 else math.inf),
            'misses': self.misses_b - self.misses_a,
            'false_alarms': self.false_alarms_b - self.false_alarms_a,
            'latency': _SHORTEST_S * (1.0 + SECONDS_STEP)**latency / period}
        return {name: number(figure) for name, figure in figures.items()}

    def row(self) -> dict[str, Any]:
        """Return the tally as plain values, under the names of COLUMNS."""
        return {name: json.dumps(sorted(value.items())) if isinstance(value, Counter) else
                number(value) if isinstance(value, float) else value
                for name, value in vars(self).items()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the tally of such values."""
        values: dict[str, Any] = {
            name: Counter(dict(json.loads(row[name]))) if isinstance(empty, Counter) else
            math.nan if row[name] is None else row[name] for name, empty in vars(cls()).items()}
        return cls(**values)


COLUMNS: dict[str, type] = {name: str if isinstance(value, Counter) else type(value)
                            for name, value in vars(Tally()).items()}
"""The names of a tally's row, and the types of its values."""


@dataclass(frozen=True)
class Finding:
    """One rule and its figure."""

    rule: str
    figure: float | None
    """None: unknown."""
    limit: float
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether the figure is known and within the limit."""
        if self.figure is None or not math.isfinite(self.figure):
            return False
        return (self.figure >= self.limit if self.rule == 'decisions'
                else self.figure <= self.limit)


def rules_from(path: Path) -> GateRules:
    """
    Read rules from a YAML file; missing ones keep the defaults of `GateRules`.

    :raises SpowlError: unreadable, an unknown key, a wrong value
    """
    try:
        return read(GateRules, yaml.read(path, 'the rules'))
    except SpowlError as error:
        raise SpowlError(f'rules {path}: {error}') from error


def check_contracts(first: Bundle, second: Bundle) -> None:
    """
    Make sure that one bundle can follow the other.

    :raises SpowlError: their contracts differ
    """
    if found := differing(first.contract, second.contract):
        raise SpowlError(f'the contracts of the two bundles differ in {", ".join(found)}; one '
                         'cannot follow the other')


def judge(total: Tally, rules: GateRules, period: float) -> list[Finding]:
    """
    Return the findings of all rules in use.

    :param period: control period, seconds
    """
    figures = total.figures(period)
    return [Finding(entry.name, figures[entry.name], limit,
                    entry.description.removesuffix(_OFF))
            for entry in declared(rules) if (limit := float(entry.default)) >= 0.0]


def _sums(found: Replay, side: str) -> dict[str, Any]:
    """Return the sums of one bundle, under the names of the fields that end with its side."""
    trace = driving(found)
    seen = foresight(trace, 'cost_value', found.settings.planner.cost_discount)
    errors = seen.predicted - seen.followed
    cost_values = trace.executed('cost_value')
    cost_values = cost_values[np.isfinite(cost_values)]
    alarms, known = judge_alarms(trace), not np.isnan(trace.cost).any()
    sums = {
        'stops': int(np.sum(trace.source == SOURCES.index('stop'))),
        'cost_value': float(cost_values.sum()), 'cost_values': cost_values.size,
        'cost_error': float(np.sum(errors**2)), 'cost_errors': errors.size,
        'misses': float(alarms.misses) if known else math.nan,
        'false_alarms': float(alarms.false_alarms) if known else math.nan}
    return {f'{name}_{side}': value for name, value in sums.items()}


def _counts(values: NDArray[np.float64]) -> Counter[int]:
    """Return how often each whole number occurs; all that are not finite are _UNKNOWN."""
    return Counter(np.where(np.isfinite(values), values, _UNKNOWN).astype(np.int64).tolist())


def _quantile(counts: Counter[int], share: float) -> float:
    """
    Return the smallest value with this share of the numbers at or below it.

    :return: NaN if there are no numbers, or one of them is unknown
    """
    if _UNKNOWN in counts:
        return math.nan
    left = share * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0.0:
            return float(value)
    return math.nan


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
