# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The last command of a node reaches whoever listens, and nobody waits for it for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Float64

from spowl_ros.ros.last_command import LONGEST_S, publish_last
from spowl_ros.ros.process import parent_is_frozen

LISTENER = textwrap.dedent("""
    import rclpy
    from std_msgs.msg import Float64
    rclpy.init()
    node = rclpy.create_node('listener')
    node.create_subscription(Float64, 'command', lambda message: print(message.data, flush=True),
                             1)
    rclpy.spin(node)
""")


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    """Return a node in a domain of its own."""
    rclpy.init()
    node = rclpy.create_node('speaker')
    yield node
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def listener(node: Node) -> Iterator[subprocess.Popen[str]]:
    """Return a process that listens to commands and writes them."""
    process = subprocess.Popen([sys.executable, '-c', LISTENER], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    yield process
    process.kill()
    process.wait()


def matched(node: Node) -> rclpy.publisher.Publisher:
    """Return a publisher that somebody listens to."""
    publisher = node.create_publisher(Float64, 'command', 1)
    end = time.monotonic() + 20.0
    while not publisher.get_subscription_count():
        assert time.monotonic() < end
        time.sleep(0.01)
    return publisher


def freeze(process: subprocess.Popen[str]) -> None:
    """Stop all threads of a process; those that run on another core stop a little later."""
    process.send_signal(signal.SIGSTOP)
    threads = Path(f'/proc/{process.pid}/task')
    while not all(parent_is_frozen(int(thread.name)) for thread in threads.iterdir()):
        time.sleep(0.001)


def test_it_arrives_before_its_publisher_goes(node: Node, listener: subprocess.Popen[str]) -> None:
    """Of commands whose publisher is destroyed at once, each is heard."""
    assert listener.stdout is not None
    for number in range(8):
        publisher = matched(node)
        assert publish_last(publisher, Float64(data=float(number)))
        node.destroy_publisher(publisher)
        assert listener.stdout.readline().strip() == str(float(number))


def test_a_listener_that_hangs_is_not_waited_for(node: Node,
                                                 listener: subprocess.Popen[str]) -> None:
    """The wait ends in its time, and says that nobody acknowledged."""
    publisher = matched(node)
    freeze(listener)
    began = time.monotonic()
    assert not publish_last(publisher, Float64())
    assert LONGEST_S <= time.monotonic() - began < LONGEST_S + 2.0
    listener.send_signal(signal.SIGCONT)


def test_nobody_who_listens_is_not_waited_for(node: Node) -> None:
    """Without a listener it returns at once."""
    began = time.monotonic()
    assert publish_last(node.create_publisher(Float64, 'command', 1), Float64())
    assert time.monotonic() - began < LONGEST_S
