# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks a robot's input topics and the subscribers of its commands; moves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import threading
import time
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy

from spowl_ros.base.errors import SpowlError
from spowl_ros.clients.spinning import spinning
from spowl_ros.control.contract import Contract
from spowl_ros.robot import adaptation
from spowl_ros.robot.command import COMMAND_TYPES
from spowl_ros.robot.config import RobotConfig
from spowl_ros.robot.report import Heard, Plausibility
from spowl_ros.robot.topics import Edge, RobotCommand, Topic, topics
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.qos import EVERY_SENSOR_MESSAGE

STARTUP_S = 15.0
"""Longest time for publishers to appear and to be heard, seconds."""
_LOOK_S = 0.1


@dataclass(frozen=True)
class Neighbour:
    """A topic that needs another node, and what is wrong there."""

    name: str
    """Topic name in the robot's file or the adapter."""
    topic: str
    problem: str
    """Empty if nothing is wrong."""


class LiveCheck(Node):
    """
    Subscribes to every input.

    :param contract: with the robot's topics and time-outs
    :raises SpowlError: a message type is not installed
    """

    def __init__(self, contract: Contract, robot: RobotConfig, namespace: str,
                 use_sim_time: bool) -> None:
        super().__init__(
            'spowl_check', namespace=namespace, enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=[Parameter('use_sim_time', value=use_sim_time)])
        self._robot = robot
        self._action = contract.action
        self._lock = threading.Lock()
        self._heard = {field.name: Heard(field, self.resolve_topic_name(field.topic))
                       for field in contract.fields}
        self._types: dict[str, str] = {}
        self._edge = Edge()
        self._plausibility = Plausibility()
        for source in topics(contract, robot):
            self._types[self.resolve_topic_name(source.topic)] = source.type
            self.create_subscription(message_class(source.type), source.topic,
                                     partial(self._on_message, source), EVERY_SENSOR_MESSAGE)

    def complete(self) -> bool:
        """Whether every field was heard and every required node is present."""
        with self._lock:
            silent = any(not entry.arrivals for entry in self._heard.values())
        return not silent and not any(entry.problem for entry in self.neighbours())

    def begin(self) -> None:
        """Begin to count; messages during the start say nothing about rates."""
        with self._lock:
            for entry in self._heard.values():
                entry.begin()

    def heard(self) -> list[Heard]:
        """Return what was received of each field."""
        others = dict(self.get_topic_names_and_types())
        with self._lock:
            implausible = self._plausibility.problems()
            for name, entry in self._heard.items():
                entry.implausible = implausible.get(name, '')
                wanted = self._types[entry.topic]
                entry.other_types = tuple(name for name in others.get(entry.topic, ())
                                          if name != wanted)
            return list(self._heard.values())

    def neighbours(self) -> list[Neighbour]:
        """Return the check of the commands' subscriber and of the adapter's inputs."""
        robot = self._robot
        renamed = {pair[0]: pair[1] for pair in robot.remappings.get(
            'adapter' if robot.adapter else 'supervisor', ())}

        def full(name: str) -> str:
            return self.resolve_topic_name(renamed.get(name, name))

        if not robot.adapter:
            return [self._listener('command.topic', full(robot.command.topic),
                                   RobotCommand(robot, self._action).type)]
        kind = COMMAND_TYPES[str(robot.parameters.get('adapter', {}).get(
            'cmd_vel_type', 'TwistStamped'))]
        return [*(self._publisher(name, full(name), wanted)
                  for name, wanted in adaptation.INPUTS.items()),
                self._listener(adaptation.OUTPUT, full(adaptation.OUTPUT), kind)]

    def _publisher(self, name: str, topic: str, wanted: str) -> Neighbour:
        """Check that a node publishes what the adapter needs."""
        types = {info.topic_type for info in self.get_publishers_info_by_topic(topic)}
        problem = ''
        if not types:
            problem = f'nobody publishes it; the adapter needs a {wanted}'
        elif wanted not in types:
            problem = f'carries {", ".join(sorted(types))}; the adapter needs a {wanted}'
        return Neighbour(name, topic, problem)

    def _listener(self, name: str, topic: str, kind: str) -> Neighbour:
        """Check that a node subscribes to the commands."""
        infos = self.get_subscriptions_info_by_topic(topic)
        fitting = [info for info in infos if info.topic_type == kind]
        problem = ''
        if not infos:
            problem = f'nobody listens; commands are {kind}'
        elif not fitting:
            types = sorted({info.topic_type for info in infos})
            problem = f'commands are {kind}, and who listens expects {", ".join(types)}'
        elif all(info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
                 for info in fitting):
            problem = 'who listens asks for latched commands, and gets none'
        return Neighbour(name, topic, problem)

    def _on_message(self, source: Topic, message: Any) -> None:
        now = time.monotonic()
        with self._lock:
            try:
                taken = self._edge.take(source, message)
            except SpowlError as error:
                for name in source.names:
                    self._heard[name].refused += 1
                    self._heard[name].refusal = str(error)
                return
            self._plausibility.add(source, message, taken)
            age = (self.get_clock().now().nanoseconds - taken.stamp_ns) * 1e-9
            for name, values in taken.values.items():
                self._heard[name].add(values, now, age)


def listen(contract: Contract, robot: RobotConfig, namespace: str, seconds: float,
           use_sim_time: bool = False) -> tuple[list[Heard], list[Neighbour]]:
    """
    Return what was received of each field within some seconds, and the check of other nodes.

    The time begins when every field was heard and every node seen, but after STARTUP_S at latest.

    :param contract: with the robot's topics and time-outs
    """
    with spinning(LiveCheck, contract, robot, namespace, use_sim_time) as node:
        latest = time.monotonic() + STARTUP_S
        while not node.complete() and time.monotonic() < latest:
            time.sleep(_LOOK_S)
        node.begin()
        time.sleep(seconds)
        return node.heard(), node.neighbours()
