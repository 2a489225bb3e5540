# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read a bag as a stream of events: sensor fields, decisions, rewards, costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.bags.context import read_context
from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEGIN_TOPIC, BEGIN_TYPE, DECISION, EPISODE, MARKERS
from spowl_ros.base.settings import declared
from spowl_ros.control.decision import LARGEST, Decision, is_cost, is_reward
from spowl_ros.control.run_record import Episode
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.drawing.outline import Outline, outline_of, solids
from spowl_ros.robot.topics import Edge, load_robot, topics

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spowl_ros.control.contract import Contract
    from spowl_ros.robot.config import RobotConfig

OUTCOMES = ('reward', 'cost')
MOST_ITERATIONS = next(int(entry.high or 0) for entry in declared(ControllerSettings())
                       if entry.name == 'planner.iterations')
"""Most improvements of one plan."""


@dataclass(frozen=True)
class Sample:
    """One measured field of the observation."""

    field: str
    values: NDArray[np.float64]
    stamp_ns: int


@dataclass(frozen=True)
class Outcome:
    """A reward or a cost."""

    name: str
    """One of OUTCOMES."""
    amount: float
    """Not-a-number for a reward or cost that can be none."""


@dataclass(frozen=True)
class RecordedScene:
    """A simulator's scene; metres, world frame."""

    outlines: tuple[Outline, ...]

    @property
    def robot(self) -> tuple[float, float]:
        """Position of the robot; NaN if the scene does not show it."""
        return next((outline.points[0] for outline in self.outlines if outline.kind == 'robot'),
                    (np.nan, np.nan))


@dataclass(frozen=True)
class Begin:
    """An episode begins."""

    stamp_ns: int
    """Of its first measurement."""


Event = Sample | Outcome | Begin | Decision | RecordedScene | Episode


class RecordedRun:
    """
    A bag of a robot that a contract fits.

    :param contract: with the robot's topics
    :param robot: which messages its sensors send
    :param namespace: of the robot's topics; None: search by decisions or sensors
    :raises SpowlError: a topic is missing or of another type, or nothing was recorded
    """

    def __init__(self, bag: Bag, contract: Contract, robot: RobotConfig,
                 namespace: str | None = None) -> None:
        self.bag = bag
        self.contract = contract
        self._sensors = {entry.topic: entry for entry in topics(contract, robot)}
        if not any(topic.messages for topic in bag.topics.values()):
            raise SpowlError(f'bag {bag.path} holds no messages')
        self.namespace = (self._find_namespace() if namespace is None else namespace).strip('/')
        """The robot's namespace, without slashes at the ends."""
        self._prefix = f'/{self.namespace}/' if self.namespace else '/'
        self.sensors = [self._prefix + topic for topic in self._sensors]
        """Full names of the topics that make an observation."""
        self.decided = self._has(DECISION)
        """Whether a controller's decisions were recorded."""
        self.outcomes = tuple(name for name in OUTCOMES if self._has(name))
        """Which of rewards and costs were recorded; a topic without messages tells nothing."""
        self._check()

    @property
    def robot_file(self) -> str:
        """Path of the robot's file on the recording machine; empty: none or unknown."""
        parameters = read_context(self.bag).parameters.get(f'{self._prefix}controller', {})
        return str(parameters.get('robot', ''))

    def events(self) -> Iterator[tuple[int, Event]]:
        """
        Yield time of reception (nanoseconds) and event, in order.

        :raises SpowlError: a message cannot be read, or a decision is not one of this robot
        """
        readers = {**dict.fromkeys(self._sensors, self._samples),
                   **{topic: reader for topic, (_, reader) in OTHERS.items()}}
        present = {self._prefix + name: (name, reader) for name, reader in readers.items()}
        self._edge = Edge()
        self._refused: dict[str, tuple[int, str]] = {}
        decided = 0
        for stored in self.bag.messages(present):
            name, reader = present[stored.topic]
            message = self.bag.decode(stored)
            try:
                events = tuple(reader(name, message))
            except SpowlError as error:
                raise SpowlError(f'{self.bag.path}: a message on {stored.topic} cannot be read: '
                                 f'{error}') from error
            for event in events:
                if isinstance(event, Decision):
                    self._check_decision(event, decided)
                    decided += 1
                yield stored.time_ns, event
        self.bag.damage += [f'{topic}: {count} messages are refused, the last because of {reason}'
                            for topic, (count, reason) in self._refused.items()]

    def first_settings(self) -> dict[str, Any] | None:
        """
        Return with which settings the first decision was made, as far as the bag tells.

        A recorder that kept the last seconds only has noted them; else it is the first decision
        that tells them.
        """
        topic = self._prefix + DECISION
        told = (decision.settings for stored in self.bag.messages([topic])
                for decision in _decisions(topic, self.bag.decode(stored)))
        return settings_in(read_context(self.bag).settings.get(topic)
                           or next(filter(None, told), ''))

    def _has(self, topic: str) -> bool:
        """Whether a topic of the robot has messages; a recorder lists those that were silent."""
        found = self.bag.topics.get(self._prefix + topic)
        return found is not None and found.messages > 0

    def _samples(self, topic: str, message: Any) -> Iterator[Sample]:
        try:
            taken = self._edge.take(self._sensors[topic], message)
        except SpowlError as error:  # the controller did not take it either
            count, _ = self._refused.get(topic, (0, ''))
            self._refused[topic] = count + 1, str(error)
            return
        for name, values in taken.values.items():
            yield Sample(name, values, taken.stamp_ns)

    def _find_namespace(self) -> str:
        """Return the namespace with decisions, or else the one with most of the sensors."""
        found = [name.removesuffix(DECISION) for name, topic in self.bag.topics.items()
                 if name.endswith('/' + DECISION) and topic.messages]
        if len(found) > 1:
            raise SpowlError(f'bag {self.bag.path} holds the decisions of {len(found)} robots; '
                             f'choose a --namespace of {", ".join(sorted(found))}')
        if found:
            return found[0]
        suffixes = tuple('/' + topic for topic in self._sensors)
        near = [name[:len(name) - len(suffix)] for name, topic in self.bag.topics.items()
                for suffix in suffixes if name.endswith(suffix) and topic.messages]
        return max(set(near), key=near.count, default='')

    def _check(self) -> None:
        """
        Make sure that every sensor is there, with the right type.

        :raises SpowlError: a topic is missing or of another type
        """
        types = {**{topic: entry.type for topic, entry in self._sensors.items()},
                 **{topic: wanted for topic, (wanted, _) in OTHERS.items()}}
        missing = [topic for topic in self._sensors if not self._has(topic)]
        if missing:
            raise SpowlError(
                f'bag {self.bag.path} has no messages on {self._prefix + missing[0]}, from which '
                f'{self.contract.task} takes a part of the observation'
                + (f' ({len(missing)} of its {len(self._sensors)} sensor topics are missing)'
                   if len(missing) > 1 else '')
                + f'; the bag has {", ".join(sorted(self.bag.topics)[:12])}. Is it of another '
                  f'task, or of another --namespace?')
        for topic, wanted in types.items():
            present = self.bag.topics.get(self._prefix + topic)
            if present is not None and present.type != wanted:
                raise SpowlError(f'bag {self.bag.path}: {self._prefix + topic} is a '
                                 f'{present.type}, wanted {wanted}')

    def _check_decision(self, decision: Decision, index: int) -> None:
        """
        Make sure that a recorded decision is one of this robot.

        :raises SpowlError: its action, stamps or silences are not as many as the contract says, or
            its plan has more improvements than a plan can have
        """
        contract, fields = self.contract, len(self.contract.fields)
        has = f'bag {self.bag.path}: decision {index} has'
        parts = (('action', len(decision.action), contract.action.size),
                 ('stamps_ns', len(decision.stamps_ns), fields),
                 ('silences', len(decision.silences), fields))
        for name, count, wanted in parts:
            if count != wanted and (name == 'action' or decision.stamps_ns or count):
                raise SpowlError(f'{has} {count} values in {name}, and {contract.task} has '
                                 f"{wanted}; it was not made by this robot's controller")
        if decision.plan is not None and decision.plan.iterations > MOST_ITERATIONS:
            raise SpowlError(f'{has} {decision.plan.iterations} improvements, at most '
                             f'{MOST_ITERATIONS} are possible')


def sensors_in(path: Path, contract: Contract, robot_file: str,
               namespace: str | None) -> tuple[str, list[str]]:
    """
    Return the namespace of a robot in a bag, and the full names of its sensors' topics.

    :param robot_file: YAML file of the robot; empty: a robot with the contract's own topics
    :raises SpowlError: not a bag, or not one of this robot
    """
    robot = load_robot(robot_file)
    with Bag(path) as bag:
        run = RecordedRun(bag, robot.applied_to(contract), robot, namespace)
        return run.namespace, run.sensors


def settings_in(text: str) -> dict[str, Any] | None:
    """
    Return the bundle and settings that a decision names; None: it names none.

    :param text: `Decision.settings`
    :return: bundle (SHA-256), settings (dotted names), seed and threads
    :raises SpowlError: malformed
    """
    if not text:
        return None
    try:
        said = json.loads(text)
        if (type(said['bundle']), type(said['settings']), type(said['seed']),
                type(said['threads'])) == (str, dict, int, int) and (
                    1 <= said['threads'] <= 256 and 0 <= said['seed'] <= LARGEST):
            return dict(said)
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    raise SpowlError('a recorded decision does not say its bundle, settings, seed and threads; '
                     'it was not made by this controller')


def _decisions(_: str, message: Any) -> Iterator[Decision]:
    for status in message.status:
        yield Decision.from_items((item.key, item.value) for item in status.values)


def _episodes(_: str, message: Any) -> Iterator[Episode]:
    for status in message.status:
        values = {item.key: item.value for item in status.values}
        try:
            yield Episode(float(values['return']), float(values['cost']), int(values['steps']))
        except (KeyError, ValueError) as error:
            raise SpowlError(f'{EPISODE} is to hold the numbers return, cost and steps of an '
                             f'episode: {error!r}') from None


def _begins(_: str, message: Any) -> Iterator[Begin]:
    yield Begin(message.stamp.sec * 10**9 + message.stamp.nanosec)


def _outcomes(name: str, message: Any) -> Iterator[Outcome]:
    amount = float(message.data)
    known = is_cost(amount) if name == 'cost' else is_reward(amount)
    yield Outcome(name, amount if known else math.nan)


def _scenes(_: str, message: Any) -> Iterator[RecordedScene]:
    yield RecordedScene(tuple(map(outline_of, solids(message))))


OTHERS: dict[str, tuple[str, Callable[[str, Any], Iterator[Event]]]] = {
    DECISION: ('diagnostic_msgs/msg/DiagnosticArray', _decisions),
    EPISODE: ('diagnostic_msgs/msg/DiagnosticArray', _episodes),
    BEGIN_TOPIC: (BEGIN_TYPE, _begins),
    MARKERS: ('visualization_msgs/msg/MarkerArray', _scenes),
    **dict.fromkeys(OUTCOMES, ('std_msgs/msg/Float64', _outcomes))}
"""Topic beside the sensors to its message type and what reads its events."""
