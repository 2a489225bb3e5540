# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulator as others meet it: a process behind topics and services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any
import xml.etree.ElementTree as ElementTree

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from numpy.typing import NDArray
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64, Float64MultiArray, Header, String
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from benchmarks.robot_stand import program
from spowl_ros.base.names import BEGIN_TOPIC
from spowl_ros.control.observation import ObservationAssembler
from spowl_ros.robot.topics import Topic, topics
from spowl_ros.ros.messages import build, message_class
from spowl_ros.ros.qos import LATCHED
from spowl_ros.sim import environment, tasks

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
"""A loaded machine takes long to start a process."""
KINDS = ('SafetyPointGoal1-v0', 'SafetyCarGoal2-v0', 'SafetyAntGoal1-v0', 'SafetyDoggoGoal1-v0',
         'SafetyPointButton1-v0', 'SafetyCarPush1-v0', 'SafetyPointCircle1-v0')
"""Every robot, every kind of sensor, and the plain package; test_conversion has all tasks."""
START = program('simulator')
Policy = Callable[[NDArray[np.float32]], list[float]]


@contextlib.contextmanager
def simulator(namespace: str = '', **parameters: object) -> Iterator[subprocess.Popen[str]]:
    """Start the node as a process; it is killed in the end."""
    arguments = ['--ros-args', '-r', f'__ns:=/{namespace}']
    for name, value in parameters.items():
        arguments += ['-p', f'{name}:={value}']
    process = subprocess.Popen([sys.executable, '-c', START, *arguments],
                               stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Rider:
    """Stands for controller and supervisor: answers each complete observation once."""

    def __init__(self, task: str, policy: Policy, action_repeat: int, namespace: str = '') -> None:
        self.contract = environment.contract(task, action_repeat)
        self.policy = policy
        self.assembler = ObservationAssembler(self.contract)
        self.observations: list[NDArray[np.float32]] = []
        self.stamps_ns: list[int] = []
        self.announced_ns: list[int] = []
        self.rewards: list[float] = []
        self.costs: list[float] = []
        self.episodes: list[dict[str, str]] = []
        self.clock_ns = 0
        self.markers: MarkerArray | None = None
        self.description = ''
        self.frames: set[str] = set()
        self.answering = True
        self._context = Context()
        rclpy.init(context=self._context)
        node = rclpy.create_node('rider', namespace=namespace, context=self._context)
        self.node = node
        self._commands = node.create_publisher(Float64MultiArray, 'command', 1)
        for entry in topics(self.contract):
            node.create_subscription(message_class(entry.type), entry.topic,
                                     lambda message, entry=entry: self._sense(entry, message),
                                     qos_profile_sensor_data)
        every = QoSProfile(depth=1000)
        node.create_subscription(Header, BEGIN_TOPIC, self._announce, every)
        node.create_subscription(
            Float64, 'reward', lambda message: self.rewards.append(message.data), every)
        node.create_subscription(
            Float64, 'cost', lambda message: self.costs.append(message.data), every)
        node.create_subscription(Clock, '/clock', self._tick, every)
        node.create_subscription(MarkerArray, 'simulator/markers', self._see, every)
        node.create_subscription(String, 'robot_description', self._read, LATCHED)
        node.create_subscription(
            DiagnosticArray, 'simulator/episode', self._finish,
            QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, args=(executor,), daemon=True)
        self._thread.start()

    def begins(self) -> list[int]:
        """Return the indices of observations with which episodes, or offers of them, began."""
        return [index for index, stamp_ns in enumerate(self.stamps_ns)
                if stamp_ns in self.announced_ns]

    def close(self) -> None:
        """Leave the network."""
        self._context.try_shutdown()
        self._thread.join()

    def await_(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, 'it never happened'
            time.sleep(0.01)

    def call(self, kind: Any, name: str, **request: object) -> Any:
        """Call a service of the simulator."""
        client = self.node.create_client(kind, f'simulator/{name}')
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(kind.Request(**request))
        self.await_(future.done)
        return future.result()

    def _spin(self, executor: SingleThreadedExecutor) -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    def _sense(self, entry: Topic, message: Any) -> None:
        taken = entry.read(message)
        self.frames.add(message.header.frame_id)
        for name, values in taken.values.items():
            self.assembler.put(name, values, taken.stamp_ns)
        if not self.answering or not self.assembler.complete():
            return
        observation = self.assembler.observe(self.assembler.newest_ns())
        assert observation is not None
        self.observations.append(observation.values)
        self.stamps_ns.append(observation.stamp_ns)
        self._commands.publish(Float64MultiArray(data=self.policy(observation.values)))

    def _announce(self, message: Header) -> None:
        self.announced_ns.append(message.stamp.sec * 10**9 + message.stamp.nanosec)

    def _tick(self, message: Clock) -> None:
        self.clock_ns = message.clock.sec * 10**9 + message.clock.nanosec

    def _read(self, message: String) -> None:
        self.description = message.data

    def _see(self, message: MarkerArray) -> None:
        self.markers = message

    def _finish(self, message: DiagnosticArray) -> None:
        self.episodes.append({item.key: item.value for item in message.status[0].values})


@contextlib.contextmanager
def rider(task: str = tasks.TASKS[0], policy: Policy | None = None, action_repeat: int = 5,
          namespace: str = '') -> Iterator[Rider]:
    """Yield a rider in the domain of this test."""
    contract = environment.contract(task, action_repeat)
    made = Rider(task, policy or (lambda _: [0.0] * contract.action.size), action_repeat,
                 namespace)
    try:
        yield made
    finally:
        made.close()


def to_goal(observation: NDArray[np.float32]) -> list[float]:
    """Turn to the nearest sector in which the goal is seen, and go: PointGoal1."""
    goal = observation[12:28]
    angle = (float(np.argmax(goal)) + 0.5) * 2 * np.pi / 16
    return [0.5, float(np.clip(np.sin(angle), -1, 1))]


def drive_here(task: str, seed: int, repeat: int, policy: Policy,
               decisions: int) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Return the observations and rewards of the same episode without ROS."""
    env = environment.make(task, action_repeat=repeat)
    observations, rewards = [env.reset(seed)], []
    for _ in range(decisions):
        result = env.step(policy(as_received(observations[-1], env.contract)))
        observations.append(result.observation)
        rewards.append(result.reward)
    return observations, rewards


def as_received(observation: NDArray[np.float32], contract: Any) -> NDArray[np.float32]:
    """Return the observation as it comes out of the messages."""
    assembler = ObservationAssembler(contract)
    values = {name: observation[part] for name, part in contract.slices.items()}
    for entry in topics(contract):
        message = build(entry.type, entry.content(values, 1))
        for name, part in entry.read(message).values.items():
            assembler.put(name, part, 1)
    received = assembler.observe(1)
    assert received is not None
    return received.values


def test_the_first_observation_waits_for_its_listener(ros_domain: int) -> None:
    """Whoever else is there, nothing is published before the named node would receive it."""
    with rider() as robot, simulator(rate=0.0, episodes=1, listener='late'):
        node = robot.node
        robot.await_(lambda: node.count_publishers('/imu') > 0)
        time.sleep(3.0)
        assert robot.clock_ns == 0
        late = rclpy.create_node('late', context=node.context)
        first: dict[str, list[int]] = {}
        for entry in topics(robot.contract):
            late.create_subscription(
                message_class(entry.type), entry.topic,
                lambda message, entry=entry: first.setdefault(entry.topic, []).append(
                    entry.read(message).stamp_ns), qos_profile_sensor_data)
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(late)
        end = time.monotonic() + PATIENCE_S
        while len(first) < len(topics(robot.contract)) and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        robot.await_(lambda: bool(robot.stamps_ns))
        assert {stamps[0] for stamps in first.values()} == {robot.stamps_ns[0]}
        late.destroy_node()


def test_lock_step_is_the_simulation_itself(ros_domain: int) -> None:
    """Over DDS every observation and reward is that of the environment, whole episodes long."""
    with rider(policy=to_goal, action_repeat=20) as robot, \
            simulator(rate=0.0, episodes=2, seed=4, action_repeat=20) as process:
        assert process.wait(PATIENCE_S) == 0
        robot.await_(lambda: len(robot.episodes) == 2)
    for number, begin in enumerate(robot.begins()[-2:]):
        observations, rewards = drive_here(tasks.TASKS[0], 4 + number, 20, to_goal, 50)
        received = robot.observations[begin:begin + 50]
        np.testing.assert_allclose(received, observations[:50], rtol=0, atol=1e-6)
        assert robot.rewards[50 * number:50 * (number + 1)] == rewards
        assert float(robot.episodes[number]['return']) == pytest.approx(sum(rewards))
        assert robot.episodes[number]['steps'] == '1000'
    assert float(robot.episodes[0]['cost']) + float(robot.episodes[1]['cost']) == sum(robot.costs)


@pytest.mark.parametrize('task', KINDS)
def test_every_kind_is_sensed_over_dds(task: str, ros_domain: int) -> None:
    """What arrives is the environment's observation to 1e-6, robot by robot."""
    size = environment.contract(task, 2).action.size

    def wave(observation: NDArray[np.float32]) -> list[float]:
        return (0.5 * np.sin(np.arange(size) + float(observation[0]))).tolist()

    with rider(task, wave, action_repeat=2) as robot, \
            simulator(task=task, rate=0.0, seed=2, action_repeat=2):
        robot.await_(lambda: len(robot.rewards) >= 6)
    begin = robot.begins()[-1]
    observations, rewards = drive_here(task, 2, 2, wave, 6)
    received = robot.observations[begin:begin + 6]
    np.testing.assert_allclose(received, observations[:len(received)], rtol=0, atol=1e-6)
    assert robot.rewards[:6] == rewards


def test_lock_step_says_who_is_missing(ros_domain: int) -> None:
    """A rider that falls silent ends the run, and the message names it."""
    with rider() as robot, simulator(rate=0.0, command_timeout=1.0) as process:
        robot.await_(lambda: len(robot.rewards) > 3)
        robot.answering = False
        assert process.wait(PATIENCE_S) == 2
        assert process.stderr is not None
        error = process.stderr.read()
    assert error.startswith('error: no command for 1 s') and '/rider publishes /command' in error
    assert error.count('\n') == 1


def test_lock_step_without_anybody(ros_domain: int) -> None:
    """Nobody there at all: the message says so and what to start."""
    with simulator(rate=0.0, first_command_timeout=0.5) as process:
        assert process.wait(PATIENCE_S) == 2
        assert process.stderr is not None
        assert 'nobody publishes /command' in process.stderr.read()


def test_real_time_keeps_time_and_stops_when_nobody_commands(ros_domain: int) -> None:
    """Twice real time is kept; without commands the robot comes to rest and time goes on."""
    with rider(policy=lambda _: [1.0, 0.0]) as robot, simulator(rate=2.0):
        robot.await_(lambda: len(robot.rewards) > 5)
        clock, wall = robot.clock_ns, time.monotonic()
        time.sleep(3.0)
        factor = (robot.clock_ns - clock) * 1e-9 / (time.monotonic() - wall)
        assert factor == pytest.approx(2.0, rel=0.2)
        robot.answering = False
        made = len(robot.rewards)
        robot.await_(lambda: len(robot.rewards) > made + 30)
        seen = len(robot.observations)
        robot.policy = lambda _: [0.0, 0.0]
        robot.answering = True
        robot.await_(lambda: len(robot.observations) > seen)
        speed = np.abs(robot.observations[seen][3:5]).max()
    assert speed < 0.15


def test_pause_and_reset(ros_domain: int) -> None:
    """Paused, the clock stands; reset, the same episode begins again with the same sensors."""
    with rider() as robot, simulator(rate=0.0, seed=3):
        robot.await_(lambda: len(robot.rewards) > 5)
        assert robot.call(SetBool, 'pause', data=True).success
        time.sleep(0.5)
        clock = robot.clock_ns
        time.sleep(0.7)
        assert robot.clock_ns == clock
        robot.policy = lambda _: [1.0, 1.0]
        assert robot.call(SetBool, 'pause', data=False).success
        robot.await_(lambda: robot.clock_ns > clock)
        seen = len(robot.observations)
        assert robot.call(Trigger, 'reset').success
        first = environment.make(tasks.TASKS[0], action_repeat=5).reset(3)
        robot.await_(lambda: any(np.allclose(each, first, atol=1e-6)
                                 for each in robot.observations[seen:]))


def test_markers_and_description_show_the_scene(ros_domain: int) -> None:
    """Robot first, each hazard at its place, the path; the URDF, and frames with the prefix."""
    with (rider(policy=lambda _: [1.0, 0.3], namespace='red') as robot,
          simulator('red', rate=0.0, seed=3)):
        robot.await_(lambda: len(robot.rewards) > 5 and robot.markers is not None
                     and robot.description != '')
    links = ElementTree.fromstring(robot.description).iter('link')
    assert [link.attrib['name'] for link in links] == ['base_link']
    assert robot.frames == {'red/base_link'}
    env = environment.make(tasks.TASKS[0], action_repeat=5)
    env.reset(3)
    assert robot.markers is not None
    kinds = [marker.ns for marker in robot.markers.markers]
    assert kinds[0] == 'robot' and kinds[-1] == 'path'
    shown = [(marker.pose.position.x, marker.pose.position.y)
             for marker in robot.markers.markers if marker.ns == 'hazards']
    placed = [shape.position[:2] for shape in env.scene().shapes if shape.kind == 'hazards']
    np.testing.assert_allclose(shown, placed, atol=1e-9)
    assert len(robot.markers.markers[-1].points) > 1


def test_two_simulators_in_one_domain(ros_domain: int) -> None:
    """The second one says which other there is, and ends."""
    with rider() as robot, simulator(rate=0.0):
        robot.await_(lambda: len(robot.rewards) > 0)
        with simulator(namespace='second', rate=0.0) as second:
            assert second.wait(PATIENCE_S) == 2
            assert second.stderr is not None
            error = second.stderr.read()
    assert error.startswith('error: another simulator runs in this domain: /simulator')
    assert error.count('\n') == 1


@pytest.mark.parametrize(('parameters', 'message'), [
    ({'task': 'SafetyPointGaol1-v0'}, 'did you mean SafetyPointGoal1-v0'),
    ({'rate': '-1.0'}, "'rate' is -1.0"),
    ({'speed': '1'}, "no parameter 'speed'"),
    ({'task': 'SafetyAntGoal1-v0', 'command_type': 'TwistStamped'}, 'holds 2 numbers'),
])
def test_bad_parameters_are_one_clear_line(parameters: dict[str, str], message: str,
                                           ros_domain: int) -> None:
    """What was wrong stands in the one line that is printed."""
    with simulator(**parameters) as process:
        assert process.wait(PATIENCE_S) == 2
        assert process.stderr is not None
        error = process.stderr.read()
    assert message in error
    assert error.count('\n') == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_within_a_second(number: signal.Signals, ros_domain: int) -> None:
    """In the middle of a run both signals end it quickly and without a word."""
    with rider() as robot, simulator(rate=0.0) as process:
        robot.await_(lambda: len(robot.rewards) > 3)
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 2.0
        assert process.stderr is not None
        assert process.stderr.read() == ''
