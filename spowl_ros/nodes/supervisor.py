# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The supervisor as a lifecycle node: between a controller and the actuators, nothing learned.

It passes `command_raw` on as `command` within limits, and sends the stop action instead when the
controller is silent, when a hazard comes too near, or when `~/stop` says so. A process of its own,
so that whatever happens to the controller does not happen to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
import sys
import time
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import qos_profile_sensor_data
from std_srvs.srv import SetBool

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import group, setting
from spowl_ros.control import bundle
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.robot.topics import Edge, RobotCommand, Topic, load_robot, topics
from spowl_ros.ros import process
from spowl_ros.ros.bond import Bond
from spowl_ros.ros.lifecycle import TOO_LATE, ManagedNode
from spowl_ros.ros.messages import build, message_class
from spowl_ros.ros.parameters import Parameters, refuse_unknown
from spowl_ros.ros.qos import LATCHED
from spowl_ros.supervisor.rules import Supervised, Supervision, SupervisionSettings

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo

DIAGNOSTICS_PERIOD_S = 1.0
LOG_PERIOD_S = 5.0
_CHECKS_PER_PERIOD = 10


@dataclass(frozen=True)
class NodeSettings:
    """What the supervisor's node needs."""

    model: str = setting('', 'directory of the bundle, of which only the contract is read')
    robot: str = setting('', "YAML file of the robot's topics, units and limits; empty: those of "
                         'the contract', read_only=True)
    autostart: bool = setting(False, 'configure and activate at once', read_only=True)
    rate: float = setting(
        1.0, "how many seconds of the node's clock pass in one of a steady clock; 0: lock-step, "
        'where nothing is ever silent', low=0.0, high=1000.0, read_only=True)
    priority: int = setting(
        45, 'real-time priority (SCHED_FIFO) of the whole process where `rate` is not 0 and the '
        'system allows it; 0: ordinary', low=0, high=90, read_only=True)
    command_type: str = setting('Float64MultiArray', 'message type of both commands',
                                choices=tuple(COMMAND_TYPES))
    limits: SupervisionSettings = group(SupervisionSettings)


class SupervisorNode(ManagedNode):
    """
    Passes, limits, slows or replaces each command; one out for each one in.

    :raises SpowlError: a bad parameter; with ``autostart`` also whatever hinders the start
    """

    def __init__(self) -> None:
        super().__init__('supervisor')
        self._declared = Parameters(self, NodeSettings(), accept=self._accept,
                                    applied=self._change)
        refuse_unknown(self, NodeSettings())
        self._supervision: Supervision | None = None
        self._stop_wanted = False
        self._counts: dict[str, int] = {}
        self._last: Supervised | None = None
        self._bond: Bond | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._state = self.create_publisher(DiagnosticStatus, '~/state', LATCHED)
        self.create_service(SetBool, '~/stop', self._on_stop)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report, clock=self._steady)
        if self._declared.settings.autostart:
            self.start()

    def _accept(self, settings: NodeSettings) -> None:
        """
        Refuse what would have no effect before the next configuration: all but the limits.

        :raises SpowlError: the node is configured
        """
        if self.configured and replace(settings, limits=self._declared.settings.limits) != (
                self._declared.settings):
            raise SpowlError(TOO_LATE)

    # Lifecycle

    def configure(self) -> None:
        """
        Read the contract; make publishers and subscriptions.

        :raises SpowlError: no such bundle, actuators that the command type cannot hold
        """
        settings = self._declared.settings
        if not settings.model:
            raise SpowlError("parameter 'model' is empty; name the directory of a bundle")
        robot = load_robot(settings.robot, settings.command_type)
        self._contract = robot.applied_to(bundle.read_contract(Path(settings.model)))
        self._format = CommandFormat(settings.command_type, self._contract.action)
        self._limits = Supervision(self._contract, settings.limits, steady=settings.rate > 0.0)
        self._rate = settings.rate
        self._robot_command = RobotCommand(robot, self._contract.action)
        self._command = self.create_publisher(message_class(self._robot_command.type),
                                              robot.command.topic, 1)
        self._edge = Edge()
        names = {field.name for field in self._limits.scans}
        self._entities = [
            self.create_subscription(message_class(entry.type), entry.topic,
                                     partial(self._on_scan, entry), qos_profile_sensor_data)
            for entry in topics(self._contract, robot) if names & set(entry.names)]
        # After the scans: of what waits to be heard, the executor takes what was made first, so
        # that in lock-step a command is judged by the scan that it answers.
        self._entities.append(self.create_subscription(
            message_class(self._format.type), 'command_raw', self._on_command, 1))
        period = self._contract.control_period / (self._rate or 1.0)
        self._bond = Bond(self, 'controller', period, self._on_bond)
        self._watch = self.create_timer(period / _CHECKS_PER_PERIOD, self._on_watch,
                                        clock=self._steady)

    def activate(self) -> None:
        """
        Begin to pass commands.

        :raises SpowlError: somebody else commands the actuators
        """
        self.refuse_others(self._command.topic_name)
        if self._rate > 0.0:
            self.keep_time(self._declared.settings.priority)
        self._limits.start(self._now())
        self._limits.latch(self._stop_wanted)
        self._sent = self._now()
        self._supervision = self._limits

    def deactivate(self) -> None:
        """Stop the robot and pass nothing any more."""
        supervision, self._supervision = self._supervision, None
        if supervision is not None:
            self._send(Supervised(supervision.stop_command, 'stopped', 'supervisor not active'))

    def cleanup(self) -> None:
        """Forget the contract."""
        if self._bond is not None:
            self._bond.close()
            self._bond = None
        self.destroy_timer(self._watch)
        for subscription in self._entities:
            self.destroy_subscription(subscription)
        self.destroy_publisher(self._command)

    # Callbacks

    def _now(self) -> float:
        """Return the steady clock in seconds of the node's clock."""
        return time.monotonic() * (self._rate or 1.0)

    def _on_command(self, message: Any, info: MessageInfo) -> None:
        if self._supervision is None:
            return
        try:
            command = self._format.to_command(message)
        except SpowlError:
            command = np.zeros(0)
        source = info.get('publisher_gid')  # Jazzy's rclpy does not tell it
        self._send(self._supervision.command(
            command, self._now(), None if source is None else bytes(source['data'])))

    def _on_scan(self, entry: Topic, message: Any) -> None:
        if self._supervision is None:
            return
        try:
            taken = self._edge.take(entry, message)
        except SpowlError as error:  # a scan that cannot be read is a silent one
            self.get_logger().warning(f'{entry.topic}: {error}',
                                      throttle_duration_sec=LOG_PERIOD_S)
            return
        for field in self._supervision.scans:
            if field.name in taken.values:
                self._supervision.see(field, np.asarray(taken.values[field.name], np.float32),
                                      taken.stamp_ns, self._now())

    def _on_watch(self) -> None:
        if self._supervision is None:
            return
        now = self._now()
        replacement = self._supervision.silent(now)
        if replacement is not None and now - self._sent >= self._contract.control_period:
            self._send(replacement)

    def _on_stop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._stop_wanted = request.data
        if self._supervision is not None:
            self._supervision.latch(request.data)
            # in lock-step each command is a step, and the next one becomes the stop action
            if request.data and self._rate > 0.0:
                self._send(Supervised(self._supervision.stop_command, 'stopped',
                                      'stopped by an operator'))
        response.success = True
        response.message = 'stopped until released' if request.data else 'released'
        return response

    def _change(self, settings: NodeSettings) -> None:
        if self.configured:
            self._limits.settings = settings.limits

    def _send(self, supervised: Supervised) -> None:
        self._command.publish(build(self._robot_command.type, self._robot_command.content(
            supervised.command, self.get_clock().now().nanoseconds)))
        self._sent = self._now()
        self._counts[supervised.state] = self._counts.get(supervised.state, 0) + 1
        before, self._last = self._last, supervised
        if before is None or (before.state, before.reason) != (supervised.state,
                                                               supervised.reason):
            self._state.publish(self._status())
            if supervised.state == 'stopped' and self.active:
                self.get_logger().warning(f'stopped: {supervised.reason}',
                                          throttle_duration_sec=LOG_PERIOD_S)

    # Diagnostics

    def _on_bond(self) -> None:
        assert self._bond is not None  # it has just called
        if self._bond.complaint:
            self.get_logger().error(self._bond.complaint)
        self._state.publish(self._status())
        self._report()

    def _status(self) -> DiagnosticStatus:
        name = self.get_fully_qualified_name().lstrip('/')
        if self.problem:
            return DiagnosticStatus(level=DiagnosticStatus.ERROR, name=name, message=self.problem)
        if self._supervision is None or self._last is None:
            return DiagnosticStatus(
                level=DiagnosticStatus.WARN, name=name,
                message='no command yet' if self.active else 'not active')
        level = {'passing': DiagnosticStatus.OK,
                 'stopped': DiagnosticStatus.ERROR}.get(self._last.state, DiagnosticStatus.WARN)
        message = ': '.join(filter(None, (self._last.state, self._last.reason)))
        bond = self._bond
        if bond is not None and bond.complaint:
            level, message = DiagnosticStatus.ERROR, f'{message}; {bond.complaint}'
        values = {'state': self._last.state, 'reason': self._last.reason,
                  'controller': bond.state if bond is not None else '',
                  **{f'commands_{state}': str(count) for state, count in self._counts.items()}}
        return DiagnosticStatus(
            level=level, name=name, hardware_id=self._contract.task,
            message=message,
            values=[KeyValue(key=key, value=value) for key, value in values.items()])

    def _report(self) -> None:
        message = DiagnosticArray(status=[self._status()])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until it is told to end."""
    sys.exit(process.run(SupervisorNode, args))
