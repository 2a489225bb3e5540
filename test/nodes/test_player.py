# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The player as a process of its own, heard by real subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64, String

from spowl_ros.bags.writer import BagWriter
from spowl_ros.ros.recorded_qos import stored

PATIENCE_S = 60.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TIMELY = QoSProfile(depth=5, deadline=Duration(seconds=2), lifespan=Duration(seconds=9))


@pytest.fixture
def listener(ros_domain: int) -> Iterator[Node]:
    """Return a node in a domain of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('listener', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Return a bag of 20 seconds: a text said once at the beginning, and sensors."""
    writer = BagWriter(tmp_path / 'bag')
    said = writer.add_topic('/said', 'std_msgs/msg/String', [stored(LATCHED)])
    sensor = writer.add_topic('/sensor', 'std_msgs/msg/Float64', [stored(qos_profile_sensor_data)])
    timely = writer.add_topic('/timely', 'std_msgs/msg/Float64', [stored(TIMELY)])
    plain = writer.add_topic('/plain', 'std_msgs/msg/Float64')
    writer.write(said, 10**9, serialize_message(String(data='once')))
    for index in range(200):
        for topic in (sensor, timely, plain):
            writer.write(topic, 10**9 + index * 10**8, serialize_message(Float64(data=1.0)))
    writer.close()
    return writer.path


@pytest.fixture
def player(bag: Path, listener: Node) -> Iterator[subprocess.Popen[str]]:
    """Play the bag."""
    process = subprocess.Popen([Path(sys.executable).parent / 'player', '--ros-args', '-p',
                                f'path:={bag}', '-p', 'wait:=0.0'])
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(20)


def test_topics_are_played_with_the_quality_they_were_recorded_with(
        listener: Node, player: subprocess.Popen[str]) -> None:
    """Latched stays latched: who comes late hears what was said once; sensors stay best effort."""
    executor = SingleThreadedExecutor(context=listener.context)
    executor.add_node(listener)
    sensed: list[float] = []
    listener.create_subscription(Float64, '/sensor', lambda message: sensed.append(message.data),
                                 qos_profile_sensor_data)
    deadline = time.monotonic() + PATIENCE_S
    while not sensed:
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.1)
    late: list[str] = []  # what was said has been said by now
    listener.create_subscription(String, '/said', lambda message: late.append(message.data),
                                 LATCHED)
    while not late:
        assert time.monotonic() < deadline
        executor.spin_once(timeout_sec=0.1)
    assert late == ['once']
    offered = {name: listener.get_publishers_info_by_topic(name)[0].qos_profile
               for name in ('/said', '/sensor', '/timely', '/plain')}
    assert {name: (profile.reliability, profile.durability) for name, profile
            in offered.items()} == {
        '/said': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
        '/sensor': (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
        '/timely': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
        '/plain': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)}
    assert offered['/timely'].deadline == TIMELY.deadline
    assert offered['/timely'].lifespan == TIMELY.lifespan
