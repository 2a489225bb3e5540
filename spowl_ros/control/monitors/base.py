# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Base class of monitors: a monitor judges each decision once and returns one `Reading`.

A monitor is one file of this folder: a frozen dataclass of settings with a field ``rule``, and a
subclass of `Monitor` decorated with `register`. The controller's settings, its ROS parameters and
their documentation, the arbiter's rules, recordings and reports follow from the class::

    @dataclass(frozen=True)
    class TiltSettings:
        \"\"\"How far the robot may lean.\"\"\"

        rule: Rule = group(Rule, level='stop')
        limit: float = setting(0.5, 'greatest angle, radians', low=0.0, high=3.2)

    @register
    class TiltMonitor(Monitor[TiltSettings]):
        \"\"\"Alarm when the robot leans too far.\"\"\"

        name, settings_type, stage = 'tilt', TiltSettings, Stage.BEFORE_PLANNING

        def judge(self, context: Context) -> Reading:
            ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
import enum
import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from spowl_ros.base.settings import setting

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract
    from spowl_ros.control.decision import Decision
    from spowl_ros.control.hazards import Nearest
    from spowl_ros.control.monitors.calibration import Calibration, HeldOutEpisode, Table
    from spowl_ros.control.observation import Observation
    from spowl_ros.control.plan import Plan

S = TypeVar('S')


class Level(enum.IntEnum):
    """Who leads, from the most to the least trusting."""

    PLAN = 0
    POLICY = 1
    MONITOR = 2
    STOP = 3


LEVELS = {'off': Level.PLAN, 'policy': Level.POLICY, 'monitor': Level.MONITOR,
          'stop': Level.STOP}
"""A rule's level to who leads while the monitor is tripped."""


@dataclass(frozen=True)
class Rule:
    """How the arbiter treats one monitor."""

    level: str = setting('policy', 'who leads while tripped; off: the monitor only reports',
                         choices=tuple(LEVELS))
    trigger: int = setting(1, 'consecutive alarms that trip it', low=1, high=1000)
    release: int = setting(5, 'consecutive clear decisions that release it', low=1, high=10000)


@dataclass(frozen=True)
class Reading:
    """
    One monitor's judgement of one decision.

    Between ``alarm`` and ``clear`` lies the hysteresis, where neither is true. Neither is true
    either if nothing is known (a first step, no plan); the value is then not-a-number.
    """

    monitor: str
    value: float = math.nan
    """The judged value, in the monitor's unit; larger is worse."""
    limit: float = math.nan
    """An alarm lies beyond this value."""
    alarm: bool = False
    clear: bool = False
    reason: str = ''
    """One sentence with the numbers, at an alarm."""

    @property
    def known(self) -> bool:
        """Whether the monitor could judge."""
        return self.alarm or self.clear or not math.isnan(self.value)


class Stage(enum.IntEnum):
    """When a monitor judges."""

    BEFORE_PLANNING = 0
    """At level STOP no plan is made."""
    AFTER_PLANNING = 1
    """The monitor can judge the plan too."""


@dataclass(frozen=True)
class Context:
    """All that a monitor can judge at one decision."""

    observation: Observation
    hazards: Sequence[Nearest] = ()
    """The nearest hazard of each scan that sees one."""
    plan: Plan | None = None
    """None before planning, and if no plan was made."""
    cost: float = math.nan
    """Cost of the last decision, as in `Decision`: not-a-number if not observed, infinity if it
    may have been any."""


@dataclass(frozen=True)
class Grounds:
    """What a monitor knows about the robot and its bundle from the start."""

    contract: Contract
    calibration: Calibration
    cost_discount: float
    """Discount of the cost value per decision."""


class Monitor(ABC, Generic[S]):
    """
    Judges one decision after another.

    :param settings: of ``settings_type``
    :param grounds: does not change while the monitor lives
    """

    name: ClassVar[str]
    """Also the prefix of its settings, as in `name.rule.level`."""
    settings_type: ClassVar[type[Any]]
    """Frozen dataclass of `setting` fields, and ``rule``: its `Rule`."""
    stage: ClassVar[Stage]
    rank: ClassVar[int] = 100
    """Order among the monitors of its stage; among equal levels the first one leads."""
    foresees: ClassVar[bool] = False
    """Whether it predicts costs; reports then count its hits and misses."""
    spares_planning: ClassVar[bool] = False
    """Whether the controller skips planning while this monitor leads."""
    judges_plans: ClassVar[bool] = False
    """Whether it knows nothing where no plan is made."""
    learned_in: ClassVar[tuple[str, ...]] = ()
    """Fields of a Decision that record what it has `learned`."""
    of_the_episode: ClassVar[bool] = False
    """Whether what it `learned` holds for the episode, whichever model drives."""
    table: ClassVar[str] = ''
    """Key of its table in a bundle's calibration; empty if it needs none."""

    def __init__(self, settings: S, grounds: Grounds) -> None:
        self.settings = settings
        self.grounds = grounds
        self.prepare()

    def prepare(self) -> None:
        """Make what it keeps between decisions, from its settings and grounds."""

    @abstractmethod
    def judge(self, context: Context) -> Reading:
        """Judge the present decision; called exactly once for each."""

    def alarm(self, value: float, limit: float, reason: str) -> Reading:
        """Return an alarm."""
        return Reading(self.name, value, limit, alarm=True, reason=reason)

    def judged(self, value: float, limit: float, release: float, reason: str) -> Reading:
        """Return the reading that `judged` makes of a value, its limits and a reason."""
        return judged(self.name, value, limit, release, reason)

    def record(self, decision: Decision) -> None:
        """Remember the decision; the next `judge` may judge its outcome."""

    def change(self, settings: S) -> None:
        """Use other settings from the next decision on."""
        self.settings = settings

    def reset(self) -> None:
        """Begin a new episode; keep what was learned. `interrupt` comes first."""

    def interrupt(self) -> None:
        """Forget what leads from one measurement to the next: they were interrupted."""

    @property
    def patience(self) -> float:
        """Seconds without sensors after which it alarms; infinity: never."""
        return math.inf

    @property
    def silent(self) -> bool:
        """Whether its settings give it nothing to judge; it then gives no reading at all."""
        return False

    @property
    def learned(self) -> tuple[float, ...]:
        """What it has learned, in the order of `learned_in`; not-a-number: nothing."""
        return ()

    def recall(self, *learned: float) -> None:
        """Restore what was `learned`, in a replay."""

    @classmethod
    def calibrate(cls, episodes: Sequence[HeldOutEpisode], discount: float) -> Table:
        """
        Return the monitor's table from held-out episodes; empty if they are too few.

        :param discount: of the cost value, per decision
        """
        return ()


REGISTERED: dict[str, type[Monitor[Any]]] = {}
"""Name to monitor; see `registry`."""
M = TypeVar('M', bound=type[Monitor[Any]])


def register(kind: M) -> M:
    """Register a monitor for the controller and all reports."""
    REGISTERED[kind.name] = kind
    return kind


def judged(monitor: str, value: float, limit: float, release: float, reason: str) -> Reading:
    """Compare a value (larger is worse) with the limit for alarms and the one for clearing."""
    alarm = value > limit
    return Reading(monitor, float(value), float(limit), alarm,
                   clear=not alarm and value <= release, reason=reason if alarm else '')
