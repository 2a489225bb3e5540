# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Repeat a recorded controller's decisions from the recorded sensors, without a robot.

The recorded sensors go through the assembler and the controller that the live node uses. Each
recorded decision names the stamp of every part of its observation, its clock, and everything that
depended on the machine's speed. So the same bundle and settings give the same decisions, bit for
bit. Other bundles and settings show their own decisions on the same observations.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import differing as differing_contracts
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.control.observation import Observation, ObservationAssembler
from spowl_ros.control.operator import Takeover
from spowl_ros.control.run_record import Episode
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.replay.recording import (
    Begin,
    Event,
    Outcome,
    RecordedRun,
    RecordedScene,
    Sample,
    settings_in,
)
from spowl_ros.replay.trace import Trace, TraceBuilder
from spowl_ros.robot.topics import load_robot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spowl_ros.control.bundle import Bundle
    from spowl_ros.control.contract import Contract

REMEMBERED = 4096
"""Number of kept values per field; decisions use recent ones."""
AHEAD_NS = 2_000_000_000
"""Greatest delay of a decision's inputs after it in the bag, nanoseconds of reception."""
OF_POLICY = ('plan.policy_action', 'plan.policy_value', 'plan.policy_cost_value',
             'plan.value_low', 'plan.cost_value_high')
"""Parts of a decision that depend on its observation and window alone, not on earlier plans."""
UNTOLD: dict[str, Any] = {'bundle': '', 'settings': {}, 'seed': 0, 'threads': 1}
"""What is taken for a bag that tells no settings."""
NOT_DECIDED = ('seconds', 'settings')
"""Parts of a decision that say how long it took and with what, not what was decided."""


@dataclass(frozen=True)
class Changes:
    """Changes against the recording."""

    values: dict[str, Any] = field(default_factory=dict)
    """Dotted name of a controller setting to its value."""
    namespace: str | None = None
    """Namespace of the robot's topics in the bag; None: search for it."""
    robot: str = ''
    """YAML file of the robot's topics and units; empty: those of the contract."""


@dataclass(frozen=True)
class Replay:
    """Result of replaying one bag."""

    bag: Path
    task: str
    recorded: Trace | None
    """None if the bag has no decisions; the replayed ones then follow the contract's period."""
    replayed: Trace
    differences: dict[int, tuple[str, ...]]
    """Index of each decision that differs from the recorded one to the differing parts."""
    compared: NDArray[np.bool_]
    """Whether each decision can be compared with a recorded one. It cannot if none was recorded or
    if the bag lacks its inputs or an earlier decision of its episode."""
    policy_compared: NDArray[np.bool_]
    """Whether a decision that cannot be compared as a whole can be in OF_POLICY: as many decisions
    before it as the bundle's window has rows were repeated from the bag, one after another."""
    policy_differences: dict[int, tuple[str, ...]]
    """The same as `differences`, of these decisions."""
    without_inputs: int
    """Decisions with a part of the observation missing from the bag."""
    stops_after_end: int
    """Number of stops at the end, after the last episode that a simulator ended: the robot had
    gone."""
    bundle_sha256: str
    """SHA-256 of the manifest of the deciding bundle."""
    other_bundles: dict[int, str]
    """Model changes, while recording, to bundles that the replay was not given: index of the first
    decision with such a bundle, to its SHA-256."""
    same_bundle: bool | None
    """Whether the bag was made with this bundle; None: the bag does not say."""
    other_robot: str
    """Path on the recording machine of a robot's file that the replay was not given."""
    changes: dict[str, Any]
    """Requested changes against the recording, by dotted setting name."""
    settings: ControllerSettings
    """Those of the last decision."""
    episodes: tuple[Episode, ...]
    """A simulator's summary of each ended episode."""
    scenes: dict[int, RecordedScene]
    """Episode to its first recorded scene."""
    damage: tuple[str, ...]

    @property
    def identical(self) -> bool | None:
        """Whether every compared decision equals the recorded one; None: none was compared."""
        return not self.differences if self.compared.any() else None

    @property
    def diverged_at(self) -> int | None:
        """Index of the first decision that differs."""
        return min(self.differences, default=None)


class Inputs:
    """The last values of every field by their stamps, and the observations made of them."""

    def __init__(self, contract: Contract) -> None:
        self._values: dict[str, OrderedDict[int, NDArray[np.float64]]] = {
            field.name: OrderedDict() for field in contract.fields}
        self._assembler = ObservationAssembler(contract)

    def in_turn(self, events: Iterable[tuple[int, Event]]) -> Iterator[Event]:
        """
        Keep the samples, and yield all other events in order: a decision once its inputs are read.

        :param events: with their time of reception, nanoseconds; a decision waits for its inputs
            no longer than AHEAD_NS
        """
        waiting: deque[tuple[int, Event]] = deque()
        for time_ns, event in events:
            if isinstance(event, Sample):
                values = self._values[event.field]
                values[event.stamp_ns] = event.values
                if len(values) > REMEMBERED:
                    values.popitem(last=False)
            else:
                waiting.append((time_ns, event))
            while waiting and (not isinstance(first := waiting[0][1], Decision)
                               or self.known(first) or time_ns - waiting[0][0] > AHEAD_NS):
                yield waiting.popleft()[1]
        yield from (event for _, event in waiting)

    def known(self, decision: Decision) -> bool:
        """Whether the value of every field at its stamp is known."""
        return all(stamp in values for values, stamp in zip(
            self._values.values(), decision.stamps_ns, strict=False))

    def observe(self, decision: Decision) -> Observation | None:
        """
        Return the observation of a decision; a value not known is that of the decision before.

        :return: None where a field was never known
        """
        for (name, values), stamp in zip(self._values.items(), decision.stamps_ns, strict=True):
            if (found := values.get(stamp)) is not None:
                self._assembler.put(name, found, stamp)
        return self._assembler.observe(decision.now_ns)


class _Replayer:
    """
    Replays one open bag with one bundle, as `replay` says.

    :raises SpowlError: the bag is not from the bundle's robot
    """

    def __init__(self, bag: Bag, bundle: Bundle, changes: Changes,
                 successors: Collection[Bundle]) -> None:
        robot = load_robot(changes.robot)
        self._known = {each.digest: dataclasses.replace(
            each, contract=robot.applied_to(each.contract)) for each in (bundle, *successors)}
        bundle = self._known[bundle.digest]
        for each in self._known.values():
            if found := differing_contracts(bundle.contract, each.contract):
                raise SpowlError(f'bundle {each.digest[:12]} has another contract than '
                                 f'{bundle.digest[:12]}: {", ".join(found)} differ')
        self._run = RecordedRun(bag, bundle.contract, robot, changes.namespace)
        self._bundle, self._used = bundle, bundle.digest
        self._changes = changes.values
        self._plans_as_recorded = not any(name.startswith('planner.') for name in self._changes)
        """Whether the recorded bundle decides with the recorded planner settings; only then do
        the recorded iterations tell how many it had time for."""
        self._inputs = Inputs(bundle.contract)
        self._controller: Controller | None = None
        self._announced = ''
        self._other_bundles: dict[int, str] = {}
        self._same_bundle: bool | None = None
        self._other_robot = self._run.robot_file if not changes.robot else ''
        self._recorded = TraceBuilder(self._run.outcomes)
        self._replayed = TraceBuilder(self._run.outcomes)
        self._differences: dict[int, tuple[str, ...]] = {}
        self._before: Decision | None = None
        self._past_known = True
        self._compared: list[bool] = []
        self._rows = 0
        """Decisions repeated from the bag one after another, as far as a window goes."""
        self._policy_compared: list[bool] = []
        self._policy_differences: dict[int, tuple[str, ...]] = {}
        self._without_inputs = 0
        self._episodes: list[Episode] = []
        self._ended_at = -1
        self._scenes: dict[int, RecordedScene] = {}

    def run(self, progress: Callable[[int], object]) -> Replay:
        """
        Replay the bag.

        :raises SpowlError: the bag has no complete observation
        """
        for _ in self._decide_again() if self._run.decided else self._decide_anew():
            progress(1)
        if not len(self._replayed) or self._controller is None:
            raise SpowlError(f'bag {self._run.bag.path} has no moment at which every sensor was '
                             'known; nothing can be decided')
        replayed = self._replayed.build()
        recorded = self._recorded.build() if self._run.decided else None
        if recorded is not None:
            replayed = dataclasses.replace(replayed, **{
                name: getattr(recorded, name)[:len(replayed)]
                for name in ('reward', 'cost', 'position')})
        none = [False] * len(replayed)
        return Replay(
            self._run.bag.path, self._run.contract.task, recorded, replayed, self._differences,
            np.array(self._compared or none), np.array(self._policy_compared or none),
            self._policy_differences, self._without_inputs,
            self._stops_after_end(recorded or replayed), self._used, self._other_bundles,
            self._same_bundle, self._other_robot, self._changes, self._controller.settings,
            tuple(self._episodes), self._scenes, tuple(self._run.bag.damage))

    def _stops_after_end(self, live: Trace) -> int:
        """Return the number of decisions after the last episode, if all of them are stops."""
        if self._ended_at < 0:
            return 0
        after = live.source[self._ended_at:]
        return len(after) if np.all(after == SOURCES.index('stop')) else 0

    def _decide_again(self) -> Iterator[Decision]:
        """Repeat each recorded decision as soon as its inputs have been read."""
        for event in self._inputs.in_turn(self._run.events()):
            if isinstance(event, Decision):
                self._recorded.add(event)
                yield self._again(event)
            else:
                self._take(event, self._recorded)

    def _again(self, recorded: Decision) -> Decision:
        """Repeat one recorded decision and note the differences."""
        controller = self._controller_as_of(recorded)
        self._before = recorded
        if not recorded.stamps_ns:
            decision = controller.stop(recorded.now_ns, recorded.reason)
        else:
            complete = self._inputs.known(recorded)
            self._without_inputs += not complete
            self._past_known &= complete
            self._rows = self._rows if complete else -1
            observation = self._inputs.observe(recorded)
            if observation is None:
                decision = controller.stop(recorded.now_ns, 'the bag lacks the inputs')
            else:
                plan = recorded.plan if self._plans_as_recorded else None
                decision = controller.decide(
                    dataclasses.replace(observation, silences=np.array(recorded.silences)),
                    iterations=plan.iterations if plan else None,
                    deadline_missed=recorded.deadline_missed, cost=recorded.cost,
                    operator=Takeover.recorded(recorded))
        # what follows in the bag follows from what the robot did then
        controller.took(recorded.action)
        self._compared.append(self._past_known)
        if self._past_known and (parts := differing(recorded, decision)):
            self._differences[len(self._replayed)] = parts
        self._compare_policy(recorded, decision)
        self._replayed.add(decision)
        return decision

    def _compare_policy(self, recorded: Decision, decision: Decision) -> None:
        """Compare what depends on the window alone, of a decision without its past."""
        planned = recorded.plan is not None and decision.plan is not None and self._rows >= 0
        exact = not self._past_known and planned and self._rows >= self._bundle.window
        self._policy_compared.append(exact)
        if exact and (parts := tuple(part for part in differing(recorded, decision)
                                     if part in OF_POLICY)):
            self._policy_differences[len(self._replayed)] = parts
        if (recorded.plan is None) != (decision.plan is None):
            self._rows = 0
        else:  # without a plan the controller begins its window anew, in the recording too
            self._rows = self._bundle.window if recorded.plan is None else self._rows + 1

    def _decide_anew(self) -> Iterator[Decision]:
        """For a bag without decisions: decide at the contract's period when every field is new."""
        self._controller = self._new_controller(UNTOLD)
        assembler = ObservationAssembler(self._run.contract)
        # Half a raw step early is still in time: stamps are not exact multiples of it.
        period_ns = (self._run.contract.control_period - self._run.contract.raw_period / 2) * 1e9
        last_ns = -period_ns
        newest_ns: dict[str, int] = {}
        for _, event in self._run.events():
            if isinstance(event, Sample):
                assembler.put(event.field, event.values, event.stamp_ns)
                if event.stamp_ns < newest_ns.get(event.field, event.stamp_ns):
                    # The clock was set back; that is no new episode, and the controller sees it.
                    assembler.forget_after(event.stamp_ns)
                    last_ns = event.stamp_ns - period_ns
                    newest_ns.clear()
                newest_ns[event.field] = event.stamp_ns
                if assembler.complete() and event.stamp_ns - last_ns >= period_ns:
                    last_ns = event.stamp_ns
                    observation = assembler.observe(event.stamp_ns)
                    assert observation is not None  # it was complete
                    decision = self._controller.decide(observation)
                    self._replayed.add(decision)
                    yield decision
            elif isinstance(event, Begin):
                self._controller.reset()
                assembler.forget_before(event.stamp_ns)
                last_ns = event.stamp_ns - period_ns
            else:
                self._take(event, self._replayed)

    def _take(self, event: Event, ledger: TraceBuilder) -> None:
        """Attribute an event to the last decision."""
        if isinstance(event, Outcome):
            ledger.add_outcome(event.name, event.amount)
        elif isinstance(event, Episode):
            self._episodes.append(event)
            self._ended_at = len(ledger)
        elif isinstance(event, RecordedScene):
            ledger.set_position(event.robot)
            self._scenes.setdefault(ledger.episode, event)

    def _controller_as_of(self, recorded: Decision) -> Controller:
        """Return the controller in the state in which it made a recorded decision."""
        said = settings_in(recorded.settings)
        if self._controller is None:
            said = said or self._run.first_settings()
            self._same_bundle = said['bundle'] == self._bundle.digest if said else None
            self._announced = (said or UNTOLD)['bundle']
            self._controller = self._new_controller(said or UNTOLD)
        before = self._before
        if said and said['bundle'] != self._announced:
            self._change_bundle(said, recorded.step, before)
            self._announced = said['bundle']
        if recorded.step == 0 and self._past_known:
            self._controller.reset()
        elif recorded.step != (before.step + 1 if before else 0):
            # The bag lacks decisions before this one, or lacked them until this reset.
            self._past_known = recorded.step == 0
            self._rows = self._bundle.window if recorded.step == 0 else 0
            self._controller.resume(recorded.step, before or recorded)
            if recorded.step == 0:  # only what outlasts an episode comes from before
                self._controller.reset()
        if said:
            then = self._recorded_settings(said)
            settings = then.change(self._changes)
            self._controller.change(settings)
            self._plans_as_recorded = (
                said['bundle'] == self._bundle.digest and 'planner.iterations' not in self._changes
                and settings.planner == then.planner)
        return self._controller

    def _change_bundle(self, said: dict[str, Any], step: int, before: Decision | None) -> None:
        """Switch to the bundle that took over in the recording, if it is known."""
        if said['bundle'] not in self._known:
            self._other_bundles[len(self._replayed)] = said['bundle']
            return
        former = self._controller
        assert former is not None  # the caller made it
        if before is not None and self._announced != self._bundle.digest:
            former.resume(step, before)  # decisions of a bundle that is not known led here
        self._bundle = self._known[said['bundle']]
        self._controller = self._new_controller(said)
        self._controller.succeed(former)

    def _new_controller(self, said: dict[str, Any]) -> Controller:
        """
        Return a controller with the recorded settings and the requested changes.

        :raises SpowlError: a setting does not exist, or the bundle fixes it
        """
        settings = self._recorded_settings(said).change(self._changes)
        return Controller(self._bundle, settings, said['seed'], said['threads'])

    def _recorded_settings(self, said: dict[str, Any]) -> ControllerSettings:
        """
        Return the recorded settings.

        Another bundle keeps its own planner settings; only the monitors' settings are as recorded.

        :raises SpowlError: a setting does not exist, or the bundle fixes it
        """
        same = said['bundle'] == self._bundle.digest
        return ControllerSettings(planner=self._bundle.settings).change({
            name: value for name, value in said['settings'].items()
            if same or not name.startswith('planner.')})


def replay(path: Path, bundle: Bundle, changes: Changes | None = None,
           successors: Collection[Bundle] = (),
           progress: Callable[[int], object] = lambda decisions: None) -> Replay:
    """
    Replay one bag with one bundle.

    :param changes: differences from the recording
    :param successors: bundles that replaced the first one during the recording
    :param progress: called with 1 after each decision
    :raises SpowlError: the bag is not from the bundle's robot, or has no complete observation
    """
    with Bag(path) as bag:
        return _Replayer(bag, bundle, changes or Changes(), successors).run(progress)


def differing(recorded: Decision, replayed: Decision) -> tuple[str, ...]:
    """Return the names of the parts in which two decisions differ, bit for bit."""
    names = (name for name, _ in set(recorded.to_items()) ^ set(replayed.to_items()))
    parts = {name.rstrip('0123456789').rstrip('.') for name in names}
    return tuple(sorted(part for part in parts if part.split('.')[0] not in NOT_DECIDED))
