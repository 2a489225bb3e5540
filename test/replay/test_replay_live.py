# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bag played onto topics: a controller decides in its shadow, and begins anew when it loops."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray

from spowl_ros.control.bundle import Bundle
from spowl_ros.nodes.player import played_topic
from spowl_ros.ros.qos import EVERY_MESSAGE

pytestmark = pytest.mark.slow

PATIENCE_S = 90.0
LOOPS = 2


def test_what_controllers_said_goes_aside() -> None:
    """A recorded command never reaches an actuator, nor a recorded decision a listener."""
    assert played_topic('/command', aside=True) == '/recorded/command'
    assert played_topic('/robot_1/cmd_vel', aside=True) == '/robot_1/recorded/cmd_vel'
    assert played_topic('/robot_1/controller/decision', aside=False) == (
        '/robot_1/recorded/controller/decision')
    assert played_topic('/diagnostics', aside=False) == '/recorded/diagnostics'
    assert played_topic('/hazards_scan', aside=False) == '/hazards_scan'


def test_the_shadow_decides_and_begins_anew_with_each_loop(
        driver, drive, tmp_path: Path, bundle: Bundle, ros_domain: int) -> None:
    """Commands come on shadow/command only, in the namespace that the bag has."""
    driver.record(tmp_path / 'bag', drive(steps=20, namespace='red'))
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('watcher', context=context)
    shadow: list[Float64MultiArray] = []
    clock: list[float] = []
    node.create_subscription(Float64MultiArray, '/red/shadow/command', shadow.append,
                             EVERY_MESSAGE)
    node.create_subscription(Clock, '/clock', lambda message: clock.append(
        message.clock.sec + message.clock.nanosec * 1e-9), EVERY_MESSAGE)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    process = subprocess.Popen(
        [sys.executable, '-m', 'spowl_ros.cli.main', 'replay', str(tmp_path / 'bag'),
         str(bundle.directory), '--live', '--loop', '--planner', 'policy'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and (_jumps(clock) < LOOPS or not shadow):
            executor.spin_once(timeout_sec=0.1)
        assert node.count_publishers('/red/command') == 0
        assert node.count_publishers('/red/command_raw') == 0
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        node.destroy_node()
        context.try_shutdown()
    assert _jumps(clock) >= LOOPS, said
    assert shadow, said
    assert process.returncode == 0, said
    assert 'plan 0%, policy ' in said and 'policy 0%' not in said, said


def _jumps(clock: list[float]) -> int:
    """Return how often a clock was set back."""
    return sum(after < before for before, after in zip(clock, clock[1:], strict=False))


@pytest.mark.parametrize('bag', ['nothing', 'folder'])
def test_a_wrong_bag_ends_all_with_one_line(bag: str, tmp_path: Path, bundle: Bundle,
                                            ros_domain: int) -> None:
    """The player's complaint is the command's."""
    (tmp_path / 'folder').mkdir()
    done = subprocess.run(
        [sys.executable, '-m', 'spowl_ros.cli.main', 'replay', str(tmp_path / bag),
         str(bundle.directory), '--live'], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert 'bag' in done.stderr.strip().splitlines()[-1]
    assert 'Traceback' not in done.stderr
