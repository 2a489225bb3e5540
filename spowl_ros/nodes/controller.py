# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The controller as a lifecycle node: sensors in, commands and decisions out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
import faulthandler
from functools import partial
import gc
import math
from pathlib import Path
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Float64, Header, String

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEGIN_TOPIC
from spowl_ros.base.settings import fixed, flattened, group, setting
from spowl_ros.control import bundle
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.contract import require_same
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.loop import DecisionLoop
from spowl_ros.control.monitors.calibration import Calibration
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.observation import Observation
from spowl_ros.control.operator import OperatorSettings
from spowl_ros.control.providers import CPU, PROVIDERS
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.control.shadow import Shadow
from spowl_ros.control.signature import of_key
from spowl_ros.control.watchdog import Watchdog
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.robot.report import Plausibility
from spowl_ros.robot.topics import Edge, Topic, load_robot, topics
from spowl_ros.ros import diagnostics, process
from spowl_ros.ros.ages import MessageInfo, waited
from spowl_ros.ros.bond import Bond
from spowl_ros.ros.discovery import check_one_publisher
from spowl_ros.ros.intake import Intake, Unattended, waiting
from spowl_ros.ros.last_command import publish_last
from spowl_ros.ros.lifecycle import TOO_LATE, DriverSettings, ManagedNode, priority
from spowl_ros.ros.messages import build, message_class, nanoseconds, to_stamp
from spowl_ros.ros.operator_input import OperatorInput
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.process import LOG_PERIOD_S
from spowl_ros.ros.qos import KEPT, LATCHED
from spowl_ros.ros.statistics import Statistics
from spowl_ros.ros.succession import Model, RollbackSettings, Succession

_HANGS_PERIODS = 2.0
"""Control periods after which a decision counts as hanging."""
_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class ControllerNodeSettings(DriverSettings):
    """What the controller's node needs beside the settings of the controller itself."""

    AT_RUN_TIME = ('model', 'rollback')
    model: str = setting('', 'directory of the bundle; a change while the node is active loads '
                             'the new bundle beside the old one, and it takes over between two '
                             'decisions')
    rate: float = fixed(1.0, "speed of the node's clock relative to a steady clock: 1 on a robot, "
                        'the real-time factor in a simulation; 0: lock-step, where each '
                        'measurement is answered once and nothing is late', low=0.0, high=1000.0)
    deadline_fraction: float = setting(
        0.5, 'fraction of the control period within which a decision must be ready',
        low=0.01, high=1.0)
    steady_latency: bool = fixed(True, 'delay each command until nearly all decisions would be '
                                 'ready, so that commands are as regular as the sensors; a stop '
                                 'is never delayed')
    priority: int = priority(40, 40)  # not above the supervisor's, unless that one is lowered
    decision_timeout: float = fixed(3.0, 'seconds for one decision after which the process ends; '
                                    'the robot stops earlier, after two control periods, unless '
                                    '`rate` is 0', low=0.1, high=600.0)
    command_type: str = setting('Float64MultiArray', 'message type of `command`',
                                choices=tuple(COMMAND_TYPES))
    seed: int = setting(0, "seed of the planner's randomness", low=0)
    threads: int = setting(1, "threads of the planner's graphs", low=1, high=64)
    provider: str = setting(
        CPU, "where the planner's graphs run; what is not to be had, or does not reproduce the "
        "bundle's golden vectors, is replaced by the CPU with one line in the log",
        choices=tuple(PROVIDERS))
    observe_cost: bool = setting(
        False, 'subscribe to `cost`: a budget needs it, and the bound of the cost value follows '
               'it')
    rollback: RollbackSettings = group(RollbackSettings)
    operator: OperatorSettings = group(OperatorSettings)
    shadow_model: str = fixed('', 'directory of a second bundle of the same contract, which '
                              'decides on the same observations, never drives, and publishes '
                              '~/shadow/decision; empty: none')


class ControllerNode(ManagedNode[ControllerNodeSettings]):
    """
    Subscribes to the sensors of a bundle's contract and drives by its planner.

    Callbacks only store; the thread of `DecisionLoop` decides and publishes.

    :raises SpowlError: a bad parameter; with ``autostart`` also any error of the start
    """

    def __init__(self) -> None:
        super().__init__('controller', ControllerNodeSettings(), ControllerSettings())
        self._given: dict[str, Any] = {}
        self._loop: DecisionLoop | None = None
        self._shadow: Shadow | None = None
        self._statistics = Statistics()
        self._reported = time.monotonic()
        self._failure: Exception | None = None
        self._hanging = False
        self._drove = False
        self._failed = self.create_guard_condition(self._on_failure)
        self._watchdog: Watchdog | None = None
        self._succession = Succession(self, self._prepare, self._install, self._set_model)
        if self.settings.autostart:
            self.start()

    def accept(self, settings: ControllerNodeSettings) -> None:
        """
        Refuse changes without effect before the next configuration, and models that do not fit.

        :raises SpowlError: the node is configured, or the model has another contract
        """
        if unknown := set(settings.rollback.monitor.split()) - {kind.name for kind in kinds()}:
            raise SpowlError(f"'rollback.monitor' names {', '.join(sorted(unknown))}; there are "
                             f'{", ".join(kind.name for kind in kinds())}')
        if self.configured:
            _require_grounds(self._bundle, self._declared.settings,
                             settings.rollback.monitor.split())
        super().accept(settings)
        if self.configured and settings.model not in (
                self.settings.model, self._succession.driving):
            if not self.active:
                raise SpowlError(TOO_LATE)
            self._succession.check()
            if not settings.require_signature:  # else nothing is parsed that is not verified
                require_same(self._bundle.contract, self._robot.applied_to(
                    bundle.read_contract(Path(settings.model))))

    def change(self, settings: ControllerNodeSettings) -> None:
        """Use other rules of a rollback, or another model."""
        self._succession.change(settings.rollback)
        if self.active and settings.model != self._succession.driving:
            self._succession.request(settings.model)

    # Lifecycle

    def configure(self) -> None:
        """
        Load, verify and warm up the bundle; make publishers and subscriptions.

        :raises SpowlError: the bundle is damaged or missing, or does not accept a setting
        """
        settings = self.settings
        robot = self._robot = load_robot(settings.robot)
        loaded = self._bundle = self._load(settings.model)
        self._declared = Parameters(
            self, ControllerSettings(planner=loaded.settings), accept=partial(_check, loaded),
            applied=self._change, given=self._given)
        self.undo.callback(self._declared.remove)
        self._unseen: Bundle | None = None
        if settings.shadow_model:
            self._unseen = self._load(settings.shadow_model)
            require_same(loaded.contract, self._unseen.contract)
        sensors = [(entry, message_class(entry.type)) for entry in topics(loaded.contract, robot)]
        self._command_format = CommandFormat(settings.command_type, loaded.contract.action)
        self._controller = self._make_controller(loaded, self._declared.settings)
        self._person = OperatorInput(self, settings.operator, loaded.contract.action,
                                     self._command_format)
        self._command: Publisher[Any] = self.create_publisher(
            message_class(self._command_format.type), 'command', 1)
        self._decisions = self.create_publisher(DiagnosticArray, '~/decision', KEPT)
        if self._unseen is not None:
            self._shadow_decisions = self.create_publisher(
                DiagnosticArray, '~/shadow/decision', KEPT)
        self._mode = self.create_publisher(String, '~/mode', LATCHED)
        self._doubted: dict[str, SpowlError] = {}
        self._edge = Edge()
        self._plausibility = Plausibility()
        self._bond = Bond(self, 'supervisor', self._steady_period, settings.rate,
                          self.diagnostics.report,
                          healthy=lambda: self._loop is None or not self._hanging)
        # Lock-step wants the clock's and the sensors' messages in the order of one executor.
        apart = Unattended() if settings.rate > 0.0 else None
        # Made before the sensors' and read before them: see `_take`.
        self._begins = self.create_subscription(Header, BEGIN_TOPIC, self._on_begin, 10,
                                                callback_group=apart)
        self._sensors = [
            (entry, self.create_subscription(
                kind, entry.topic, partial(self._on_sensor, entry), qos_profile_sensor_data,
                callback_group=apart)) for entry, kind in sensors]
        if settings.observe_cost:
            self.create_subscription(Float64, 'cost', self._store_cost, 10)
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1))
        self.undo.callback(self.get_clock().create_jump_callback(
            backwards, post_callback=self._on_jump).unregister)
        if apart:
            self.undo.callback(Intake(self, (self._begins, *(
                subscription for _, subscription in self._sensors)), self._take).end)

    def _load(self, path: str) -> Bundle:
        """Return a verified bundle with the robot's contract."""
        settings = self.settings
        loaded = bundle.load(Path(path), threads=settings.threads,
                             signer=of_key(settings.require_signature),
                             provider=settings.provider)
        if loaded.fallback:
            self.get_logger().warning(f"provider '{settings.provider}': {loaded.fallback}")
        return replace(loaded, contract=self._robot.applied_to(loaded.contract))

    def _make_controller(self, loaded: Bundle, settings: ControllerSettings | None = None,
                         ) -> Controller:
        """Return a controller, by default with the bundle's settings and those of the user."""
        settings = settings or ControllerSettings(planner=loaded.settings).change(self._kept())
        _require_grounds(loaded, settings, self.settings.rollback.monitor.split())
        return Controller(loaded, settings, self.settings.seed, self.settings.threads)

    def activate(self) -> None:
        """
        Begin to decide.

        :raises SpowlError: another node commands the robot
        """
        self.refuse_others('command')
        settings = self.settings
        self._controller = self._make_controller(self._bundle, self._declared.settings)
        self._loop = DecisionLoop(
            self._controller, lambda: self.get_clock().now().nanoseconds, self._publish,
            self._fail, settings.rate, settings.deadline_fraction, settings.steady_latency,
            self._decided, self._person.operator.take)
        if self._unseen is not None:
            self._shadow = Shadow(self._make_controller(self._unseen), self._publish_shadow,
                                  self._on_shadow_failure)
        self._look_for_doubt()
        self.keep_time(settings.rate, settings.priority)
        loop = self._loop
        self._sent = self._controller.stop_action
        self._hanging = False
        limits = [(settings.decision_timeout, lambda: self._end_hanging(loop))]
        if settings.rate > 0.0:
            limits.append((_HANGS_PERIODS * self._steady_period, self._stop_hanging))
        self._watchdog = Watchdog(lambda: loop.work, sorted(limits, key=lambda limit: limit[0]))
        self._succession.start(Model(settings.model, self._controller), settings.rollback)
        loop.start()

    def deactivate(self) -> None:
        """Stop the robot, then stop deciding."""
        loop, self._loop = self._loop, None
        try:
            self._succession.end()
            if loop is not None and self._watchdog is not None:
                if loop.end():
                    self._watchdog.end()
                else:  # the watchdog ends the process, or `process.run` does
                    process.abandon(_hangs(loop))
            if self._shadow is not None:
                self._shadow.end()
                self._shadow = None
            self._mode.publish(String(data='stop'))
            self._ramp_down()
        finally:  # even if its mode cannot be published
            publish_last(self._command, self._command_message(self._controller.stop_action))

    # Another model

    def _kept(self) -> dict[str, Any]:
        """Return the settings that differ from the model's own, by name."""
        own = flattened(ControllerSettings(planner=self._bundle.settings))
        return {name: value for name, value in flattened(self._declared.settings).items()
                if value != own[name]}

    def _prepare(self, path: str) -> Controller:
        """Return a controller for another model; runs in the loading thread."""
        loaded = self._load(path)
        require_same(self._bundle.contract, loaded.contract)
        return self._make_controller(loaded)

    def _install(self, model: Model) -> None:
        """
        Let another model decide from the next decision on; keep settings changed by the user.

        :raises SpowlError: the model does not accept a setting
        """
        assert self._loop is not None  # a succession ends before the loop does
        new = model.controller
        new.change(ControllerSettings(planner=new.bundle.settings).change(self._kept()))
        self._declared.replace(new.settings, partial(_check, new.bundle))
        self._bundle, self._controller = new.bundle, new
        gc.freeze()  # so that no collection scans it while it drives
        self._loop.hand_over(new)

    def _set_model(self, path: str) -> None:
        """Set the parameter to the model that drives."""
        if path != self.settings.model:
            self.set_parameters([Parameter('model', value=path)])

    @property
    def _steady_period(self) -> float:
        """The control period on a steady clock, seconds; in lock-step as if in real time."""
        return self._bundle.contract.control_period / (self.settings.rate or 1.0)

    # Callbacks: store only

    def _on_sensor(self, entry: Topic, message: Any, info: MessageInfo) -> None:
        """Store a message from the executor, as in lock-step, and all others that wait."""
        self._take_beginnings()
        self._store(entry, message, info)
        self._take()

    def _take(self) -> None:
        """
        Store all sensor messages that the middleware holds now.

        The simulator waits for the acknowledgement of an episode's beginning before it publishes
        the first measurement. So the beginning is here already, and is handled first.
        """
        self._take_beginnings()
        for entry, subscription in self._sensors:
            for taken in waiting(subscription):
                self._store(entry, *taken)

    def _take_beginnings(self) -> None:
        for begin, _ in waiting(self._begins):
            self._on_begin(begin)

    def _store(self, entry: Topic, message: Any, info: MessageInfo) -> None:
        loop = self._loop
        self._statistics.received(entry.topic)
        if loop is None:
            return
        try:
            if entry.topic in self._doubted:
                raise self._doubted[entry.topic]
            taken = self._edge.take(entry, message)
            self._plausibility.add(entry, message, taken)
            loop.put(taken.values.items(), taken.stamp_ns, waited(info))
        except SpowlError as error:
            self._statistics.refused(entry.topic, str(error))
            self.get_logger().warning(f'{entry.topic}: {error}',
                                      throttle_duration_sec=LOG_PERIOD_S)

    def _on_begin(self, message: Header) -> None:
        if self._loop is not None:
            self._loop.begin_episode(nanoseconds(message.stamp))

    def _store_cost(self, message: Float64) -> None:
        if self._loop is not None:
            self._loop.put_cost(message.data)

    def _on_jump(self, jump: TimeJump) -> None:
        if self._loop is not None:
            self._loop.clock_set_back()

    def _change(self, settings: ControllerSettings) -> None:
        if self._loop is not None:
            self._loop.change(settings)

    # In the thread that decides

    def _publish(self, decision: Decision, arrival: float) -> None:
        self._hanging = False
        self._publish_command(decision.action)
        response = time.monotonic() - arrival
        if math.isfinite(response):
            decision = replace(decision, seconds={**decision.seconds, 'response': response})
        self._succession.watch(decision)
        if self._statistics.decided(decision):
            self._mode.publish(String(data=decision.source))
            if decision.source not in ('monitor', 'stop'):
                self._drove = True
            elif not self._drove:
                self.get_logger().info(f'no sensors yet: {decision.reason}',
                                       throttle_duration_sec=LOG_PERIOD_S)
            else:
                self.get_logger().warning(f'{decision.source}: {decision.reason}',
                                          throttle_duration_sec=LOG_PERIOD_S)
        self._decisions.publish(self._decision_message(decision, 'decision'))

    def _decision_message(self, decision: Decision, what: str) -> DiagnosticArray:
        # without a hardware_id, which PlotJuggler would put into the name of every curve
        return diagnostics.stamped(
            to_stamp(decision.now_ns), diagnostics.status(
                f'{self.get_name()}: {what}', diagnostics.OK, decision.source,
                decision.to_items()))

    def _decided(self, decision: Decision, observation: Observation, due: float) -> None:
        if (shadow := self._shadow) is not None:
            shadow.see(decision, observation, due)

    def _publish_shadow(self, decision: Decision) -> None:
        self._shadow_decisions.publish(self._decision_message(decision, 'shadow'))

    def _on_shadow_failure(self, error: Exception) -> None:
        self.get_logger().error(f'the model in the shadow decides no more: {error!r}')

    def _ramp_down(self) -> None:
        """Publish the ramp to the stop command, one command per control period, and wait."""
        contract = self._bundle.contract
        if self.settings.rate > 0.0:
            for action in contract.action.way_to_stop(self._sent, contract.control_period):
                self._publish_command(action)
                time.sleep(self._steady_period)

    def _publish_command(self, action: Sequence[float]) -> None:
        self._sent = tuple(action)
        self._command.publish(self._command_message(action))

    def _command_message(self, action: Sequence[float]) -> Any:
        kind, command = self._command_format, self._bundle.contract.action.command(action)
        return build(kind.type, kind.content(command, self.get_clock().now().nanoseconds))

    def _fail(self, error: Exception) -> None:
        self._ramp_down()
        self._publish_command(self._controller.stop_action)
        self._failure = error
        self._failed.trigger()

    # In the watchdog's thread

    def _stop_hanging(self) -> None:
        """Stop the robot while the deciding thread hangs."""
        self._hanging = True
        self._ramp_down()
        self._publish_command(self._controller.stop_action)
        self._mode.publish(String(data='stop'))
        self.diagnostics.report()

    def _end_hanging(self, loop: DecisionLoop) -> None:
        """Stop the robot and end the process, even where publishing hangs as well."""
        faulthandler.dump_traceback_later(_LAST_WORDS_S, exit=True)
        publish_last(self._command, self._command_message(self._controller.stop_action))
        process.end_now(_hangs(loop))

    # Diagnostics and failures, in the executor's thread

    def _on_failure(self) -> None:
        self.get_logger().error(f'deciding failed: {self._failure!r}')
        if not self.active:  # it was deactivated meanwhile
            return
        self.trigger_deactivate()
        self.problem = f'deciding failed: {self._failure!r}; activate again once that is mended'

    def _look_for_doubt(self) -> None:
        """Find the sensors with several publishers: what they say counts as silence."""
        doubted: dict[str, SpowlError] = {}
        for entry, _ in self._sensors:
            try:
                check_one_publisher(self, entry.topic)
            except SpowlError as error:
                doubted[entry.topic] = error
        self._doubted = doubted

    def examine(self) -> list[DiagnosticStatus]:
        """Return the state of the node, of its decisions and of its sensors."""
        problem, values = self.problem, []
        if self.configured:
            self._look_for_doubt()
            problem = problem or self._bond.complaint or self._person.complaint
            values = [(self._bond.partner, self._bond.state)]
        now = time.monotonic()
        elapsed, self._reported = now - self._reported, now
        name = self.diagnostics.name
        level = (diagnostics.ERROR if problem else
                 diagnostics.OK if self.active else diagnostics.WARN)
        statuses = [diagnostics.status(
            f'{name}: state', level, problem or ('active' if self.active else 'not active'),
            values)]
        loop = self._loop
        if loop is not None:
            statuses += self._statistics.statuses(name, self._bundle.contract.task, elapsed,
                                                  loop.silences(), loop.age, loop.longest_age,
                                                  self._plausibility.problems())
        return statuses


def _hangs(loop: DecisionLoop) -> str:
    """Return a sentence that a decision hangs, and where."""
    where = loop.where
    return ('the controller hangs in one decision' + (f' ({where})' if where else '')
            + '; the robot was told to stop, and the process ends; start it again')


def _check(loaded: Bundle, settings: ControllerSettings) -> None:
    """
    Check that a bundle accepts these settings.

    :raises SpowlError: a planner setting fixed in the bundle differs; a monitor cannot judge
    """
    loaded.accept(settings.planner)
    _require_grounds(loaded, settings)


def _require_grounds(loaded: Bundle, settings: ControllerSettings,
                     watched: Collection[str] = ()) -> None:
    """
    Check that each monitor that is to act can judge: what never alarms must not look like a guard.

    :param watched: names of monitors on which a rollback depends
    :raises SpowlError: one has no calibration, or judges plans where none are made
    """
    calibration = Calibration.from_dict(loaded.calibration)
    for kind in kinds():
        if getattr(settings, kind.name).rule.level == 'off' and kind.name not in watched:
            continue
        if kind.table and not calibration.has(kind.table):
            raise SpowlError(f'{kind.name} cannot judge: {loaded.directory} is not calibrated; '
                             f"run spowl calibrate, or let {kind.name}.rule.level be 'off'")
        if kind.judges_plans and settings.planner.kind == 'policy':
            raise SpowlError(f'{kind.name} cannot judge: it judges plans, and planning is off; '
                             f"let {kind.name}.rule.level be 'off'")


NODE = ControllerNode
