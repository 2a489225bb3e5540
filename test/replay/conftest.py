# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags of driven episodes: real physics, real controller, the messages that nodes would send."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64

from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.observation import ObservationAssembler
from spowl_ros.robot.topics import topics
from spowl_ros.ros.messages import build
from spowl_ros.sim import environment

REPEAT = 5
RAW_STEPS = 1000
RECEIVED_NS = 1_700_000_000_000_000_000
"""When recorded messages are received: another clock than the robot's own."""


@dataclass(frozen=True)
class Drive:
    """How an episode is driven and recorded."""

    real_time: bool = False
    """Each sensor has its own pace, some messages are lost, plans end by the clock."""
    steps: int = RAW_STEPS // REPEAT
    """Decisions of an episode."""
    episodes: int = 1
    seed: int = 7
    decisions: bool = True
    """Whether the controller's decisions are recorded too."""
    namespace: str = ''
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted name of a controller setting to its value."""


class Driver:
    """Drives a simulated robot by a bundle and writes what nodes would have sent."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._inputs = topics(bundle.contract)
        self._environment = environment.Environment(bundle.contract.task, action_repeat=1)
        period = bundle.contract.raw_period * REPEAT
        assert math.isclose(period, bundle.contract.control_period)

    def record(self, path: Path, drive: Drive, settings: Settings | None = None) -> list[Decision]:
        """Write a bag and return the decisions made."""
        self._bag = BagWriter(path, settings or Settings())
        prefix = f'/{drive.namespace}/' if drive.namespace else '/'
        self._topics = {
            entry.topic: self._bag.add_topic(prefix + entry.topic, entry.type)
            for entry in self._inputs}
        self._topics |= {
            name: self._bag.add_topic(prefix + name, message_type) for name, message_type in (
                ('controller/decision', 'diagnostic_msgs/msg/DiagnosticArray'),
                ('reward', 'std_msgs/msg/Float64'), ('cost', 'std_msgs/msg/Float64'))}
        self._topics['clock'] = self._bag.add_topic('/clock', 'rosgraph_msgs/msg/Clock')
        self._received_ns = RECEIVED_NS
        self._now_ns = 0
        self._generator = np.random.default_rng(drive.seed)
        controller = Controller(self._bundle, seed=drive.seed)
        controller.change(controller.settings.change(drive.settings))
        decisions: list[Decision] = []
        for episode in range(drive.episodes):
            if episode:
                controller.reset()
            decisions += self._episode(controller, drive, drive.seed + episode)
        self._bag.close()
        return decisions

    def _episode(self, controller: Controller, drive: Drive, seed: int) -> list[Decision]:
        assembler = ObservationAssembler(self._bundle.contract)
        decisions = []
        observation = self._environment.reset(seed)
        self._now_ns += 1_000_000_000
        self._send_sensors(assembler, observation, lossy=False)
        for step in range(drive.steps):
            observed = assembler.observe(self._now_ns, self._now_ns * 1e-9 + 0.003)
            assert observed is not None
            if drive.real_time:
                # A deadline within which sometimes one, sometimes all improvements are done.
                deadline_s = float(self._generator.uniform(0.0, 0.03))
                if step == drive.steps // 2:
                    controller.change(controller.settings.change({
                        'planner.temperature': 1.0, 'sensor_margin.rule.level': 'policy'}))
                decision = controller.decide(observed, deadline_s=deadline_s)
            else:
                decision = controller.decide(observed)
            decisions.append(decision)
            self._received_ns += 3_000_000
            if drive.decisions:
                self._send('controller/decision', _message(decision))
            for _ in range(REPEAT):
                result = self._environment.step(np.array(decision.action))
                self._now_ns += 20_000_000
                self._received_ns += 20_000_000
                self._send('reward', Float64(data=float(result.reward)))
                self._send('cost', Float64(data=float(result.cost)))
                if drive.real_time:
                    self._send_sensors(assembler, result.observation, lossy=True)
            if not drive.real_time:
                self._send_sensors(assembler, result.observation, lossy=False)
        return decisions

    def _send_sensors(self, assembler: ObservationAssembler, observation: np.ndarray,
                      lossy: bool) -> None:
        """Send each sensor in an order of its own; give the controller what a node would get."""
        self._send('clock', Clock(clock=self._stamp()))
        values = {name: observation[part] for name, part in self._bundle.contract.slices.items()}
        for index in self._generator.permutation(len(self._inputs)):
            entry = self._inputs[index]
            if lossy and self._generator.random() < 0.4:
                continue
            message = build(entry.type, entry.content(values, self._now_ns))
            self._send(entry.topic, message)
            for name, part in entry.read(message).values.items():
                assembler.put(name, part, self._now_ns, self._now_ns * 1e-9)

    def _stamp(self) -> Time:
        seconds, nanoseconds = divmod(self._now_ns, 10**9)
        return Time(sec=seconds, nanosec=nanoseconds)

    def _send(self, topic: str, message: object) -> None:
        self._received_ns += 1000
        self._bag.write(self._topics[topic], self._received_ns, serialize_message(message))


def _message(decision: Decision) -> DiagnosticArray:
    return DiagnosticArray(status=[DiagnosticStatus(
        values=[KeyValue(key=key, value=value) for key, value in decision.to_items()])])


@pytest.fixture(scope='session')
def bundle(untrained_bundle: Path) -> Bundle:
    """Return the untrained bundle, loaded."""
    return bundles.load(untrained_bundle)


@pytest.fixture(scope='session')
def driver(bundle: Bundle) -> Driver:
    """Return who drives by it."""
    return Driver(bundle)


@pytest.fixture(scope='session')
def drive() -> type[Drive]:
    """Return the class that says how to drive."""
    return Drive


@pytest.fixture(scope='session')
def lock_step_bag(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bag of an episode of 1,000 raw steps in lock-step."""
    path = tmp_path_factory.mktemp('bags') / 'lock_step'
    driver.record(path, Drive())
    return path


@pytest.fixture(scope='session')
def real_time_bag(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bag of an episode of 1,000 raw steps in which everything has its own pace."""
    path = tmp_path_factory.mktemp('bags') / 'real_time'
    driver.record(path, Drive(real_time=True))
    return path
