# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Attacks on the adapter: a robot that lies about its laser, its odometry or its goal.

The adapter runs as a process of its own. It survives an attack if it makes no sensor of the lie,
so that the controller behind it stops, and if /diagnostics says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
from pathlib import Path
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import LaserScan

from benchmarks.robot_stand import NodeProcess, wait_until

START_S = 60.0
TOLD_S = 3.0
PERIOD_S = 0.05


class Robot:
    """Stands, sees nothing near, and has a goal; `lies` change its messages by topic."""

    def __init__(self) -> None:
        self.lies: dict[str, Callable[[Any], None]] = {}
        self.heard = {'hazards_scan': 0.0, 'goal_scan': 0.0}
        """Steady time of the last message on a topic of the adapter."""
        self.said = ''
        self._context = rclpy.Context()
        rclpy.init(context=self._context, args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node('robot', context=self._context)
        self._scan = self.node.create_publisher(LaserScan, 'scan', qos_profile_sensor_data)
        self._odom = self.node.create_publisher(Odometry, 'odom', qos_profile_sensor_data)
        self._goal = self.node.create_publisher(PoseStamped, 'goal_pose', 1)
        for topic in self.heard:
            self.node.create_subscription(
                LaserScan, topic, lambda _, topic=topic: self._hear(topic),
                qos_profile_sensor_data)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.node.create_timer(PERIOD_S, self._publish)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the network."""
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def send_goal(self) -> None:
        """Send a goal 2 m ahead."""
        goal = PoseStamped()
        goal.header.frame_id, goal.pose.position.x = 'odom', 2.0
        goal.header.stamp = self.node.get_clock().now().to_msg()
        self._told(goal, 'goal_pose')
        self._goal.publish(goal)

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Return whether a condition comes true in time."""
        return wait_until(condition, seconds)

    def drives(self) -> bool:
        """Whether the adapter made both sensors just now; without a goal the robot stands."""
        return min(self.heard.values()) > time.monotonic() - 4 * PERIOD_S

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _hear(self, topic: str) -> None:
        self.heard[topic] = time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name in ('adapter: sensors', 'adapter: errand'):
                self.said = f'{self.said}; {status.message}'[-2000:]

    def _publish(self) -> None:
        now = self.node.get_clock().now().to_msg()
        scan = LaserScan(angle_min=-math.pi, angle_max=math.pi - math.pi / 12, range_max=5.0,
                         angle_increment=math.pi / 12, range_min=0.05, ranges=[math.inf] * 24)
        odom = Odometry()
        odom.header.frame_id, odom.pose.pose.orientation.w = 'odom', 1.0
        for message, topic, publisher in ((scan, 'scan', self._scan), (odom, 'odom', self._odom)):
            message.header.stamp = now
            self._told(message, topic)
            publisher.publish(message)

    def _told(self, message: Any, topic: str) -> None:
        if topic in self.lies:
            self.lies[topic](message)


@dataclass(frozen=True)
class AdapterAttack:
    """One lie."""

    name: str
    lie: Callable[[Robot], object]
    words: str
    """Part of what the operator reads."""

    def attempt(self, model: Path) -> tuple[str, str]:
        """Try it once; return what was lost, and what the operator reads."""
        robot = Robot()
        adapter = NodeProcess('adapter', {'model': str(model)})
        try:
            if not robot.wait(lambda: robot.heard['hazards_scan'], START_S):
                raise TimeoutError(f'the adapter hands no scan on: {robot.said}')
            robot.send_goal()
            if not robot.wait(robot.drives, START_S):
                raise TimeoutError(f'the adapter does not drive: {robot.said}')
            robot.said = ''
            self.lie(robot)
            silent = robot.wait(lambda: not robot.drives(), 2.0)
            told = robot.wait(lambda: self.words in robot.said, TOLD_S)
            lost = ('the adapter ends' if adapter.ended else 'it drives on' if not silent
                    or robot.drives() else '' if told else 'the operator is not told')
            said = [text for text in robot.said.split('; ') if self.words in text]
            return lost, said[-1] if said else robot.said[-300:]
        finally:
            adapter.end()
            robot.close()


def adapter_attacks() -> list[AdapterAttack]:
    """Return every attack."""
    return [
        *(AdapterAttack(f'odom: {name}', _lying('odom', lie), words)
          for name, lie, words in ODOM),
        AdapterAttack('odom: stamps that never change', _freeze_stamps, 'does not change'),
        AdapterAttack('odom: a second publisher', _second_odom, '2 publishers'),
        AdapterAttack('scan: a second publisher, all free', _second_scan, '2 publishers'),
        *(AdapterAttack(f'goal_pose: {name}', _goal(lie), words) for name, lie, words in GOAL),
    ]


def _lying(topic: str, lie: Callable[[Any], None]) -> Callable[[Robot], object]:
    def begin(robot: Robot) -> None:
        robot.lies[topic] = lie
    return begin


def _goal(lie: Callable[[Any], None]) -> Callable[[Robot], object]:
    """Cancel the goal by reaching it, then send one that lies."""
    def begin(robot: Robot) -> None:
        robot.lies['odom'] = lambda message: _place(message, 2.0)
        robot.wait(lambda: not robot.drives(), 5.0)
        robot.lies['goal_pose'] = lie
        robot.send_goal()
    return begin


def _place(message: Any, x: float) -> None:
    message.pose.pose.position.x = x


def _stamp(seconds: float) -> Callable[[Any], None]:
    def lie(message: Any) -> None:
        message.header.stamp.sec += int(seconds)
    return lie


def _freeze_stamps(robot: Robot) -> None:
    frozen = robot.node.get_clock().now().to_msg()

    def lie(message: Any) -> None:
        message.header.stamp = frozen
    robot.lies['odom'] = lie


def _unset(message: Any) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def _turned(*quaternion: float) -> Callable[[Any], None]:
    def lie(message: Any) -> None:
        rotation = message.pose.pose.orientation
        rotation.w, rotation.x, rotation.y, rotation.z = quaternion
    return lie


def _nowhere(message: Any) -> None:
    message.header.frame_id = ''


def _elsewhere(message: Any) -> None:
    message.header.frame_id = 'moon'


def _spin_rate(message: Any) -> None:
    message.twist.twist.angular.z = math.nan


ODOM: list[tuple[str, Callable[[Any], None], str]] = [
    ('x not a number', lambda message: _place(message, math.nan), 'not finite'),
    ('x infinite', lambda message: _place(message, math.inf), 'not finite'),
    ('turn rate not a number', _spin_rate, 'not finite'),
    ('x 1e9 m', lambda message: _place(message, 1e9), 'no robot on the ground'),
    ('a leap of 100 m', lambda message: _place(message, 100.0), 'odom moves by'),
    ('stamps 0', _unset, 'not set'),
    ('stamps 1000 s in the future', _stamp(1000), 'future'),
    ('stamps 1000 s in the past', _stamp(-1000), 'went back'),
    ('a quaternion of zeros', _turned(0.0, 0.0, 0.0, 0.0), 'orientation of norm'),
    ('a quaternion of norm 2', _turned(2.0, 0.0, 0.0, 0.0), 'orientation of norm'),
    ('no frame', _nowhere, 'names no frame'),
    ('another frame', _elsewhere, "odom in 'moon'"),
]
"""Lies of the odometry, and what the operator reads of them."""


def _goal_x(x: float) -> Callable[[Any], None]:
    def lie(message: Any) -> None:
        message.pose.position.x = x
    return lie


GOAL: list[tuple[str, Callable[[Any], None], str]] = [
    ('x not a number', _goal_x(math.nan), 'not a position'),
    ('x infinite', _goal_x(math.inf), 'not a position'),
    ('x 1e9 m', _goal_x(1e9), 'not a position'),
    ('no frame', _nowhere, 'names no frame'),
    ('another frame', _elsewhere, "frame 'moon'"),
]
"""Lies of a goal."""


def _second_odom(robot: Robot) -> None:
    publisher = robot.node.create_publisher(Odometry, 'odom', qos_profile_sensor_data)

    def lie(message: Odometry) -> None:
        other = Odometry(header=message.header, pose=message.pose)
        publisher.publish(other)
    robot.lies['odom'] = lie


def _second_scan(robot: Robot) -> None:
    publisher = robot.node.create_publisher(LaserScan, 'scan', qos_profile_sensor_data)
    robot.lies['scan'] = publisher.publish
