# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A simulated differential-drive robot with a laser; publishes what a real driver does."""

from __future__ import annotations

from dataclasses import dataclass
import math
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import LaserScan

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import fixed
from spowl_ros.control.contract import ActionSpec
from spowl_ros.robot.command import GROUND_AXES, TWISTS, CommandFormat
from spowl_ros.ros import diagnostics
from spowl_ros.ros.ages import MessageInfo, too_old
from spowl_ros.ros.callbacks import every
from spowl_ros.ros.frames import Frames, prefix_of
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.qos import LATCHED
from spowl_ros.sim.diff_drive import SPEED, TURN_RATE, DiffDriveWorld, urdf

PERIOD = 0.04  # between two measurements of odometry and laser, seconds
GROUND = ActionSpec(GROUND_AXES, (-SPEED, -TURN_RATE), (SPEED, TURN_RATE), 'velocity', (0.0, 0.0))
"""Greatest speeds of the motors: metres and radians a second."""


@dataclass(frozen=True)
class DiffDriveSettings:
    """The simulated robot and its world."""

    seed: int = fixed(0, 'seed of posts and goals', low=0)
    beams: int = fixed(360, 'beams of the laser over the full circle', low=8, high=7200)
    scan_range: float = fixed(5.0, 'greatest range of the laser, metres', low=0.5, high=100.0)
    odom_frame: str = fixed('odom', 'frame of the pose and the goal, after the namespace')
    base_frame: str = fixed('base_link', 'frame of velocities and the laser, after the namespace')
    goals: bool = fixed(True, 'send a goal, and the next goal when one is reached')
    cmd_vel_type: str = fixed('TwistStamped', 'message type of `cmd_vel`', choices=TWISTS)
    command_timeout: float = fixed(0.25, 'seconds without a command after which the robot stops; '
                                   'an older one is refused', low=0.05, high=5.0)


class DiffDriveRobot(Node):
    """
    Drives by `cmd_vel`; publishes `odom`, `scan`, `goal_pose` and its frames.

    :raises SpowlError: a bad parameter
    """

    def __init__(self) -> None:
        super().__init__('diff_drive', automatically_declare_parameters_from_overrides=True)
        self.settings = Parameters(self, DiffDriveSettings()).settings
        self.world = DiffDriveWorld(self.settings.seed)
        self._command = (0.0, 0.0)
        self._commanded = -math.inf
        self._nearest = math.inf
        prefix = prefix_of(self)
        self._odom_frame = prefix + self.settings.odom_frame
        self._base_frame = prefix + self.settings.base_frame
        self._frames = Frames(self, urdf(self.settings.base_frame), self._odom_frame)
        self._odom = self.create_publisher(Odometry, 'odom', qos_profile_sensor_data)
        self._scan = self.create_publisher(LaserScan, 'scan', qos_profile_sensor_data)
        self._format = CommandFormat(self.settings.cmd_vel_type, GROUND)
        self._hearers = 0
        self._goal: Publisher[PoseStamped] | None = None
        if self.settings.goals:
            self._goal = self.create_publisher(PoseStamped, 'goal_pose', LATCHED)
        else:
            self.world.goal = np.full(2, np.inf)  # never reached
        self.create_subscription(message_class(self._format.type), 'cmd_vel',
                                 self._on_command, 1)
        every(self, PERIOD, self._tick)
        self._diagnostics = diagnostics.Diagnostics(self, self._examine)
        self._publish_goal()

    def close(self) -> None:
        """Log the result."""
        print(f'diff_drive: {self.world.goals} goals, {self.world.collisions} collisions, '
              f'least clearance {self._nearest:.2f} m', file=sys.stderr)

    def _on_command(self, message: Any, info: MessageInfo) -> None:
        try:
            if stale := too_old(info, self.settings.command_timeout):
                raise SpowlError(stale)
            speed, turn_rate = self._format.to_command(message).tolist()
        except SpowlError as error:
            self.get_logger().error(f'{error}; the robot is stopped', throttle_duration_sec=5.0)
            self._commanded = -math.inf
            return
        self._command = speed, turn_rate
        self._commanded = time.monotonic()

    def _tick(self) -> None:
        """Move for one period, then publish the robot's sensors."""
        silent = time.monotonic() - self._commanded > self.settings.command_timeout
        reached = self.world.step(*((0.0, 0.0) if silent else self._command), PERIOD)
        if self._is_heard_anew() or reached:
            self._publish_goal()
        self._nearest = min(self._nearest, self.world.clearance())
        self._publish_odom()
        self._publish_scan()

    def _publish_odom(self) -> None:
        message = Odometry()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._odom_frame
        message.child_frame_id = self._base_frame
        x, y, heading = self.world.pose
        position, orientation = message.pose.pose.position, message.pose.pose.orientation
        position.x, position.y = float(x), float(y)
        orientation.w, orientation.z = math.cos(heading / 2), math.sin(heading / 2)
        message.twist.twist.linear.x = self.world.speed
        message.twist.twist.angular.z = self.world.turn_rate
        self._odom.publish(message)
        self._frames.publish(lambda: [(
            self._odom_frame, self._base_frame, (position.x, position.y, 0.0),
            (orientation.w, 0.0, 0.0, orientation.z))], message.header.stamp)

    def _publish_scan(self) -> None:
        message = LaserScan()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._base_frame
        message.angle_min, message.angle_increment = -math.pi, 2 * math.pi / self.settings.beams
        message.angle_max = math.pi - message.angle_increment
        message.scan_time = PERIOD
        message.range_min, message.range_max = 0.02, self.settings.scan_range
        message.ranges = self.world.scan(self.settings.beams,
                                         self.settings.scan_range).astype(np.float32)
        self._scan.publish(message)

    def _is_heard_anew(self) -> bool:
        """Return whether another node hears the goals, as an adapter that has begun."""
        before, self._hearers = self._hearers, 0 if self._goal is None else (
            self._goal.get_subscription_count())
        return self._hearers > before

    def _publish_goal(self) -> None:
        if self._goal is None:
            return
        message = PoseStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._odom_frame
        message.pose.position.x, message.pose.position.y = map(float, self.world.goal)
        message.pose.orientation.w = 1.0
        self._goal.publish(message)

    def _examine(self) -> list[DiagnosticStatus]:
        world = self.world
        return [diagnostics.status(
            f'{self._diagnostics.name}: drive', diagnostics.OK,
            f'{world.goals} goals, {world.collisions} collisions',
            [('goals', world.goals), ('collisions', world.collisions),
             ('least_clearance', self._nearest), ('speed', world.speed)], 'diff_drive')]


NODE = DiffDriveRobot
