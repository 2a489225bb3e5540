# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The adapter as a process: goals one after another, and messages that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
from pathlib import Path
import time
from typing import Any

from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist
import pytest
from rcl_interfaces.msg import Log
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from std_srvs.srv import Trigger

from benchmarks.errands import driving
from benchmarks.robot_stand import NodeProcess
from spowl_ros.base.share import share_directory
from spowl_ros.ros.messages import build
from spowl_ros.ros.qos import LATCHED

MODEL = share_directory() / 'models' / 'SafetyPointGoal1-v0'
PATIENCE_S = 30.0


@pytest.mark.slow
def test_goals_one_after_another(ros_domain: int) -> None:
    """Each is reached and stood at, cancelled for good, or refused without disturbing another."""
    with driving(MODEL, seed=0) as sender:
        outcomes = [sender.errand(1), sender.errand(2, foreign=True),
                    sender.errand(3, cancelled=True), sender.errand(4)]
    assert all(outcome.right for outcome in outcomes), outcomes
    assert all(outcome.distance < 0.4 for outcome in outcomes if outcome.wanted == 'reached')


class Robot:
    """Publishes what a robot at the origin does, and hears what the adapter says."""

    def __init__(self) -> None:
        self.node: Node = rclpy.create_node('robot')
        self.scans: list[LaserScan] = []
        self.statuses: list[int] = []
        self.diagnoses: list[str] = []
        self.velocities: list[Twist] = []
        self.said: list[str] = []
        self.change: dict[str, Any] = {}
        listen = self.node.create_subscription
        listen(LaserScan, 'hazards_scan', self.scans.append, qos_profile_sensor_data)
        listen(GoalStatus, 'goal_status', lambda m: self.statuses.append(m.status), LATCHED)
        listen(Twist, 'cmd_vel', self.velocities.append, 10)
        listen(DiagnosticArray, '/diagnostics', lambda m: self.diagnoses.extend(
            f'{status.name}: {status.message}' for status in m.status), 10)
        listen(Log, '/rosout', lambda m: self.said.append(m.msg), 10)
        self._scan = self.node.create_publisher(LaserScan, 'scan', qos_profile_sensor_data)
        self.node.create_timer(0.05, self._publish)

    def _publish(self) -> None:
        message = LaserScan(angle_min=-math.pi, angle_increment=math.pi / 12, range_min=0.05,
                            angle_max=math.pi - math.pi / 12, range_max=5.0,
                            ranges=[math.inf] * 23 + [1.0])
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = 'base_link'
        for name, value in self.change.items():
            setattr(message, name, value)
        self._scan.publish(message)

    def wait(self, condition: Callable[[], object]) -> None:
        """Spin until a condition is true."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.diagnoses[-4:]
            rclpy.spin_once(self.node, timeout_sec=0.05)


@pytest.fixture
def robot(ros_domain: int) -> Iterator[Robot]:
    """Return a robot that stands."""
    rclpy.init()
    robot = Robot()
    yield robot
    robot.node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def adapter(untrained_bundle: Path, robot: Robot) -> Iterator[NodeProcess]:
    """Run an adapter whose base hears Twist."""
    process = NodeProcess('adapter', {'model': str(untrained_bundle), 'cmd_vel_type': 'Twist'})
    yield process
    process.end()


@pytest.mark.slow
def test_a_scan_that_is_none_is_silence_with_a_reason(robot: Robot, adapter: NodeProcess) -> None:
    """It is not handed on, /diagnostics says why, and the next good one is; Twist is sent."""
    robot.wait(lambda: robot.scans and robot.velocities)
    assert isinstance(robot.velocities[0], Twist) and robot.velocities[0].linear.x == 0.0
    for change, words in (({'ranges': [math.nan] * 24}, 'not a number'),
                          ({'range_max': 0.0}, 'ranges from'), ({'ranges': []}, 'without beams')):
        robot.change = change
        robot.diagnoses.clear()
        robot.wait(lambda words=words: any(
            'adapter: sensors: scan: ' in text and words in text for text in robot.diagnoses))
        robot.scans.clear()
        robot.diagnoses.clear()
        robot.wait(lambda: robot.diagnoses)
        assert not robot.scans
        robot.change = {}
        robot.wait(lambda: robot.scans)


@pytest.mark.slow
def test_only_goals_sent_since_the_adapter_began_count_and_nobody_warns(
        robot: Robot, untrained_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One of before is told; publishers that latch and those that do not fit."""
    goal = build('geometry_msgs/msg/PoseStamped', {
        'header': {'frame_id': 'odom'}, 'pose': {'position': {'x': 1.0}}})
    latched = robot.node.create_publisher(PoseStamped, 'goal_pose', LATCHED)
    latched.publish(goal)
    adapter = NodeProcess('adapter', {'model': str(untrained_bundle)})
    try:
        robot.wait(lambda: any('sent before this node began' in text for text in robot.said))
        assert not robot.statuses
        latched.publish(goal)
        robot.wait(lambda: robot.statuses == [GoalStatus.STATUS_ACCEPTED])
        time.sleep(0.3)  # until it has stopped asking
        volatile = robot.node.create_publisher(PoseStamped, 'goal_pose', 1)
        robot.wait(volatile.get_subscription_count)
        goal.header.stamp = robot.node.get_clock().now().to_msg()
        goal.header.stamp.sec -= 60
        volatile.publish(goal)
        robot.wait(lambda: any('goal_pose refused: a message with a stamp' in text
                               for text in robot.said))
        assert len(robot.statuses) == 1
        goal.header.stamp.sec += 60
        volatile.publish(goal)
        robot.wait(lambda: len(robot.statuses) > 1)
        cancel = robot.node.create_client(Trigger, 'cancel')
        assert cancel.wait_for_service(30.0)
        cancel.call_async(Trigger.Request())
        robot.wait(lambda: robot.statuses[-1] == GoalStatus.STATUS_CANCELED)
        told = len(robot.statuses)
        robot.node.destroy_publisher(volatile)  # else it warns of the subscription that latches
        robot.node.create_publisher(PoseStamped, 'goal_pose', LATCHED)  # so that it asks all
        time.sleep(3.0)
        assert len(robot.statuses) == told, 'it took a goal of before the cancellation'
    finally:
        adapter.end()
    assert 'incompatible' not in adapter.output + capfd.readouterr().err
