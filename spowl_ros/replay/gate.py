# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Judge whether a new bundle may replace an old one, by decisions on the same recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.bags.reader import Bag
from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import Setting, declared, read, setting
from spowl_ros.base.statistics import number
from spowl_ros.control.contract import differing
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay.alarms import judge_alarms
from spowl_ros.replay.foresight import foresight
from spowl_ros.replay.measures import driving
from spowl_ros.replay.replay import Changes, Replay, Replayer

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle

_OFF = ' (-1: not asked)'


@dataclass(frozen=True)
class GateRules:
    """
    Limits for the new bundle, B, compared with the old one, A.

    A rule in use fails if its figure is unknown, for instance if costs were not recorded.
    """

    decisions: int = setting(100, 'decisions that there must be at least', low=1)
    action_mean: float = setting(
        0.5, 'mean difference of the actions, in parts of 1 of their range of -1 to 1' + _OFF,
        low=-1.0)
    action_high: float = setting(
        1.5, 'difference of the actions that 95 % of the decisions stay below' + _OFF, low=-1.0)
    source_changes: float = setting(
        0.5, 'part of the decisions with another source' + _OFF, low=-1.0, high=1.0)
    stops: float = setting(
        0.02, 'part of the decisions by which stops may be more' + _OFF, low=-1.0, high=1.0)
    predicted_cost: float = setting(
        1.0, 'by which the mean predicted cost value of what is done may be higher' + _OFF,
        low=-1.0)
    cost_error: float = setting(
        1.2, "root mean square of predicted less followed cost, in parts of A's" + _OFF, low=-1.0)
    misses: float = setting(
        0.0, 'costs not warned of, beyond those of A' + _OFF, low=-1.0)
    false_alarms: float = setting(
        2.0, 'alarms that no cost followed, beyond those of A' + _OFF, low=-1.0)
    latency: float = setting(
        0.5, '99th percentile of what a decision takes here, in parts of the control period'
        + _OFF, low=-1.0)


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
        return self.figure >= self.limit if self.rule == 'decisions' else (
            self.figure <= self.limit)


@dataclass(frozen=True)
class _Sums:
    """Sums of one bundle over all recordings."""

    decisions: int
    stops: float
    cost_value: float
    cost_error: float
    misses: float
    false_alarms: float
    latency: float


def rules_from(path: Path) -> GateRules:
    """
    Read rules from a YAML file; missing ones keep the defaults of `GateRules`.

    :raises SpowlError: unreadable, an unknown key, a wrong value
    """
    try:
        return read(GateRules, yaml.read(path, 'the rules'))
    except SpowlError as error:
        raise SpowlError(f'rules {path}: {error}') from error


def compare(bags: Sequence[Path], first: Bundle, second: Bundle, rules: GateRules,
            changes: Changes | None = None,
            progress: Callable[[int], Any] = lambda decisions: None) -> list[Finding]:
    """
    Let two bundles decide on the same recordings, and judge the second by rules.

    :param first: the old bundle, A
    :param second: the new bundle, B
    :raises SpowlError: their contracts differ, or a bag cannot be replayed
    """
    if found := differing(first.contract, second.contract):
        raise SpowlError(f'the contracts of the two bundles differ in {", ".join(found)}; one '
                         'cannot follow the other')
    pairs = []
    for path in bags:
        pair = []
        for bundle in (first, second):
            with Bag(path) as bag:
                pair.append(Replayer(bag, bundle, changes).run(progress))
        pairs.append((pair[0], pair[1]))
    figures = _figures(pairs, first.contract.control_period)
    return [Finding(entry.name, figures[entry.name], limit, _meaning(entry))
            for entry in declared(rules) if (limit := float(entry.default)) >= 0.0]


def _meaning(entry: Setting) -> str:
    return entry.description.removesuffix(_OFF)


def _figures(pairs: Sequence[tuple[Replay, Replay]], period: float) -> dict[str, float | None]:
    """Return the figure of each rule."""
    traces = [(driving(old), driving(new)) for old, new in pairs]
    apart = np.concatenate([np.abs(old.action - new.action).max(axis=1) for old, new in traces])
    changes = np.concatenate([old.source != new.source for old, new in traces])
    a, b = (_sums([pair[side] for pair in pairs]) for side in (0, 1))
    figures = {
        'decisions': float(b.decisions), 'action_mean': float(apart.mean()),
        'action_high': float(np.quantile(apart, 0.95)),
        'source_changes': float(changes.mean()), 'stops': b.stops - a.stops,
        'predicted_cost': b.cost_value - a.cost_value,
        'cost_error': b.cost_error / a.cost_error if a.cost_error > 0.0 else (
            1.0 if b.cost_error == 0.0 else math.inf),
        'misses': b.misses - a.misses, 'false_alarms': b.false_alarms - a.false_alarms,
        'latency': b.latency / period}
    return {name: number(figure) for name, figure in figures.items()}


def _sums(replays: Sequence[Replay]) -> _Sums:
    traces = [driving(replay) for replay in replays]
    errors, misses, false_alarms = [], 0.0, 0.0
    for replay, trace in zip(replays, traces):
        seen = foresight(trace, 'cost_value', replay.settings.planner.cost_discount)
        errors.append((seen.predicted - seen.followed)[seen.known])
        if np.isnan(trace.cost).all():  # the worth of the alarms is unknown
            misses = false_alarms = math.nan
        alarms = judge_alarms(trace)
        misses, false_alarms = misses + alarms.misses, false_alarms + alarms.false_alarms
    error = np.concatenate(errors)
    cost_values: Any = np.concatenate([trace.executed('cost_value') for trace in traces])
    cost_values = cost_values[np.isfinite(cost_values)]
    seconds = np.concatenate([trace.seconds for trace in traces])
    source = np.concatenate([trace.source for trace in traces])
    return _Sums(
        decisions=len(source), stops=float(np.mean(source == SOURCES.index('stop'))),
        cost_value=float(cost_values.mean()) if cost_values.size else math.nan,
        cost_error=float(np.sqrt(np.mean(error**2))) if error.size else math.nan,
        misses=misses, false_alarms=false_alarms, latency=float(np.quantile(seconds, 0.99)))
