# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The supervisor as a lifecycle node between a controller and the actuators; it uses nothing learned.

It passes `command_raw` on as `command` within limits. It sends the stop action instead when the
controller is silent, when another node commands the robot, or when `~/stop` or the topic `estop`
demands it. Near a hazard it slows or replaces the command, if `limits.margin_response` says so. It
starts held by default: nothing passes until `~/release`. It is a process of its own, so that it
survives a failure of the controller.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
import math
from pathlib import Path
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from numpy.typing import NDArray
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool, Header
from std_srvs.srv import SetBool, Trigger

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEGIN_TOPIC
from spowl_ros.base.settings import fixed, group, setting
from spowl_ros.control import bundle
from spowl_ros.control.signature import of_key
from spowl_ros.robot.adaptation import faster_than_guarded
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.robot.topics import Edge, RobotCommand, Topic, load_robot, topics
from spowl_ros.ros import diagnostics, senders
from spowl_ros.ros.ages import MessageInfo, sent_ago, too_old
from spowl_ros.ros.bond import Bond
from spowl_ros.ros.callbacks import every, serve
from spowl_ros.ros.discovery import (
    callers,
    check_one_publisher,
    endpoints,
    number_of_publishers,
    other_publishers,
    unheard,
)
from spowl_ros.ros.last_command import publish_last
from spowl_ros.ros.lifecycle import DriverSettings, ManagedNode, priority
from spowl_ros.ros.messages import build, message_class
from spowl_ros.ros.process import LOG_PERIOD_S
from spowl_ros.ros.qos import EVERY_MESSAGE, LATCHED
from spowl_ros.supervisor.binding import Binding, Publisher
from spowl_ros.supervisor.heartbeat import Heartbeat
from spowl_ros.supervisor.latch import Latch
from spowl_ros.supervisor.rules import Supervised, Supervision
from spowl_ros.supervisor.settings import SupervisionSettings, unfit_for_a_robot

RAW = 'command_raw'
"""Topic of the controller's commands."""
_CHECKS_PER_PERIOD = 10
_DUE = 1.0 - 0.5 / _CHECKS_PER_PERIOD
"""Fraction of a control period after which the supervisor sends the next command by itself."""


@dataclass(frozen=True)
class SupervisorNodeSettings(DriverSettings):
    """What the supervisor's node needs."""

    AT_RUN_TIME = ('limits',)
    model: str = setting('', 'directory of the bundle; only its contract is read')
    simulation: bool = fixed(False, 'the robot is simulated, so `rate` may differ from 1')
    start_held: bool = fixed(True, 'hold the robot from each activation until ~/release is '
                             'called; false: it may drive at once')
    rate: float = fixed(1.0, "speed of the node's clock relative to a steady clock; 0: lock-step, "
                        'where nothing counts as silent; values other than 1 need `simulation`',
                        low=0.0, high=1000.0)
    priority: int = priority(45, 90)
    command_type: str = setting('Float64MultiArray', 'message type of both commands',
                                choices=tuple(COMMAND_TYPES))
    estop_timeout: float = fixed(0.5, 'seconds without a message on `estop` after which the robot '
                                 'stops, once one was heard; steady clock; not used if `rate` is '
                                 '0', low=0.05, high=10.0)
    require_estop: bool = fixed(False, 'hold the robot until an e-stop is heard on `estop`; else '
                                'a robot without one, or whose e-stop was off before this node '
                                'began, may drive')
    limits: SupervisionSettings = group(SupervisionSettings)


class SupervisorNode(ManagedNode[SupervisorNodeSettings]):
    """
    Passes, limits, slows or replaces each command; one command out for each one in.

    :raises SpowlError: a bad parameter; with ``autostart`` also any error of the start
    """

    def __init__(self) -> None:
        super().__init__('supervisor', SupervisorNodeSettings())
        self._supervision: Supervision | None = None
        self._sending = threading.Lock()
        self._latch = Latch(self.settings.start_held)
        self._binding = Binding()
        self._counts: dict[str, int] = {}
        self._last: Supervised | None = None
        self._state = self.create_publisher(DiagnosticStatus, '~/state', LATCHED)
        serve(self, SetBool, '~/stop', self._on_stop)
        serve(self, Trigger, '~/release', self._on_release)
        self._estop = Heartbeat(self.settings.estop_timeout, self.settings.require_estop)
        self.create_subscription(Bool, 'estop', self._on_estop, EVERY_MESSAGE)
        if self.settings.autostart:
            self.start()

    def accept(self, settings: SupervisorNodeSettings) -> None:
        """
        Refuse changes without effect before the next configuration: all but the limits.

        :raises SpowlError: the node is configured, or the settings do not fit a real robot
        """
        if self.configured:
            self._check_fit(settings)
        super().accept(settings)

    def change(self, settings: SupervisorNodeSettings) -> None:
        """Use other limits."""
        if self.configured:
            self._limits.settings = settings.limits.resolved(settings.simulation)
            self._say_margin()

    # Lifecycle

    def configure(self) -> None:
        """
        Read the contract; make publishers and subscriptions.

        :raises SpowlError: no such bundle, or the command type cannot hold its actuators
        """
        settings = self.settings
        robot = self._robot = load_robot(settings.robot, settings.command_type)
        self._contract = robot.applied_to(bundle.read_contract(
            Path(settings.model), of_key(settings.require_signature)))
        self._check_fit(settings)
        self._format = CommandFormat(settings.command_type, self._contract.action)
        self._limits = Supervision(self._contract, settings.limits.resolved(settings.simulation),
                                   steady=settings.rate > 0.0, latch=self._latch,
                                   limits=robot.limits)
        self._rate = settings.rate
        self._robot_command = RobotCommand(robot, self._contract.action)
        if self.resolve_topic_name(robot.command.topic) == self.resolve_topic_name(RAW):
            raise SpowlError(f"the robot takes commands on '{robot.command.topic}', where the "
                             "supervisor listens to the controller; set another command.topic")
        names = {field.name for field in self._limits.region.fields}
        sensors = [(entry, message_class(entry.type)) for entry in topics(self._contract, robot)
                   if names & set(entry.names)]
        # What follows is in the network: nothing after this line refuses the robot.
        self._command = self.create_publisher(message_class(self._robot_command.type),
                                              robot.command.topic, 1)
        self._edge = Edge()
        # Made before the sensors' and so read before them; a real robot has no episodes.
        if settings.simulation:
            self.create_subscription(Header, BEGIN_TOPIC, self._on_begin, 10)
        for entry, kind in sensors:
            self.create_subscription(kind, entry.topic, partial(self._on_sensor, entry),
                                     qos_profile_sensor_data)
        # Made after the scans' subscriptions: the executor takes waiting messages in the order in
        # which subscriptions were made, so in lock-step the scan comes before the command on it.
        kind = message_class(self._format.type)
        if self._rate > 0.0:
            self.undo.callback(senders.subscribe(self, kind, RAW, self._on_command, 1))
        else:
            self.create_subscription(kind, RAW, self._on_command, 1)
        period = self._contract.control_period / (self._rate or 1.0)
        self._bond = Bond(self, 'controller', period, self._rate, self._on_bond)
        every(self, period / _CHECKS_PER_PERIOD, self._on_watch)

    def activate(self) -> None:
        """
        Begin to pass commands.

        :raises SpowlError: another node commands the actuators
        """
        self.refuse_others(self._robot.command.topic)
        self.keep_time(self._rate, self.settings.priority)
        self._say_margin()
        self._latch.restart()
        self._limits.start(self._now())
        self._sent = self._awake = self._now()
        self._frozen = -math.inf
        self._foreign = ''
        self._commanded = math.inf
        self._supervision = self._limits

    def _say_margin(self) -> None:
        """Log which margin around hazards is guarded; warn where none is on a real robot."""
        limits, simulation = self._limits.settings, self.settings.simulation
        if not simulation and self._limits.unguarded:
            self.get_logger().warning('no margin around hazards is guarded: '
                                      f'{self._limits.unguarded}')
        elif not simulation:
            self.get_logger().info(
                f'keeps {limits.margin:g} m around hazards free, for a robot of at most '
                f'{limits.top_speed:g} m/s and {limits.acceleration:g} m/s^2 that comes to rest '
                f'in {limits.lookahead + limits.ramp(self._contract.action):g} s; '
                'limits.top_speed, limits.acceleration and '
                'limits.lookahead are to be those of this robot')

    def deactivate(self) -> None:
        """Stop the robot and pass no more commands; a release ends with it."""
        with self._sending:
            supervision, self._supervision = self._supervision, None
        self._latch.restart()
        if supervision is not None:
            reason, pause = 'supervisor not active', self._contract.control_period / 2.0
            try:
                while self._rate > 0.0 and not supervision.rests:
                    self._put(supervision.stopped(reason, self._now()))
                    time.sleep(pause / self._rate)
                self._note(supervision.stopped(reason, self._now()))
            finally:  # even if its state cannot be published
                publish_last(self._command, self._message(supervision.stop_command))

    # Callbacks

    def _now(self) -> float:
        """Return the steady clock in seconds of the node's clock."""
        return time.monotonic() * (self._rate or 1.0)

    def _check_fit(self, settings: SupervisorNodeSettings) -> None:
        """
        Refuse settings under which a real robot would drive unwatched.

        :raises SpowlError: names them
        """
        if settings.simulation:
            return
        limits = settings.limits
        given = {'rate': settings.rate, 'limits.silence': limits.silence}
        found = unfit_for_a_robot(given, self._robot.limits, self._contract)
        if self._robot.adapter:
            found += faster_than_guarded(self._robot.parameters, limits.top_speed,
                                         limits.acceleration)
        if found:
            raise SpowlError('; '.join(found) + "; parameter 'robot' names the file of a real "
                             'robot, a simulated one takes simulation:=true')

    def _on_command(self, message: Any, info: MessageInfo) -> None:
        supervision = self._supervision
        if supervision is None:
            return
        self._heed_estop(time.monotonic())
        now = self._now()
        self._commanded = min(self._commanded, time.monotonic())
        command = np.zeros(0)
        if message is not None:
            with contextlib.suppress(SpowlError):
                command = self._robot_command.effective(self._format.to_command(message))
        refusal = self._refusal(info)
        if not refusal and self._rate > 0.0 and (stale := self._stale(info, now)):
            self._send(supervision.stopped(self._latch.reason or stale, now))
            return
        self._send(supervision.command(command, now, refusal))

    def _refusal(self, info: MessageInfo | None = None) -> str:
        """Return why nobody, or not this message's sender, may command the robot now; else ''."""
        if self._foreign:
            return self._foreign
        if self._rate > 0.0 and (unattended := self._bond.unattended(self._commanded)):
            return unattended
        gid: Any = info.get('publisher_gid') if info else None  # lock-step on Jazzy lacks it
        publishers = [Publisher(*entry) for entry in endpoints(self, RAW)]
        if not publishers and not self._rate:  # lock-step: discovery may lag behind
            return ''
        if info is None and not publishers:
            return ''
        return self._binding.refusal(publishers, bytes(gid['data']) if gid else None)

    def _stale(self, info: MessageInfo, now: float) -> str:
        """Return why a command is too old to obey, or an empty text."""
        self._notice_freeze(now)
        if (now - self._frozen) / self._rate < sent_ago(info) < math.inf:
            return 'a command from before the supervisor was frozen'
        return too_old(info, self._limits.silence / self._rate)

    def _notice_freeze(self, now: float) -> None:
        """Record when this process did not run for longer than the limit of silence."""
        if now - self._awake > self._limits.silence:
            self._frozen = now  # of the steady clock: the other one may be set back
            self.get_logger().warning(f'frozen for {(now - self._awake) / self._rate:.2f} s; what '
                                      'was sent before is not obeyed')
        self._awake = now

    def _on_begin(self, message: Header) -> None:
        if self._supervision is not None:
            self._supervision.begin_episode()

    def _on_sensor(self, entry: Topic, message: Any) -> None:
        supervision = self._supervision
        if supervision is None:
            return
        region = supervision.region
        wanted = [field.name for field in region.fields if field.name in entry.names]
        try:
            check_one_publisher(self, entry.topic)
            taken = self._edge.take(entry, message)
        except SpowlError as error:  # an invalid message is no reading
            for name in wanted:
                region.refuse(name, str(error))
            self.get_logger().warning(f'{entry.topic}: {error}',
                                      throttle_duration_sec=LOG_PERIOD_S)
            return
        for name in wanted:
            if name in taken.values:
                region.see(name, np.asarray(taken.values[name]), taken.stamp_ns, self._now(),
                           self.get_clock().now().nanoseconds)

    def _on_watch(self) -> None:
        supervision = self._supervision
        if supervision is None:
            return
        now = self._now()
        self._heed_estop(time.monotonic())
        if self._rate > 0.0:
            self._notice_freeze(now)
        self._look_around(supervision)
        replacement = supervision.again(now)
        if replacement is not None:
            self._send(replacement)
            return
        last, due = self._last, now - self._sent >= _DUE * self._contract.control_period
        if (self._rate > 0.0 and due and last is not None and last.state == 'stopped'
                and not supervision.rests):
            self._send(supervision.stopped(last.reason, now))  # a ramp waits for no command
            return
        replacement = supervision.silent(now)
        if replacement is not None and due:
            self._send(supervision.stopped(self._foreign, now) if self._foreign else replacement)

    def _look_around(self, supervision: Supervision) -> None:
        """Stop the robot at once if a node other than the controller may command it."""
        others = other_publishers(self, self._robot.command.topic)
        foreign = '' if not others else (
            f'{", ".join(sorted(others))} publishes {self._command.topic_name} too, which the '
            'supervisor cannot overrule')
        new = foreign != self._foreign
        self._foreign = foreign
        refusal = self._refusal()
        moving = self._last is not None and self._last.state != 'stopped'
        if self._rate > 0.0 and refusal and (new or moving):
            supervision.conflict(self._now(), refusal)
            self._send(supervision.stopped(refusal, self._now()))

    def _on_stop(self, request: SetBool.Request) -> str:
        if not request.data:
            raise SpowlError(
                'a stop is released by another call: ~/release (std_srvs/Trigger)')
        self._latch.stop(time.monotonic(), callers(self, '~/stop'))
        # in lock-step each command is a step, and the next one becomes the stop action
        if self._supervision is not None and self._rate > 0.0:
            self._send(self._supervision.stopped(self._latch.reason, self._now()))
        return 'stopped until released'

    def _on_estop(self, message: Bool, info: MessageInfo) -> None:
        now, doubt = time.monotonic(), ''
        if self.settings.rate > 0.0:
            doubt = too_old(info, self.settings.estop_timeout)
        try:
            check_one_publisher(self, 'estop')
        except SpowlError as error:  # one may hide that the other is pressed or silent
            doubt = str(error)
        self._estop.hear(message.data, self._never_late(now), doubt)
        self._heed_estop(now)

    def _never_late(self, now: float) -> float:
        """Return a time after which, in lock-step, no silence counts."""
        return now if self.settings.rate > 0.0 else math.inf

    def _look_for_estop(self) -> None:
        """Notice an e-stop of which nothing arrives here."""
        self._estop.look(number_of_publishers(self, 'estop') > 0,
                         unheard(self, 'estop', 'std_msgs/msg/Bool'),
                         self._never_late(time.monotonic()))

    def _heed_estop(self, now: float) -> None:
        """Hold the robot at once if the e-stop demands it or has fallen silent."""
        complaint = self._estop.complaint(now)
        if not complaint or (self._latch.held and self._latch.reason == complaint):
            return
        self._latch.stop(now, 'the e-stop', complaint)
        if self._supervision is not None and self._rate > 0.0:
            self._send(self._supervision.stopped(complaint, self._now()))

    def _on_release(self, _: Trigger.Request) -> str:
        if not self.active:
            raise SpowlError('the supervisor is not active, and a release counts from its '
                             'activation on; activate it, then release')
        now = time.monotonic()
        self._look_for_estop()
        refusal = self._estop.refusal(now) or self._latch.release(
            now, callers(self, '~/release'))
        if refusal:
            raise SpowlError(refusal)
        self.get_logger().warning(self._latch.last)
        return self._latch.last

    def _message(self, command: NDArray[np.float64]) -> Any:
        """Return the robot's message for a command, shape (A,), stamped now."""
        return build(self._robot_command.type, self._robot_command.content(
            command, self.get_clock().now().nanoseconds))

    def _send(self, supervised: Supervised) -> None:
        """Publish a command, unless another thread has deactivated the node meanwhile."""
        with self._sending:
            if self._supervision is not None:
                self._put(supervised)

    def _put(self, supervised: Supervised) -> None:
        self._command.publish(self._message(supervised.command))
        self._sent = self._now()
        self._note(supervised)

    def _note(self, supervised: Supervised) -> None:
        """Count the sent command's state; publish and log a change."""
        self._counts[supervised.state] = self._counts.get(supervised.state, 0) + 1
        before, self._last = self._last, supervised
        if before is None or (before.state, before.reason) != (supervised.state,
                                                               supervised.reason):
            self._state.publish(self._status())
            if supervised.state != 'stopped' or not self.active:
                return
            if self._counts.keys() == {'stopped'}:  # it waits for the controller, or for a release
                self.get_logger().info(f'not driving yet: {supervised.reason}',
                                       throttle_duration_sec=LOG_PERIOD_S)
            else:
                self.get_logger().warning(f'stopped: {supervised.reason}',
                                          throttle_duration_sec=LOG_PERIOD_S)

    # Diagnostics

    def _on_bond(self) -> None:
        self._state.publish(self._status())
        self.diagnostics.report()

    def _status(self) -> DiagnosticStatus:
        name, last = self.diagnostics.name, self._last
        if self.problem:
            return diagnostics.status(name, diagnostics.ERROR, self.problem)
        if self._supervision is None or last is None:
            return diagnostics.status(name, diagnostics.WARN,
                                      'no command yet' if self.active else 'not active')
        level = {'passing': diagnostics.OK, 'stopped': diagnostics.ERROR}.get(
            last.state, diagnostics.WARN)
        message = ': '.join(filter(None, (last.state, last.reason)))
        if self._bond.complaint:
            level = diagnostics.ERROR
            if last.reason != self._bond.complaint:
                message = f'{message}; {self._bond.complaint}'
        values = {'state': last.state, 'reason': last.reason, 'bond': self._bond.state,
                  'margin': self._limits.unguarded or 'guarded',
                  'controller': self._binding.bound, 'operator': self._latch.last,
                  **{f'commands_{state}': count for state, count in self._counts.items()}}
        return diagnostics.status(name, level, message, values.items(), self._contract.task)

    def examine(self) -> list[DiagnosticStatus]:
        """Look for the e-stop and heed it; return the state of the node."""
        self._look_for_estop()
        self._heed_estop(time.monotonic())
        return [self._status()]


NODE = SupervisorNode
