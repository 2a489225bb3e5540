# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One decision: the action, its reasons, and all that is needed to repeat it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import dataclasses
from dataclasses import dataclass, field
import math
import re
from typing import Any

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.monitors.base import Reading
from spowl_ros.control.plan import RECORDED, Plan

SILENT_S = 1.0
"""Seconds without a decision after which people are told that the controller is silent."""
SOURCES = ('plan', 'policy', 'monitor', 'stop', 'operator')
"""Possible sources of an action, from the most to the least trusting; a person comes last."""
PLAN_SOURCES = SOURCES[:2]
"""Possible sources of a plan's action: the planner's own switch knows these."""
OPTIONAL = 'budget_'
"""How fields begin that a record holds only where they are known."""
LARGEST = 2**63 - 1
"""Largest integer of a record, which holds none below zero."""
_MOST = float(np.finfo(np.float32).max)
NAME = re.compile(r'\w+')
"""What names of monitors, and of stages of a decision, look like."""


def is_reward(amount: float) -> bool:
    """Whether a number can be a reward: it is finite as a float32 too, as networks hold it."""
    return abs(amount) <= _MOST


def is_cost(amount: float) -> bool:
    """Whether a number can be a cost: not negative, and finite as a float32 too."""
    return 0.0 <= amount <= _MOST


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
        return [item for name, value in self._named() for item in _to_items(name, value)]

    def _named(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and value of each item; an action is one value."""
        for name, value in vars(self).items():
            if name == 'plan':
                yield from ((f'plan.{part}', getattr(value, part))
                            for part in RECORDED if value is not None)
            elif name == 'readings':
                yield from ((f'monitors.{reading.monitor}.{part}', getattr(reading, part))
                            for reading in value for part in _PARTS)
            elif name == 'seconds':
                yield from ((f'seconds.{stage}', part) for stage, part in value.items())
            elif not (name.startswith(OPTIONAL) and math.isnan(value)):
                yield name, value

    @classmethod
    def from_items(cls, items: Iterable[tuple[str, str]]) -> Decision:
        """
        Rebuild a decision.

        :raises SpowlError: a name is missing, a text is not of its type, an integer is negative
            or above LARGEST, a number is beyond a float32, a source is not known, or the name of
            a monitor or stage is no word
        """
        texts = dict(items)
        try:
            values = {name: _from_items(name, kind, texts) for name, kind in _KINDS.items()
                      if name in texts or not name.startswith(OPTIONAL)}
            plan = None
            if 'plan.source' in texts:
                plan = Plan(**{name: _from_items(f'plan.{name}', kind, texts)
                               for name, kind in RECORDED.items()})
                _expect(plan.source in PLAN_SOURCES, plan.source)
            monitors = dict.fromkeys(name.split('.')[1] for name in texts
                                     if name.startswith('monitors.'))
            readings = tuple(Reading(name, **{
                part: _from_items(f'monitors.{name}.{part}', kind, texts)
                for part, kind in _PARTS.items()}) for name in monitors)
            seconds = {name.removeprefix('seconds.'): _number(text)
                       for name, text in texts.items() if name.startswith('seconds.')}
            _expect(values['source'] in SOURCES, values['source'])
            names = (*monitors, *values['tripped'], *seconds)
            _expect(all(map(NAME.fullmatch, names)), str(names))
            _expect(not values['monitor'] or NAME.fullmatch(values['monitor']), values['monitor'])
            return cls(plan=plan, readings=readings, seconds=seconds, **values)
        except (KeyError, ValueError) as error:
            raise SpowlError(f'not a decision record: {error!r:.200}') from error


_KINDS = {entry.name: str(entry.type) for entry in dataclasses.fields(Decision)
          if entry.name not in ('plan', 'readings', 'seconds')}
"""Field of a decision that is one item or one action, to its type as text."""
_PARTS = {entry.name: str(entry.type) for entry in dataclasses.fields(Reading)
          if entry.name != 'monitor'}
"""The same of a reading."""


def _expect(holds: object, text: str) -> None:
    """
    Refuse a text of a record.

    :raises ValueError: it does not hold
    """
    if not holds:
        raise ValueError(text)


def _integer(text: str) -> int:
    """
    Return an integer of a record.

    :raises ValueError: it is none, or is negative or above LARGEST
    """
    value = int(text)
    _expect(0 <= value <= LARGEST, text)
    return value


def _number(text: str) -> float:
    """
    Return a number of a record, infinite and not-a-number ones too.

    :raises ValueError: it is none, or is finite and beyond what networks hold
    """
    value = float(text)
    _expect(abs(value) <= _MOST or not math.isfinite(value), text)
    return value


_READERS: dict[str, Callable[[str], Any]] = {
    'str': str, 'int': _integer, 'float': _number,
    'bool': {'true': True, 'false': False}.__getitem__,
    'tuple[int, ...]': lambda text: tuple(map(_integer, text.split())),
    'tuple[float, ...]': lambda text: tuple(map(_number, text.split())),
    'tuple[str, ...]': lambda text: tuple(text.split())}
"""Type of a value, as text, to what reads it."""


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
            result.append(_number(texts[f'{name}.{len(result)}']))
        return tuple(result)
    return _READERS[kind](texts[name])
