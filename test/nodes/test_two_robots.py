# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Two robots in two namespaces of one network, each driven through its own laser and odometry."""

from __future__ import annotations

from collections.abc import Iterator
import fnmatch
import os
from pathlib import Path
import pty
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import LaserScan

from benchmarks.errands import without_margin
from spowl_ros.base import share
from spowl_ros.clients.watcher import Watcher
from spowl_ros.ros.process import make_executor
from spowl_ros.ros.qos import LATCHED
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

pytestmark = pytest.mark.slow

NAMESPACES = ('red', 'blue')
PATIENCE_S = 150.0
MOVED = 0.03  # metres
SPOWL = str(Path(sys.executable).parent / 'spowl')
ROBOT = share.share_directory() / 'config' / 'robot' / 'diff_drive.yaml'


class Follower(Node):
    """Keeps the path of one robot, and the frames that its messages name."""

    def __init__(self, namespace: str) -> None:
        super().__init__('follower', namespace=namespace, start_parameter_services=False)
        self.path: list[tuple[float, float]] = []
        self.frames: set[str] = set()
        self.create_subscription(Odometry, 'odom', self._on_odom, qos_profile_sensor_data)
        for kind, topic, qos in ((LaserScan, 'scan', qos_profile_sensor_data),
                                 (PoseStamped, 'goal_pose', LATCHED)):
            self.create_subscription(
                kind, topic, lambda message: self.frames.add(message.header.frame_id), qos)

    def _on_odom(self, message: Odometry) -> None:
        position = message.pose.pose.position
        self.path.append((position.x, position.y))
        self.frames |= {message.header.frame_id, message.child_frame_id}


class Fleet:
    """What can be seen of both robots."""

    def __init__(self) -> None:
        self.watchers = {name: Watcher(name) for name in NAMESPACES}
        self.followers = {name: Follower(name) for name in NAMESPACES}

    def driving(self) -> bool:
        """Whether both controllers plan and both robots have moved."""
        return all(watcher.picture.sources['plan'] + watcher.picture.sources['policy'] > 5
                   for watcher in self.watchers.values()) and all(
            len(follower.path) and np.ptp(np.array(follower.path), axis=0).max() > MOVED
            for follower in self.followers.values())


@pytest.fixture(scope='module')
def fleet(untrained_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return two driving robots; the red one is recorded."""
    bag = tmp_path_factory.mktemp('bags') / 'red'
    specs = []
    for seed, name in enumerate(NAMESPACES):
        specs.append(system.NodeSpec('diff_drive', name, {'seed': seed + 1}))
        specs += map(without_margin, system.robot(system.RobotArguments(
            robot=str(ROBOT), model=str(untrained_bundle), namespace=name, released=True,
            record=str(bag) if name == 'red' else '')))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    fleet = Fleet()
    executor = make_executor()
    nodes_here = (*fleet.watchers.values(), *fleet.followers.values())
    for node in nodes_here:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        with RunningSystem(specs) as nodes:
            deadline = time.monotonic() + PATIENCE_S
            while not fleet.driving():
                nodes.poll(print)
                assert time.monotonic() < deadline, 'the robots do not drive'
                time.sleep(0.1)
            yield fleet
    finally:
        executor.shutdown()
        thread.join()
        for node in nodes_here:
            node.destroy_node()
        rclpy.try_shutdown()


def test_each_controller_drives_its_own_robot(fleet: Fleet) -> None:
    """Both decide from sensors of their own: nothing of one namespace is in the other."""
    red, blue = (fleet.watchers[name].picture for name in NAMESPACES)
    assert red.decision is not None and blue.decision is not None
    names = {name for name, _ in fleet.watchers['red'].get_topic_names_and_types()}
    for topic in ('odom', 'scan', 'goal_pose', 'cmd_vel', 'command', 'controller/decision'):
        assert {f'/red/{topic}', f'/blue/{topic}'} <= names
        assert f'/{topic}' not in names
    assert all(name.startswith('red') for name in red.diagnostics)
    for name, follower in fleet.followers.items():
        assert follower.frames == {f'{name}/odom', f'{name}/base_link'}
    paths = [np.array(fleet.followers[name].path[-50:]) for name in NAMESPACES]
    assert not np.allclose(*(path.mean(axis=0) for path in paths))


def test_check_live_hears_every_input(fleet: Fleet, untrained_bundle: Path,
                                      tmp_path: Path) -> None:
    """`spowl check --live` reports rate, age and range of each field, and a field that is not."""
    robot = tmp_path / 'robot.yaml'
    robot.write_text('limits: {x: 1.0, z: 1.0}\n'
                     'inputs: {magnetometer: {topic: compass}, gyro: {topic: imu, timeout: 2.0}}')
    result = subprocess.run(
        [SPOWL, 'check', str(robot), str(untrained_bundle), '--live', '--seconds', '2',
         '--namespace', 'blue'], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, 'COLUMNS': '120'})
    assert result.returncode == 1, result.stderr
    assert 'magnetometer (/blue/compass): no message' in result.stdout
    gyro = next(line for line in result.stdout.splitlines() if 'gyro' in line)
    assert 'ok' in gyro and 'Hz' in gyro


@pytest.mark.parametrize('name', ['controller', 'supervisor', 'adapter', 'recorder'])
def test_nodes_need_no_more_than_their_policies_allow(fleet: Fleet, name: str) -> None:
    """What a node publishes, hears, serves and calls is in its SROS 2 profile."""
    root = ElementTree.parse(ROBOT.parents[1] / 'security' / 'policies.xml').getroot()
    profile, = (entry for entry in root.iter('profile') if entry.attrib['node'] == name)
    watcher = fleet.watchers['red']
    for element, access, found in (
            ('topic', 'publish', watcher.get_publisher_names_and_types_by_node),
            ('topic', 'subscribe', watcher.get_subscriber_names_and_types_by_node),
            ('service', 'reply', watcher.get_service_names_and_types_by_node),
            ('service', 'request', watcher.get_client_names_and_types_by_node)):
        allowed = [str(entry.text).replace('~', f'/red/{name}') for group in profile
                   if group.attrib.get(access) == 'ALLOW' for entry in group.iter(element)]
        patterns = [text if text.startswith(('/', '*')) else f'/red/{text}' for text in allowed]
        for used, _ in found(name, '/red'):
            assert any(fnmatch.fnmatch(used, pattern) for pattern in patterns), (access, used)


def test_top_in_a_terminal(fleet: Fleet) -> None:
    """`spowl top` draws mode, values, monitors and interventions on a terminal, and leaves."""
    leader, follower = pty.openpty()
    os.environ.setdefault('TERM', 'xterm')
    process = subprocess.Popen(
        [SPOWL, 'top', '--namespace', 'red'], stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, 'COLUMNS': '100', 'LINES': '50', 'TERM': 'xterm'},
        start_new_session=True)
    os.close(follower)
    screen = ''
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline and not all(
            word in screen for word in ('decisions,', 'cost value', 'staleness', 'supervisor')):
        screen += os.read(leader, 65536).decode(errors='replace')
    process.send_signal(signal.SIGINT)
    drained = threading.Thread(target=_drain, args=(leader,), daemon=True)
    drained.start()
    assert process.wait(10.0) == 0, screen[-2000:]
    assert 'cost value' in screen and 'staleness' in screen, screen[-2000:]


def _drain(descriptor: int) -> None:
    """Read until the other end is closed."""
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        pass
