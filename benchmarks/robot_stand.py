# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot on a test stand, or simulated: it records commands, and tests can alter its sensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import contextlib
import copy
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from rcl_interfaces.msg import Log
import rclpy
from rclpy.clock import Clock as Steady
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, Empty, Float64MultiArray

from spowl_ros.base.children import end_with_parent
from spowl_ros.base.environment import prepare
from spowl_ros.control.decision import Decision
from spowl_ros.robot.topics import topics
from spowl_ros.ros.bond import signs_of_life
from spowl_ros.ros.messages import build, message_class
from spowl_ros.ros.qos import LATCHED

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract

prepare()  # so that nodes on a stand talk as installed ones do

Tamper = Callable[[Any], Any]

GRAVITY = 9.81  # m/s^2
PRIORITY = 50
"""Real-time priority of a robot on its stand: it measures, so it must not be late."""
ORDINARY = 'import os; os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))\n'
"""First line of a program that must not inherit this priority."""


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Return whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


class Observer:
    """
    Records what a robot gets, and what its controller and supervisor report.

    Public attributes may be emptied at any time.
    """

    def __init__(self, name: str, contract: Contract) -> None:
        self.contract = contract
        self.turning_rests = False
        """Whether a command without thrust counts as a stop, as amid hazards."""
        self.commands: list[tuple[float, tuple[float, ...]]] = []
        """Steady time of arrival, seconds, and values of every command."""
        self.decisions: list[tuple[float, Decision]] = []
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.supervisor: DiagnosticStatus | None = None
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, context=self._context, start_parameter_services=False)
        self.node.create_subscription(Float64MultiArray, 'command', self._on_command, 10)
        self.node.create_subscription(DiagnosticArray, 'controller/decision', self._on_decision,
                                      100)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.node.create_subscription(DiagnosticStatus, 'supervisor/state', self._on_supervisor,
                                      LATCHED)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._listening = threading.Thread(target=self._spin, daemon=True)
        self._listening.start()

    def close(self) -> None:
        """Leave the network."""
        self._executor.shutdown()
        self._listening.join(1.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def mend(self) -> None:
        """Undo changes to the robot itself; here there are none."""

    def is_stop(self, values: tuple[float, ...]) -> bool:
        """Whether a command is the stop action, or counts as one."""
        stop = self.contract.action.stop
        return values == stop or (self.turning_rests and values[0] == stop[0])

    def wait_for_command(self, since: float, stop: bool, timeout: float,
                         ) -> tuple[float, tuple[float, ...]] | None:
        """
        Return the first command after a steady time that is, or is not, the stop action.

        :return: steady time of arrival and values; None after ``timeout`` seconds
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            first = None
            for when, values in reversed(self.commands[-500:]):
                if when < since:
                    break
                if self.is_stop(values) == stop:
                    first = (when, values)
            if first is not None:
                return first
            time.sleep(0.002)
        return None

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_command(self, message: Float64MultiArray) -> None:
        self.commands.append((time.monotonic(), tuple(message.data)))

    def _on_decision(self, message: DiagnosticArray) -> None:
        items = ((item.key, item.value) for item in message.status[0].values)
        self.decisions.append((time.monotonic(), Decision.from_items(items)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = status

    def _on_supervisor(self, message: DiagnosticStatus) -> None:
        self.supervisor = message


class SimulatorObserver(Observer):
    """
    Records what the simulator's robot gets; a stop by the driver itself counts.

    The driver reports at once on /rosout that nobody commands it and that it stopped the robot.
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__('simulator_observer', contract)
        self.said_stopped = -math.inf
        """Steady time at which the driver last reported that it stopped the robot."""
        self.node.create_subscription(Log, '/rosout', self._on_log, 100)

    def _on_log(self, message: Log) -> None:
        if message.name == 'simulator' and 'the robot is stopped' in message.msg:
            self.said_stopped = time.monotonic()
            self.commands.append((self.said_stopped, self.contract.action.stop))
            self.diagnostics['simulator'] = DiagnosticStatus(
                level=DiagnosticStatus.ERROR, message=message.msg)


class RobotStand(Observer):
    """
    Publishes every sensor of a contract at the control rate and receives commands.

    The sensors' values are random within plausible bounds: tests here check failures, not where
    the robot goes. Public attributes may be changed at any time.
    """

    def __init__(self, contract: Contract, simulated_time: bool = False) -> None:
        super().__init__('robot_stand', contract)
        self.silent: set[str] = set()
        """Topics that are not published."""
        self.tamper: dict[str, Tamper] = {}
        """Topic to a function from each message to the one that is published."""
        self.divide: dict[str, tuple[int, int]] = {}
        """Topic to a measurement's number and n: from that one on, only each n-th is published."""
        self.measurements = 0
        self.last_stamp_ns = 0
        self.speed = 1.0
        """Rate of sensor messages, in multiples of the control rate."""
        self.clock_runs = True
        self.clock_offset_s = 0.0
        self.clock_ahead_s = 0.0
        """Seconds that /clock shows more than the sensors' stamps."""
        self.last_sent = 0.0
        """Steady time at which the last sensor of the last measurement was published."""
        self._simulated_time = simulated_time
        self._now_ns = 10**6 * 10**9
        self._ended = threading.Event()
        self._random = np.random.default_rng(0)
        self._sensors = [
            (entry, self.node.create_publisher(message_class(entry.type), entry.topic,
                                               qos_profile_sensor_data))
            for entry in topics(contract)]
        self.topics = [entry.topic for entry, _ in self._sensors]
        self._clock = self.node.create_publisher(Clock, '/clock', 10)
        self._measuring = threading.Thread(target=self._measure, daemon=True)
        self._measuring.start()

    def close(self) -> None:
        """Stop publishing and leave the network."""
        self._ended.set()
        self._measuring.join()
        super().close()

    def mend(self) -> None:
        """Undo every tampering."""
        self.silent, self.tamper, self.divide = set(), {}, {}
        self.speed, self.clock_runs, self.turning_rests = 1.0, True, False

    def _measure(self) -> None:
        """Publish one measurement after another, at the control rate of the steady clock."""
        due = time.monotonic()
        while not self._ended.is_set():
            period = self.contract.control_period / self.speed
            if self._simulated_time:
                if self.clock_runs:
                    self._now_ns += round(period * 1e9)
                now_ns = self._now_ns + round(self.clock_offset_s * 1e9)
                self._clock.publish(Clock(clock=_time(
                    now_ns + round(self.clock_ahead_s * 1e9))))
            else:
                now_ns = time.time_ns()
            values = self._values()
            for entry, publisher in self._sensors:
                first, nth = self.divide.get(entry.topic, (0, 1))
                if entry.topic in self.silent or (self.measurements - first + 1) % nth:
                    continue
                message = build(entry.type, entry.content(values, now_ns))
                publisher.publish(self.tamper.get(entry.topic, _unchanged)(message))
            self.last_sent = time.monotonic()
            self.last_stamp_ns = now_ns
            self.measurements += 1
            due = max(due + period, time.monotonic() - period)
            self._ended.wait(max(0.0, due - time.monotonic()))

    def _values(self) -> dict[str, np.ndarray]:
        values = {}
        for field in self.contract.fields:
            low, high = max(field.low, -0.5), min(field.high, 0.5)
            values[field.name] = self._random.uniform(low, high, field.size)
            if field.sensor == 'linear_acceleration':  # a robot at rest feels its own weight
                values[field.name][-1] += GRAVITY
        return values


class Commander:
    """
    Publishes commands and signs of life from its own node, at a rate.

    :param values: of every command; may be changed at any time
    """

    def __init__(self, name: str, topic: str, values: list[float], period: float) -> None:
        self.values = values
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(name, context=self._context, enable_rosout=False,
                                       start_parameter_services=False)
        self._publisher = self._node.create_publisher(Float64MultiArray, topic, 1)
        self._alive = self._node.create_publisher(Empty, '~/alive', signs_of_life(3.0 * period))
        self._period = period
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def heard(self) -> bool:
        """Whether somebody subscribes to the commands by now."""
        return self._publisher.get_subscription_count() > 0

    def close(self) -> None:
        """End, and leave the network."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            self._node.destroy_node()
            self._context.try_shutdown()

    def _run(self) -> None:
        while not self._ended.wait(self._period):
            self._alive.publish(Empty())
            self._publisher.publish(Float64MultiArray(data=self.values))


class EmergencyStop:
    """
    Sends the state of an e-stop 20 times a second.

    Attributes may be changed at any time.
    """

    def __init__(self, node: Any) -> None:
        self.pressed = self.silent = False
        self._publisher = node.create_publisher(Bool, 'estop', 10)
        node.create_timer(0.05, self._send, clock=Steady(clock_type=ClockType.STEADY_TIME))

    def _send(self) -> None:
        if not self.silent:
            self._publisher.publish(Bool(data=self.pressed))


def program(name: str) -> str:
    """Return a program that runs one of the package's nodes, for ``python -c``."""
    return ('import sys; from spowl_ros.ros import process; '
            f'from spowl_ros.nodes.{name} import NODE; sys.exit(process.run(NODE))')


class NodeProcess:
    """
    One of the package's nodes in its own process.

    :param name: 'controller', 'supervisor' or 'simulator'
    :param parameters: name to value
    :param file: parameter file; `parameters` override it
    """

    def __init__(self, name: str, parameters: Mapping[str, object],
                 remappings: Iterable[tuple[str, ...]] = (), file: Path | None = None) -> None:
        assignments = [f'{key}:={_yaml(value)}' for key, value in parameters.items()]
        command = [sys.executable, '-c',
                   ORDINARY + program(name), '--ros-args',
                   *(('--params-file', str(file)) if file else ()),
                   *(part for text in assignments for part in ('-p', text)),
                   *(part for pair in remappings for part in ('-r', ':='.join(pair)))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True,
                                         preexec_fn=end_with_parent())

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self._process.pid, number)

    def end(self, number: signal.Signals = signal.SIGINT, timeout: float = 10.0) -> int:
        """End the process, by force if necessary; return its exit code."""
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
        return self.wait(timeout)

    def wait(self, timeout: float) -> int:
        """Return the exit code of a process that ends by itself, or is killed after a time."""
        try:
            self.output, _ = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.output, _ = self._process.communicate()
        return self._process.returncode


def tampered(change: Callable[[Any], None]) -> Tamper:
    """Return a tampering that changes a copy of each message in place."""
    def apply(message: Any) -> Any:
        result = copy.deepcopy(message)
        change(result)
        return result
    return apply


def _unchanged(message: Any) -> Any:
    return message


def _time(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or "''"
