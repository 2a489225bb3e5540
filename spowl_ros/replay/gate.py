# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Judge whether a new bundle may replace an old one, by decisions on the same recordings."""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import declared, read, setting
from spowl_ros.control.contract import differing

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle
    from spowl_ros.replay.tally import Tally

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
