# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recorder as a process of its own, with real publishers."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
from pathlib import Path
import resource
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, Imu
from std_msgs.msg import Float64, String

from spowl_ros.bags.context import TOPIC, read_context
from spowl_ros.bags.reader import Bag

pytestmark = pytest.mark.slow

MATCH_S = 60.0
OUR_RATE = 50  # raw steps a second of the quickest robot
SENSORS = 8  # topics that it publishes each step


class Robot:
    """A node that publishes, and the recorder that listens to it."""

    def __init__(self, node: Node, directory: Path) -> None:
        self.node = node
        self.path = directory / 'bag'
        self._recorders: list[subprocess.Popen[str]] = []

    def start_recorder(self, *parameters: str, remap: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start the recorder; parameters are written `name:=value`."""
        arguments = [part for entry in (f'path:={self.path}', *parameters)
                     for part in ('-p', entry)]
        arguments += [part for entry in remap for part in ('-r', entry)]
        process = subprocess.Popen(
            [Path(sys.executable).parent / 'recorder', '--ros-args', *arguments],
            stderr=subprocess.PIPE, text=True)
        self._recorders.append(process)
        return process

    def wait_for_recorder(self, *publishers) -> None:
        """Wait until the recorder listens to the publishers."""
        deadline = time.monotonic() + MATCH_S
        while any(publisher.get_subscription_count() == 0 for publisher in publishers):
            assert time.monotonic() < deadline, 'the recorder does not subscribe'
            time.sleep(0.05)

    def stop_recorders(self) -> None:
        """End what still runs."""
        for process in self._recorders:
            process.kill()
            process.communicate()


@pytest.fixture
def robot(ros_domain: int, tmp_path: Path) -> Iterator[Robot]:
    """Return a node in a domain of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('robot', context=context)
    robot = Robot(node, tmp_path)
    yield robot
    robot.stop_recorders()
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_nothing_is_lost_at_ten_times_our_rates(robot: Robot, storage: str) -> None:
    """Every message of every topic is there, byte for byte, in the order of sending."""
    robot.start_recorder(f'storage:={storage}')
    publishers = [robot.node.create_publisher(Imu, f'imu_{number}', qos_profile_sensor_data)
                  for number in range(SENSORS)]
    robot.wait_for_recorder(*publishers)
    sent: list[bytes] = []
    message = Imu()
    start = time.monotonic()
    for step in range(3 * OUR_RATE * 10):
        message.header.stamp.sec = step
        # Its padding is what happened to be in memory: serialised again, it may be other bytes.
        sent.append(serialize_message(message))
        for publisher in publishers:
            publisher.publish(sent[-1])
        time.sleep(max(0.0, start + (step + 1) / (OUR_RATE * 10) - time.monotonic()))
    time.sleep(1.0)
    recorder = robot._recorders[0]
    recorder.send_signal(signal.SIGINT)
    _, said = recorder.communicate(timeout=20)
    assert recorder.returncode == 0
    assert 'LOST' not in said
    with Bag(robot.path) as bag:
        assert not bag.damage
        for number in range(SENSORS):
            assert [message.data for message in bag.messages([f'/imu_{number}'])] == sent


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_written_is_readable_after_any_signal(
        robot: Robot, storage: str, number: signal.Signals) -> None:
    """Even SIGKILL costs no more than what was not yet flushed."""
    recorder = robot.start_recorder(f'storage:={storage}', 'flush_seconds:=0.1')
    publisher = robot.node.create_publisher(Float64, 'reward', 10)
    robot.wait_for_recorder(publisher)
    for value in range(100):
        publisher.publish(Float64(data=float(value)))
        time.sleep(0.005)
    time.sleep(0.6)
    recorder.send_signal(number)
    recorder.communicate(timeout=20)
    assert recorder.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    with Bag(robot.path) as bag:
        values = [bag.decode(message).data for message in bag.messages(['/reward'])]
        assert values == [float(value) for value in range(100)]
        assert bool(bag.damage) == (number is signal.SIGKILL and storage == 'mcap')


def test_bundle_and_parameters_are_in_the_bag(robot: Robot, untrained_bundle: Path) -> None:
    """The manifest's hash and every node's parameters are there, even after SIGKILL."""
    robot.node.declare_parameter('speed', 1.5)
    robot.node.declare_parameter('gains', [1.0, 2.0])
    recorder = robot.start_recorder(f'model:={untrained_bundle}', 'flush_seconds:=0.1')
    executor = SingleThreadedExecutor(context=robot.node.context)
    executor.add_node(robot.node)
    found = None
    deadline = time.monotonic() + MATCH_S
    while time.monotonic() < deadline and not (found and found.parameters):
        for _ in range(20):
            executor.spin_once(timeout_sec=0.02)
        if (robot.path / 'bag_0.mcap').is_file():
            with Bag(robot.path) as bag:
                found = read_context(bag) if TOPIC in bag.topics else None
    recorder.kill()
    assert found is not None
    manifest = (untrained_bundle / 'manifest.json').read_bytes()
    assert found.bundle_sha256 == hashlib.sha256(manifest).hexdigest()
    assert found.parameters['/robot']['speed'] == 1.5
    assert found.parameters['/robot']['gains'] == [1.0, 2.0]


def test_namespace_and_choice_of_topics(robot: Robot) -> None:
    """A namespace is recorded without its neighbours; images and what is excluded stay out."""
    recorder = robot.start_recorder('exclude:=secret', remap=('__ns:=/one',))
    kinds = {'/one/reward': Float64, '/two/reward': Float64, '/one/secret': Float64,
             '/one/camera': Image, '/one/imu': Imu}
    publishers = {name: robot.node.create_publisher(kind, name, 10)
                  for name, kind in kinds.items()}
    robot.wait_for_recorder(publishers['/one/reward'], publishers['/one/imu'])
    for _ in range(5):
        for name, kind in kinds.items():
            publishers[name].publish(kind())
        time.sleep(0.1)
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=20)
    with Bag(robot.path) as bag:
        recorded = {name for name, topic in bag.topics.items() if topic.messages}
    assert {'/one/reward', '/one/imu'} <= recorded
    assert recorded.isdisjoint({'/two/reward', '/one/secret', '/one/camera'})


def test_a_topic_of_two_types_costs_that_topic_only(robot: Robot) -> None:
    """What two publishers cannot agree on is left out, and all else is recorded."""
    context = rclpy.Context()
    rclpy.init(context=context)
    other = Node('other', context=context)
    strays = (robot.node.create_publisher(Float64, 'stray', 10),
              other.create_publisher(String, 'stray', 10))
    reward = robot.node.create_publisher(Float64, 'reward', 10)
    deadline = time.monotonic() + MATCH_S
    while len(dict(robot.node.get_topic_names_and_types()).get('/stray', ())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    recorder = robot.start_recorder()
    robot.wait_for_recorder(reward)
    for value in range(20):
        reward.publish(Float64(data=float(value)))
        strays[0].publish(Float64(data=1.0))
        strays[1].publish(String(data='a'))
        time.sleep(0.02)
    time.sleep(0.5)
    recorder.send_signal(signal.SIGINT)
    _, said = recorder.communicate(timeout=30)
    other.destroy_node()
    context.try_shutdown()
    assert recorder.returncode == 0, said
    with Bag(robot.path) as bag:
        assert bag.damage == []
        assert [bag.decode(message).data for message in bag.messages(['/reward'])] == [
            float(value) for value in range(20)]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_full_disk_is_one_line(robot: Robot, storage: str) -> None:
    """When nothing more can be written, the recorder says so, ends, and leaves what it had."""
    recorder = robot.start_recorder(f'storage:={storage}')
    publisher = robot.node.create_publisher(String, 'text', 10)
    robot.wait_for_recorder(publisher)
    # What the system answers then is the same as where a disk is full, but for the number.
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    deadline = time.monotonic() + MATCH_S
    while recorder.poll() is None and time.monotonic() < deadline:
        publisher.publish(String(data='x' * 10_000))
        time.sleep(0.01)
    _, said = recorder.communicate(timeout=30)
    assert recorder.returncode == 2
    assert said.count('\n') == 1
    assert 'cannot write the bag' in said
    with Bag(robot.path) as bag:
        assert any(True for _ in bag.messages(['/text']))


@pytest.mark.parametrize(('parameter', 'said'), [
    ('storage:=tape', "'storage' is 'tape'"), ('split_seconds:=-1.0', "'split_seconds'"),
    ('model:=/nowhere', '/nowhere'), ('colour:=red', "'colour'"), ('path:=/', 'exists already')])
def test_a_mistake_is_one_line_and_exit_code_2(robot: Robot, parameter: str, said: str) -> None:
    """No traceback, whatever is wrong."""
    recorder = robot.start_recorder(parameter)
    _, message = recorder.communicate(timeout=30)
    assert recorder.returncode == 2
    assert said in message
    assert message.count('\n') == 1
