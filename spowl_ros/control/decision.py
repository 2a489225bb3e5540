# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One decision: the action, its reasons, and all that is needed to repeat it."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
from dataclasses import dataclass, field
import math
from typing import Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.monitors.base import Reading
from spowl_ros.control.plan import RECORDED, Plan

SILENT_S = 1.0
"""Seconds without a decision after which people are told that the controller is silent."""
SOURCES = ('plan', 'policy', 'monitor', 'stop', 'operator')
"""Possible sources of an action, from the most to the least trusting; a person comes last."""
OPTIONAL = 'budget_'
"""How fields begin that a record holds only where they are known."""


@dataclass(frozen=True)
class Decision:
    """
    One action with its reasons, timings and inputs.

    ``now_ns``, ``stamps_ns`` and ``silences`` are the observation's; with ``iterations`` of the
    plan, ``deadline_missed`` and ``cost`` they are all that a replay needs beside the sensors.
    """

    step: int
    """Number of decisions since the controller's last reset."""
    now_ns: int
    action: tuple[float, ...]
    """In [-1, 1], one per actuator."""
    source: str
    """One of SOURCES."""
    reason: str
    """Why the source is not the plan; empty if it is."""
    monitor: str = ''
    """The monitor that leads, or 'operator'; empty where none does."""
    stamps_ns: tuple[int, ...] = ()
    silences: tuple[float, ...] = ()
    plan: Plan | None = None
    """None if no plan was made."""
    cost: float = math.nan
    """Cost since the last decision; not-a-number if none was observed, infinity if a message held
    no cost."""
    cost_offset: float = math.nan
    """Upper bound of the plan's cost value, minus the cost value."""
    budget_spent: float = math.nan
    """Cost of the episode so far, infinity if a part of it is unknown; like the next four,
    not-a-number without a budget."""
    budget_left: float = math.nan
    budget_offset: float = math.nan
    """Upper bound of the policy's remaining cost, minus its cost value."""
    budget_coverage: float = math.nan
    """Share of such bounds that held."""
    budget_judged: float = math.nan
    """Number of such bounds."""
    deadline_missed: bool = False
    readings: tuple[Reading, ...] = ()
    tripped: tuple[str, ...] = ()
    """Names of the tripped monitors, including those that are off."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage to its duration; 'total' is the whole decision."""
    settings: str = ''
    """All settings as JSON at step 0 and when they changed, else empty."""

    def to_items(self) -> list[tuple[str, str]]:
        """Return names and texts that `from_items` turns into an equal decision."""
        items: list[tuple[str, str]] = []
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if entry.name == 'plan':
                if value is not None:
                    for name in RECORDED:
                        items += _to_items(f'plan.{name}', getattr(value, name))
            elif entry.name == 'readings':
                for reading in value:
                    for name, part in vars(reading).items():
                        if name != 'monitor':
                            items += _to_items(f'monitors.{reading.monitor}.{name}', part)
            elif entry.name == 'seconds':
                items += [(f'seconds.{stage}', repr(part)) for stage, part in value.items()]
            elif not (entry.name.startswith(OPTIONAL) and math.isnan(value)):
                items += _to_items(entry.name, value)
        return items

    @classmethod
    def from_items(cls, items: Iterable[tuple[str, str]]) -> Decision:
        """
        Rebuild a decision.

        :raises SpowlError: a name is missing, or a text is not of its type
        """
        texts = dict(items)
        try:
            values = {entry.name: _from_items(entry.name, str(entry.type), texts)
                      for entry in dataclasses.fields(cls)
                      if entry.name not in ('plan', 'readings', 'seconds') and not (
                          entry.name.startswith(OPTIONAL) and entry.name not in texts)}
            plan = None
            if 'plan.source' in texts:
                plan = Plan(**{name: _from_items(f'plan.{name}', kind, texts)
                               for name, kind in RECORDED.items()})
            monitors = dict.fromkeys(name.split('.')[1] for name in texts
                                     if name.startswith('monitors.'))
            readings = tuple(Reading(name, **{
                entry.name: _from_items(f'monitors.{name}.{entry.name}', str(entry.type), texts)
                for entry in dataclasses.fields(Reading) if entry.name != 'monitor'})
                for name in monitors)
            seconds = {name.removeprefix('seconds.'): float(text)
                       for name, text in texts.items() if name.startswith('seconds.')}
            return cls(plan=plan, readings=readings, seconds=seconds, **values)
        except (KeyError, ValueError) as error:
            raise SpowlError(f'not a decision record: {error!r}') from error


def _to_items(name: str, value: object) -> list[tuple[str, str]]:
    """Return one item, or one for each component of an action: plots find it by name."""
    if isinstance(value, tuple):
        if name.endswith('action'):
            return [(f'{name}.{index}', repr(part)) for index, part in enumerate(value)]
        return [(name, ' '.join(part if isinstance(part, str) else repr(part)
                                for part in value))]
    if isinstance(value, bool):
        return [(name, 'true' if value else 'false')]
    return [(name, value if isinstance(value, str) else repr(value))]


def _from_items(name: str, kind: str, texts: dict[str, str]) -> Any:
    """Read one value back; the text of its type annotation gives its type."""
    if name.endswith('action'):
        result: list[float] = []
        while f'{name}.{len(result)}' in texts:
            result.append(float(texts[f'{name}.{len(result)}']))
        return tuple(result)
    text = texts[name]
    if kind == 'str':
        return text
    if kind == 'bool':
        return {'true': True, 'false': False}[text]
    if kind.startswith('tuple'):
        part = {'tuple[int, ...]': int, 'tuple[float, ...]': float, 'tuple[str, ...]': str}[kind]
        return tuple(part(word) for word in text.split())
    return {'int': int, 'float': float}[kind](text)
