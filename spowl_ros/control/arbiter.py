# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Decides who leads (plan, policy, monitor or stop) from the monitors' readings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.monitors.base import LEVELS, Level, Reading, Rule


@dataclass
class _Latch:
    """Trips and releases one monitor."""

    rule: Rule
    tripped: bool = False
    alarms: int = 0
    clears: int = 0
    reason: str = ''

    @property
    def level(self) -> Level:
        return LEVELS[self.rule.level] if self.tripped else Level.PLAN

    def update(self, reading: Reading) -> None:
        if not reading.known:
            return
        self.alarms = self.alarms + 1 if reading.alarm else 0
        self.clears = self.clears + 1 if reading.clear else 0
        if self.alarms >= self.rule.trigger:
            self.tripped = True
        if reading.alarm:
            self.reason = reading.reason
        if self.clears >= self.rule.release:
            self.tripped = False


@dataclass(frozen=True)
class Lead:
    """Who leads at one decision, and why."""

    level: Level
    monitor: str
    """Name of the monitor that set the level; empty at level PLAN."""
    reason: str
    """The monitor's sentence; empty at level PLAN."""


class Arbiter:
    """
    Latch every monitor's alarms and let the highest level lead.

    A monitor trips after ``trigger`` alarms in a row and is released after ``release`` clear
    readings in a row. A reading that is neither breaks both rows and changes nothing else. So a
    monitor never switches faster than in ``trigger`` decisions up and ``release`` decisions down.
    A reading that is not known is ignored. A monitor that has nothing to judge by its settings is
    released.

    :param rules: monitor's name to its rule
    """

    def __init__(self, rules: dict[str, Rule]) -> None:
        self._latches = {name: _Latch(rule) for name, rule in rules.items()}

    def change(self, rules: dict[str, Rule]) -> None:
        """Replace the rules of the same monitors; a tripped monitor stays so until released."""
        for name, rule in rules.items():
            self._latches[name].rule = rule

    def reset(self) -> None:
        """Reset the counts; a tripped monitor stays so until released."""
        for latch in self._latches.values():
            latch.alarms = latch.clears = 0

    def restore(self, tripped: Collection[str]) -> None:
        """Set exactly these monitors to tripped."""
        for name, latch in self._latches.items():
            latch.tripped = name in tripped

    def release(self, monitor: str) -> None:
        """Release a monitor that judges no more, so that no reading will."""
        latch = self._latches[monitor]
        latch.tripped, latch.alarms, latch.clears = False, 0, 0

    def update(self, reading: Reading) -> None:
        """
        Take one monitor's reading of the present decision.

        :raises SpowlError: a monitor without a rule
        """
        if reading.monitor not in self._latches:
            raise SpowlError(f"the arbiter has no rule for monitor '{reading.monitor}'")
        self._latches[reading.monitor].update(reading)

    @property
    def tripped(self) -> tuple[str, ...]:
        """Names of the tripped monitors; one that is off can be tripped but never leads."""
        return tuple(name for name, latch in self._latches.items() if latch.tripped)

    def leads(self, monitor: str) -> bool:
        """Whether a monitor is tripped and its rule's level is above the plan."""
        return self._latches[monitor].level > Level.PLAN

    def verdict(self) -> Lead:
        """Return who leads: the tripped monitor of the highest level, the first among equals."""
        level, monitor, reason = Level.PLAN, '', ''
        for name, latch in self._latches.items():
            if latch.level > level:
                level, monitor = latch.level, name
                reason = latch.reason if latch.alarms else ': '.join(
                    filter(None, (f'{name} not yet clear', latch.reason)))
        return Lead(level, monitor, reason)
