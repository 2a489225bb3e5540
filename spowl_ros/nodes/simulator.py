# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The simulated robot: publishes its sensors, obeys commands, drives the clock.

In real time it makes one step each control period, with the newest command; without commands for
a while the robot stops. In lock-step it waits for one command after each observation: a run then
depends only on its seed. Both modes begin with the first command.

An episode's last observation is never published; `~/episode` gives the episode's result. Before
the next episode's first observation, `episode_begin` announces the episode and is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool, Trigger

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import LAST
from spowl_ros.base.settings import fixed
from spowl_ros.robot.command import COMMAND_TYPES, CommandFormat
from spowl_ros.ros.callbacks import serve, work
from spowl_ros.ros.discovery import DISCOVERY_S, other_publishers, publishers
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.process import LOG_PERIOD_S
from spowl_ros.ros.qos import EVERY_MESSAGE
from spowl_ros.ros.topics import RobotTopics
from spowl_ros.sim.environment import make
from spowl_ros.sim.perturbation import Perturbation

_ATTEMPT_S = 1.0
"""Until the first command: period in which the first observation is offered, seconds."""
_SETTLE_S = 0.3
"""After the first command: how long answers to earlier offers may still arrive, seconds."""
_REPEAT_S = 0.25
"""Lock-step: seconds after which sensors are published again, in case of loss, with old stamps."""
_LISTEN_S = 0.05
_LISTENER_S = 30.0
"""Longest time for the listener in the settings to start and subscribe, seconds."""


@dataclass(frozen=True)
class SimulatorSettings:
    """What is simulated, and how fast."""

    task: str = fixed('SafetyPointGoal1-v0', 'SafetyGymnasium task')
    episodes: int = fixed(0, 'number of episodes to drive; 0: no end', low=0)
    seed: int = fixed(0, 'seed of the first episode; each later one adds 1', low=0, high=LAST)
    rate: float = fixed(1.0, 'real-time factor; 0: lock-step', low=0.0, high=1000.0)
    action_repeat: int = fixed(5, 'raw steps of the simulation for each command', low=1, high=1000)
    command_type: str = fixed('Float64MultiArray', 'message type of `command`',
                              choices=tuple(COMMAND_TYPES))
    first_command_timeout: float = fixed(60.0, 'lock-step: seconds without a first command after '
                                         'which the simulator ends', low=0.1, high=86400.0)
    command_timeout: float = fixed(10.0, 'lock-step: seconds without a command after which the '
                                   'simulator ends', low=0.1, high=86400.0)
    listener: str = fixed('', 'node that must hear all sensor messages, such as a recorder; the '
                          'simulator waits for it; empty: none')
    silent_periods: float = fixed(1.7, 'real time: control periods without a command after which '
                                  'the robot stops', low=1.0, high=1000.0)
    observation_noise: float = fixed(0.0, 'noise of the sensors, as a multiple of an ordinary '
                                     "sensor's", low=0.0, high=1000.0)
    command_delay: float = fixed(0.0, 'raw steps by which commands are late', low=0.0, high=1000.0)
    mass: float = fixed(1.0, "factor on the robot's mass", low=0.01, high=100.0)
    strength: float = fixed(1.0, "factor on the actuators' forces", low=0.01, high=100.0)

    @property
    def perturbation(self) -> Perturbation:
        """Return the robot's differences from the plain one."""
        return Perturbation(observation_noise=self.observation_noise,
                            command_delay=self.command_delay, mass=self.mass,
                            strength=self.strength)


class _EndedError(Exception):
    """The node is closing."""


class _RestartError(Exception):
    """The episode must begin again."""


class SimulatorNode(Node):
    """
    Callbacks only store; one thread simulates and publishes.

    :raises SpowlError: a bad parameter
    """

    def __init__(self) -> None:
        super().__init__('simulator', automatically_declare_parameters_from_overrides=True)
        self.settings = Parameters(self, SimulatorSettings()).settings
        self._condition = threading.Condition()
        self._command: NDArray[np.float64] | None = None
        self._commanded = -np.inf
        self._ended = False
        self._paused = False
        self._steps = 0
        self._restart = False
        self._results: list[dict[str, float]] = []
        self._format: CommandFormat | None = None
        serve(self, Trigger, '~/reset', self._on_reset)
        serve(self, SetBool, '~/pause', self._on_pause)
        serve(self, Trigger, '~/step', self._on_step)
        # Made now, so that two simulators find each other while they build their worlds.
        self._clock_publisher = self.create_publisher(Clock, '/clock', EVERY_MESSAGE)
        self._time_ns = 0
        self._started = time.monotonic()
        self._thread = work(self, 'simulation', self._run)

    def close(self) -> None:
        """End the simulation."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join(1.0)

    # Callbacks

    def _on_command(self, message: Any) -> None:
        assert self._format is not None
        try:
            command = self._format.to_command(message)
        except SpowlError as error:
            self.get_logger().error(f'{error}; the robot is stopped',
                                    throttle_duration_sec=LOG_PERIOD_S)
            command = self._stop
        with self._condition:
            self._command = command
            self._commanded = time.monotonic()
            self._condition.notify()

    def _on_reset(self, _: Trigger.Request) -> str:
        with self._condition:
            self._restart = True
            self._condition.notify()
        return 'the episode begins again'

    def _on_pause(self, request: SetBool.Request) -> str:
        with self._condition:
            self._paused = request.data
            self._condition.notify()
        return 'paused' if request.data else 'running'

    def _on_step(self, _: Trigger.Request) -> str:
        with self._condition:
            if not self._paused:
                raise SpowlError('not paused; pause it first')
            self._steps += 1
            self._condition.notify()
        return 'one step'

    # In the thread that simulates

    def _run(self) -> None:
        with contextlib.suppress(_EndedError):
            self._drive(self._prepare())

    def _prepare(self) -> NDArray[np.float32]:
        """
        Build the simulation, and check that it is the only one; return the first observation.

        :raises SpowlError: no such task, or another simulator
        """
        settings = self.settings
        self._env = make(
            settings.task, settings.seed, settings.action_repeat, settings.perturbation)
        contract = self._env.contract
        self._format = CommandFormat(settings.command_type, contract.action)
        self._action = contract.action
        self._stop = np.array(contract.action.stop)
        self._raw_ns = round(contract.raw_period * 1e9)
        self._period_ns = self._raw_ns * contract.action_repeat
        self._wall_period = (contract.control_period / settings.rate if settings.rate else None)
        self._pause(self._started + DISCOVERY_S - time.monotonic())
        if names := other_publishers(self, '/clock'):
            raise SpowlError(f'another simulator runs in this domain: {", ".join(names)} '
                             'publishes /clock; end it, or use another ROS_DOMAIN_ID')
        observation = self._begin(0)  # the plain package has no robot to describe before
        self._topics = RobotTopics(self, self._clock_publisher, contract, self._env.body)
        self._subscription = self.create_subscription(
            message_class(self._format.type), 'command', self._on_command, 10)
        return observation

    def _drive(self, observation: NDArray[np.float32]) -> None:
        """Simulate the episodes, from the first one's first observation on."""
        number = 0
        self._await_listeners()
        self._await_first_command(observation)
        while True:
            with contextlib.suppress(_RestartError):
                number = self._episode(number, observation)
            if number == self.settings.episodes > 0:
                self._topics.flush()
                means = {key: sum(result[key] for result in self._results) / number
                         for key in ('return', 'cost')}
                self.get_logger().info(f'finished: {number} episodes, mean return '
                                       f'{means["return"]:.2f}, mean cost {means["cost"]:.2f}')
                return
            observation = self._begin(number)
            self._publish(observation, begins=True)

    def _begin(self, number: int) -> NDArray[np.float32]:
        """Reset to an episode (0 for the first) and return its first observation, shape (n,)."""
        self._restart = False
        self._time_ns += self._period_ns
        return self._env.reset(self.settings.seed + number)

    def _episode(self, number: int, observation: NDArray[np.float32]) -> int:
        """Simulate one episode (0 for the first) and return the number of the next."""
        totals = {'return': 0.0, 'cost': 0.0, 'steps': 0, 'goals': 0}
        due = time.monotonic()
        while True:
            if self._wall_period is None:
                command = self._await_command(observation)
                self._hold()
            else:
                due = self._await_tick(due)
                self._hold()
                command = self._newest_command()
            result = self._env.step(self._action.action(command))
            self._time_ns += self._raw_ns * int(result.info['raw_steps'])
            totals['return'] += result.reward
            totals['cost'] += result.cost
            totals['steps'] += result.info['raw_steps']
            totals['goals'] += result.info['goals']
            self._topics.outcome(result.reward, result.cost)
            if result.terminated or result.truncated:
                self._results.append(totals)
                self._topics.episode(number + 1, {
                    'episode': number + 1, 'seed': self.settings.seed + number, **totals,
                    'terminated': int(result.terminated)}, self._time_ns)
                self.get_logger().info(
                    f'episode {number + 1}: return {totals["return"]:.2f}, cost '
                    f'{totals["cost"]:.0f}, {totals["steps"]} steps')
                return number + 1
            observation = result.observation
            self._publish(observation)

    def _publish(self, observation: NDArray[np.float32], begins: bool = False) -> None:
        """Publish time, scene and sensors; in lock-step drop an older command first."""
        with self._condition:
            if self._wall_period is None:
                self._command = None
        self._topics.clock(self._time_ns)
        if begins:
            self._topics.begin(self._time_ns)
        self._topics.scene(self._env.scene, self._time_ns, begins)
        self._topics.sensors(observation, self._time_ns)

    # Waiting

    def _pause(self, seconds: float) -> None:
        """
        Wait.

        :raises _EndedError: the node closes meanwhile
        """
        with self._condition:
            if self._condition.wait_for(lambda: self._ended, seconds):
                raise _EndedError

    def _wait_for(self, event: Callable[[], object], seconds: float | None = None) -> None:
        """
        Wait until something is the case, some seconds at most; call with the condition's lock.

        :raises _EndedError: the node closes
        :raises _RestartError: the episode must begin again
        """
        self._condition.wait_for(lambda: self._ended or self._restart or event(), seconds)
        if self._ended:
            raise _EndedError
        if self._restart:
            raise _RestartError

    def _hold(self) -> None:
        """
        Wait while paused, unless a single step was requested.

        :raises _EndedError: the node closes
        :raises _RestartError: the episode must begin again
        """
        with self._condition:
            self._wait_for(lambda: not self._paused or self._steps)
            self._steps = max(self._steps - 1, 0) if self._paused else 0

    def _await_listeners(self) -> None:
        """
        Wait until the first observation would reach all its subscribers.

        A node is known shortly before messages reach it, and a recording without the first
        observation cannot repeat the first decision. The wait is bounded, as a subscriber may
        want another quality of service or only some sensors.
        """
        began = time.monotonic()
        patience = _LISTENER_S if self.settings.listener else DISCOVERY_S
        while not self._topics.reaches(self.settings.listener):
            self._pause(_LISTEN_S)
            if time.monotonic() - began > patience:
                self.get_logger().warning(
                    f'{self.settings.listener or "a subscriber"} does not hear every sensor '
                    f'after {patience:.0f} s; beginning all the same')
                return

    def _await_first_command(self, observation: NDArray[np.float32]) -> None:
        """
        Offer the first observation until a command arrives.

        Each offer has a later stamp and begins an episode: a controller that was not ready for
        the last offer then accepts it as new.

        :raises SpowlError: no command arrives (lock-step)
        """
        began = time.monotonic()
        lock_step = self._wall_period is None
        while True:
            self._publish(observation, begins=True)
            with self._condition:
                self._condition.wait_for(lambda: self._ended or self._command is not None,
                                         self._wall_period or _ATTEMPT_S)
                if self._ended:
                    raise _EndedError
                if self._command is not None:
                    break
            waited = time.monotonic() - began
            if lock_step and waited > self.settings.first_command_timeout:
                raise SpowlError(f'no first command within {waited:.0f} s: {self._missing()}')
            if waited > LOG_PERIOD_S:
                self.get_logger().info(f'waiting for the first command: {self._missing()}',
                                       throttle_duration_sec=LOG_PERIOD_S)
            self._time_ns += self._period_ns
        if lock_step:
            self._pause(_SETTLE_S)

    def _await_command(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """
        Return the command that answers the observation just published.

        :raises SpowlError: none comes
        """
        end = time.monotonic() + self.settings.command_timeout
        while True:
            with self._condition:
                self._wait_for(lambda: self._command is not None,
                               min(_REPEAT_S, end - time.monotonic()))
                if self._command is not None:
                    command, self._command = self._command, None
                    return command
                if self._paused:
                    end = time.monotonic() + self.settings.command_timeout
            if time.monotonic() >= end:
                raise SpowlError(
                    f'no command for {self.settings.command_timeout:g} s at simulated time '
                    f'{self._time_ns * 1e-9:.2f} s: {self._missing()}')
            self._topics.sensors(observation, self._time_ns)  # some may have been lost

    def _await_tick(self, due: float) -> float:
        """Wait for the end of the control period; return that time, steady clock, seconds."""
        assert self._wall_period is not None
        due = max(due + self._wall_period, time.monotonic() - self._wall_period)
        with self._condition:
            self._wait_for(lambda: False, due - time.monotonic())
        return due

    def _newest_command(self) -> NDArray[np.float64]:
        """Return the command for a step in real time: the newest one, or the stop command."""
        assert self._wall_period is not None
        with self._condition:
            silence = time.monotonic() - self._commanded
            command = self._command
        if command is None or silence > self.settings.silent_periods * self._wall_period:
            self.get_logger().warning(f'no command for {silence:.2f} s; the robot is stopped',
                                      throttle_duration_sec=LOG_PERIOD_S)
            return self._stop
        return command

    def _missing(self) -> str:
        """Return a sentence on which node is missing."""
        topic = self._subscription.topic_name
        names = publishers(self, 'command')
        if not names:
            return (f'nobody publishes {topic}; start and activate a supervisor, or a controller '
                    'that is remapped to it')
        unheard = self._topics.unheard()
        if unheard:
            return f'nobody subscribes to {", ".join(unheard)}; start and configure a controller'
        return (f'{" or ".join(sorted(set(names)))} publishes {topic} but has not answered the '
                'last observation; are it and the controller active and alive?')


NODE = SimulatorNode
