# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Between a wheeled robot with a laser and a controller trained on SafetyGymnasium's Point.

`scan`, `odom` and `goal_pose` become the sensors of the Point's contract; the controller's
`command` becomes `cmd_vel`. Stamps are handed on, so that whoever watches the age of the sensors
sees through this node. `spowl_ros.robot.adaptation` has the mathematics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
import sys
import time
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Float64MultiArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.contract import Contract
from spowl_ros.robot import adaptation, conversion
from spowl_ros.ros import process
from spowl_ros.ros.parameters import Parameters, refuse_unknown

FROM_ODOMETRY = ('accelerometer', 'gyro', 'velocimeter', 'magnetometer')
FRAME = 'base_link'
COMMAND_PERIOD = 0.02
LOG_PERIOD_S = 5.0


@dataclass(frozen=True)
class AdapterSettings:
    """The robot's shape and speeds."""

    model: str = setting('', 'directory of the bundle, of which only the contract is read',
                         read_only=True)
    robot_radius: float = setting(0.12, 'radius of the circle around the hull, metres',
                                  low=0.01, high=5.0)
    laser_x: float = setting(0.0, 'laser ahead of the middle of the robot, metres',
                             low=-5.0, high=5.0)
    laser_y: float = setting(0.0, 'laser left of the middle of the robot, metres',
                             low=-5.0, high=5.0)
    laser_yaw: float = setting(0.0, "direction of the laser's x axis, radians",
                               low=-math.pi, high=math.pi)
    speed: float = setting(1.5, 'speed at full thrust, metres a second; 1.5 in training',
                           low=0.01, high=5.0)
    turn_rate: float = setting(3.0, 'turn rate at full command, radians a second; 3 in training',
                               low=0.01, high=10.0)
    acceleration_filter: float = setting(
        0.05, 'time constant of the acceleration taken from odometry, seconds',
        low=0.0, high=1.0, read_only=True)
    command_timeout: float = setting(0.3, 'stop after so many seconds without a command',
                                     low=0.02, high=5.0)


class Adapter(Node):
    """
    Makes the Point's sensors and drives like it.

    :raises SpowlError: a bad parameter
    """

    def __init__(self) -> None:
        super().__init__('adapter', automatically_declare_parameters_from_overrides=True)
        self._table = Parameters(self, AdapterSettings(), applied=self._apply)
        refuse_unknown(self, self._table.settings)
        self._goal: PoseStamped | None = None
        self._accelerometer = adaptation.Accelerometer(
            self._table.settings.acceleration_filter)
        self._drive = adaptation.PointDrive()
        self._apply(self._table.settings)
        self._thrust = self._turn = 0.0
        self._commanded = -math.inf
        self._silent = True
        sensor = qos_profile_sensor_data
        contract = makeable(read_contract(Path(self._settings.model)))
        self._sectors = contract.field('hazards_lidar').size
        self._hazard_radius = float(contract.field('hazards_lidar').hazard_radius or 0.0)
        self._outputs: list[tuple[conversion.Input, Any]] = [
            (entry, self.create_publisher(entry.message_type, entry.topic, sensor))
            for entry in conversion.inputs(contract)]
        self._cmd_vel = self.create_publisher(TwistStamped, 'cmd_vel', 1)
        self.create_subscription(LaserScan, 'scan', self._on_scan, sensor)
        self.create_subscription(Odometry, 'odom', self._on_odom, sensor)
        for durability in (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE):
            # A latched goal is heard whenever we start; RViz's tool publishes a volatile one.
            self.create_subscription(PoseStamped, 'goal_pose', self._on_goal,
                                     QoSProfile(depth=1, durability=durability))
        self.create_subscription(Float64MultiArray, 'command', self._on_command, 1)
        self.create_timer(COMMAND_PERIOD, self._command,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop the robot."""
        self._drive.stop()
        self._publish_velocity()

    def _apply(self, settings: AdapterSettings) -> None:
        self._settings = settings
        self._drive.dynamics = adaptation.PointDynamics(
            greatest_speed=settings.speed, turn_rate_per_command=settings.turn_rate)

    def _on_scan(self, message: LaserScan) -> None:
        s = self._settings
        hits = adaptation.laser_points(
            np.asarray(message.ranges, np.float64), message.angle_min, message.angle_increment,
            message.range_min, message.range_max, (s.laser_x, s.laser_y, s.laser_yaw))
        self._publish(message.header.stamp, adaptation.sense_obstacles(
            hits, self._hazard_radius, s.robot_radius, self._sectors))

    def _on_goal(self, message: PoseStamped) -> None:
        self._goal = message

    def _on_odom(self, message: Odometry) -> None:
        stamp, twist = message.header.stamp, message.twist.twist
        quaternion = message.pose.pose.orientation
        heading = 2.0 * math.atan2(quaternion.z, quaternion.w)
        seconds = stamp.sec + 1e-9 * stamp.nanosec
        felt = self._accelerometer.update(seconds, twist.linear.x, twist.angular.z)
        self._publish(stamp, adaptation.sense_motion(felt, twist.linear.x, twist.angular.z,
                                                     heading))
        if self._goal is None:
            return
        if self._goal.header.frame_id.lstrip('/') != message.header.frame_id.lstrip('/'):
            self.get_logger().error(
                f"goal_pose is in frame '{self._goal.header.frame_id}', odom in "
                f"'{message.header.frame_id}'; send goals in the frame of odom",
                throttle_duration_sec=LOG_PERIOD_S)
            return
        here, goal = message.pose.pose.position, self._goal.pose.position
        self._publish(stamp, adaptation.sense_goal((goal.x, goal.y), here.x, here.y, heading,
                                                   self._sectors))

    def _publish(self, stamp: Any, values: dict[str, np.ndarray]) -> None:
        """Publish the topics whose fields are all among the values."""
        for entry, publisher in self._outputs:
            if values.keys() >= set(entry.names):
                publisher.publish(entry.message(values, stamp, FRAME))

    def _on_command(self, message: Float64MultiArray) -> None:
        if len(message.data) == 2 and all(map(math.isfinite, message.data)):
            self._thrust, self._turn = message.data
            self._commanded = time.monotonic()
            return
        self.get_logger().error(f'command {list(message.data)} is not two numbers; ignored',
                                throttle_duration_sec=LOG_PERIOD_S)

    def _command(self) -> None:
        """Drive as the last command says, as long as it is recent."""
        silent = time.monotonic() - self._commanded > self._settings.command_timeout
        if silent and not self._silent:
            self.get_logger().error('no command any more; the robot is stopped')
        self._silent = silent
        if silent or self._thrust == self._turn == 0.0:
            self._drive.stop()  # the stop action brakes; the Point would glide on
        else:
            self._drive.update(self._thrust, self._turn, COMMAND_PERIOD)
        self._publish_velocity()

    def _publish_velocity(self) -> None:
        message = TwistStamped()
        message.header.stamp, message.header.frame_id = self.get_clock().now().to_msg(), FRAME
        message.twist.linear.x, message.twist.angular.z = self._drive.speed, self._drive.turn_rate
        self._cmd_vel.publish(message)


def makeable(contract: Contract) -> Contract:
    """
    Return the contract if a laser, odometry and a goal pose are enough for it.

    :raises SpowlError: it has other sensors or actuators than the Point in a goal task
    """
    known = (*FROM_ODOMETRY, 'goal_lidar', 'hazards_lidar', 'vases_lidar')
    others = [field.name for field in contract.fields if field.name not in known]
    if others or contract.action.names != ('x', 'z'):
        raise SpowlError(f'the adapter is made for SafetyPointGoal1-v0; {contract.task} needs '
                         f'{", ".join(others) or "other actuators"}')
    return contract


def main(args: Sequence[str] | None = None) -> int:
    """Adapt until interrupted; exit code 2 and one line for a mistake."""
    return process.run(Adapter, args)


if __name__ == '__main__':
    sys.exit(main())
