# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Connects a wheeled robot with a laser to a controller trained on SafetyGymnasium's Point.

`scan`, `odom` and `goal_pose` become the sensors of the Point's contract; the controller's
`command` becomes `cmd_vel`. The sensors keep the stamps of the robot's messages, so their ages
stay true behind this node. A message without a clear meaning is refused, and its sensor is then
silent. `spowl_ros.robot.adaptation` has the mathematics.

Each goal is an errand (`spowl_ros.robot.errand`): `goal_status` gives its state and `cancel` ends
it. Without an errand the robot stands and no `goal_scan` is published.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
import threading
import time
from typing import Any

from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import fixed, setting
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.signature import of_key
from spowl_ros.control.validity import InvalidReading, Stamps
from spowl_ros.robot import adaptation
from spowl_ros.robot.command import GROUND_AXES, TWISTS, CommandFormat
from spowl_ros.robot.errand import Errand, Goal, State
from spowl_ros.robot.topics import FRAME, FirstFrames, topics
from spowl_ros.ros import diagnostics
from spowl_ros.ros.ages import MessageInfo, stamped_too_long_ago, too_old
from spowl_ros.ros.callbacks import every, serve
from spowl_ros.ros.discovery import check_one_publisher
from spowl_ros.ros.last_command import publish_last
from spowl_ros.ros.messages import build, message_class, nanoseconds
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.process import LOG_PERIOD_S
from spowl_ros.ros.qos import LATCHED

COMMAND_PERIOD = 0.02
_OLDEST_NS, _FUTURE_NS = 10**9, 10**8
"""Greatest age of a measurement, and how far it may lie ahead of the clock; nanoseconds."""
_ANSWER_S = 3.0
"""Longest wait for the message of a latched publisher, seconds."""
_SENT_S = 10.0
"""Greatest difference between a new goal's stamp and the clock, seconds."""
_RECENT_S = 2.0
"""How long a refusal is reported, seconds."""


@dataclass(frozen=True)
class AdapterSettings:
    """The robot's shape and speeds."""

    model: str = fixed('', 'directory of the bundle; only its contract is read')
    require_signature: str = fixed('', 'public key (PEM) with which the bundle must be signed, '
                                   'checked before anything of it is parsed; empty: no signature '
                                   'is wanted')
    robot_radius: float = setting(0.12, 'radius of a circle that holds the hull, metres',
                                  low=0.01, high=5.0)
    laser_x: float = setting(0.0, 'laser ahead of the middle of the robot, metres',
                             low=-5.0, high=5.0)
    laser_y: float = setting(0.0, 'laser left of the middle of the robot, metres',
                             low=-5.0, high=5.0)
    laser_yaw: float = setting(0.0, "direction of the laser's x axis, radians",
                               low=-math.pi, high=math.pi)
    speed: float = fixed(adaptation.GREATEST_SPEED, 'speed at full thrust, metres a second; 1.5 '
                         "in training; the supervisor's `limits.top_speed` and "
                         '`limits.acceleration` must allow it',
                         low=0.01, high=5.0)
    turn_rate: float = setting(3.0, 'turn rate at full command, radians a second; 3 in training',
                               low=0.01, high=10.0)
    acceleration_filter: float = fixed(0.05, 'time constant of the acceleration taken from '
                                       'odometry, seconds', low=0.0, high=1.0)
    cmd_vel_type: str = fixed('TwistStamped', 'message type of `cmd_vel`', choices=TWISTS)
    goal_tolerance: float = setting(0.3, "metres from the robot's centre to the goal at which it "
                                    'is reached; 0.3 in training', low=0.01, high=3.0)
    goal_timeout: float = setting(120.0, 'seconds after which a goal is given up; 0: never',
                                  low=0.0, high=86400.0)
    command_timeout: float = setting(0.3, 'seconds without a command after which the robot stops; '
                                     'an older one is refused', low=0.02, high=5.0)


class Adapter(Node):
    """
    Makes the Point's sensors and drives like it.

    :raises SpowlError: a bad parameter
    """

    def __init__(self) -> None:
        super().__init__('adapter', automatically_declare_parameters_from_overrides=True)
        self._drive = adaptation.PointDrive()
        self._errand = Errand(0.0, 0.0)
        self._apply(Parameters(self, AdapterSettings(), applied=self._apply).settings)
        self._accelerometer = adaptation.Accelerometer(self._settings.acceleration_filter)
        self._thrust = self._turn = 0.0
        self._commanded = -math.inf
        self._silent = True
        self._closed, self._sending = False, threading.Lock()
        self._settled_ns = time.time_ns()
        """System clock when this node began, or when a goal was last accepted or cancelled."""
        self._refused: dict[str, tuple[int, str, float]] = {}
        """Topic to number of refused messages, and reason and steady time of the last."""
        self._looks = (False, False)
        """Whether the laser sees ahead, and back."""
        self._consistency = adaptation.OdometryConsistency()
        self._frames = FirstFrames()
        self._stamps = {topic: Stamps(_OLDEST_NS, _FUTURE_NS) for topic in ('scan', 'odom')}
        contract = adaptation.makeable(read_contract(
            Path(self._settings.model), of_key(self._settings.require_signature)))
        self._sectors = contract.field('hazards_lidar').size
        self._hazard_radius = float(contract.field('hazards_lidar').hazard_radius or 0.0)
        sensor = qos_profile_sensor_data
        self._outputs = [
            (entry, self.create_publisher(message_class(entry.type), entry.topic, sensor))
            for entry in topics(contract)]
        self._format = CommandFormat(self._settings.cmd_vel_type, contract.action, GROUND_AXES,
                                     FRAME)
        self._cmd_vel = self.create_publisher(message_class(self._format.type),
                                              adaptation.OUTPUT, 1)
        self._status = self.create_publisher(GoalStatus, 'goal_status', LATCHED)
        self._told: tuple[int, State] = (0, State.NONE)
        self.create_subscription(LaserScan, 'scan', self._on_scan, sensor)
        self.create_subscription(Odometry, 'odom', self._on_odom, sensor)
        self.create_subscription(PoseStamped, 'goal_pose', self._on_goal, 1)
        self._latched: Subscription[PoseStamped] | None = None
        self._asked: set[bytes] = set()
        self._answer_due = math.inf
        self.create_subscription(Float64MultiArray, 'command', self._on_command, 1)
        serve(self, Trigger, 'cancel', self._on_cancel)
        every(self, COMMAND_PERIOD, self._command)
        self._diagnostics = diagnostics.Diagnostics(self, self._examine)

    def close(self) -> None:
        """Stop the robot for good, while the executor still runs in its own thread."""
        with self._sending:
            self._closed = True
        self._drive.stop()
        publish_last(self._cmd_vel, self._velocity())

    def _apply(self, settings: AdapterSettings) -> None:
        self._settings = settings
        self._drive.greatest_speed = settings.speed
        self._drive.turn_rate_per_command = settings.turn_rate
        self._errand.tolerance = settings.goal_tolerance
        self._errand.timeout = settings.goal_timeout or math.inf

    # Sensors

    def _on_scan(self, message: LaserScan) -> None:
        s = self._settings
        try:
            self._check_origin('scan', message)
            mounting = s.laser_x, s.laser_y, s.laser_yaw
            hits = adaptation.read_laser(message, mounting, s.robot_radius, self._hazard_radius)
        except InvalidReading as error:
            self._refuse('scan', error)
            return
        self._looks = adaptation.looks(len(message.ranges), message.angle_min,
                                       message.angle_increment, mounting, s.robot_radius)
        self._publish(message.header.stamp, adaptation.sense_obstacles(
            hits, self._hazard_radius, s.robot_radius, self._sectors))

    def _on_odom(self, message: Odometry) -> None:
        stamp = message.header.stamp
        seconds = stamp.sec + 1e-9 * stamp.nanosec
        try:
            self._check_origin('odom', message)
            motion = adaptation.read_odometry(message)
        except InvalidReading as error:
            self._refuse('odom', error)
            return
        try:
            self._consistency.check(motion, seconds, self._settings.speed,
                                    self._settings.turn_rate)
        except InvalidReading as error:
            self._refuse('odom', error)
            self._errand.abort(str(error))
            self._tell()
            return
        felt = self._accelerometer.update(seconds, motion.speed, motion.turn_rate)
        self._publish(stamp, adaptation.sense_motion(felt, motion.speed, motion.turn_rate,
                                                     motion.heading))
        try:
            self._errand.be_at(motion.x, motion.y, motion.frame, time.monotonic())
        except SpowlError as error:
            self._refuse('goal_pose', error)
        self._tell()
        goal = self._errand.goal
        if self._errand.driving and goal is not None:
            self._publish(stamp, adaptation.sense_goal(
                (goal.x, goal.y), motion.x, motion.y, motion.heading, self._sectors))

    def _check_origin(self, topic: str, message: Any) -> None:
        """
        Check a message's stamp and frames, and that its topic has one publisher.

        :raises InvalidReading: a bad stamp; or several publishers, which may contradict each
            other; or another frame, as where one relay publishes what two lasers see
        """
        check_one_publisher(self, topic)
        self._frames.check(topic, message)
        self._stamps[topic].check(nanoseconds(message.header.stamp),
                                  self.get_clock().now().nanoseconds)

    def _refuse(self, topic: str, error: SpowlError) -> None:
        """Record why a message is no reading; its sensor is then silent."""
        count, _, _ = self._refused.get(topic, (0, '', 0.0))
        self._refused[topic] = count + 1, str(error), time.monotonic()
        self.get_logger().error(f'{topic} refused: {error}', throttle_duration_sec=LOG_PERIOD_S)

    def _publish(self, stamp: Any, values: dict[str, np.ndarray]) -> None:
        """Publish the topics for which all fields are given."""
        for entry, publisher in self._outputs:
            if values.keys() >= set(entry.names):
                publisher.publish(build(entry.type, entry.content(values, nanoseconds(stamp))))

    # Errands

    def _on_goal(self, message: PoseStamped) -> None:
        place, header = message.pose.position, message.header
        goal = Goal(place.x, place.y, header.frame_id, nanoseconds(header.stamp))
        try:
            if goal != self._errand.goal and (old := stamped_too_long_ago(message, self, _SENT_S)):
                raise SpowlError(old)
            if self._errand.send(goal, time.monotonic()):
                self._settled_ns = time.time_ns()
                self._tell()
        except SpowlError as error:
            self._refuse('goal_pose', error)

    def _on_cancel(self, _: Trigger.Request) -> str:
        self._settled_ns = time.time_ns()
        if not self._errand.cancel():
            raise SpowlError(f'no goal to cancel: {self._errand.reason}')
        self._tell()
        return 'cancelled; the robot stops'

    def _tell(self) -> None:
        """Publish the state of the goal, if it is new."""
        news = self._errand.number, self._errand.state
        if news == self._told:
            return
        self._told = news
        message = GoalStatus(status=self._errand.state.value)
        message.goal_info.stamp = self.get_clock().now().to_msg()
        message.goal_info.goal_id.uuid = np.frombuffer(
            self._errand.number.to_bytes(16, 'big'), np.uint8)
        self._status.publish(message)
        self.get_logger().info(f'goal {self._errand.number}: {self._errand.reason}')

    def _ask_for_latched(self) -> None:
        """
        Ask each latched publisher for a goal that it sent before the two knew of each other.

        The other subscription receives all later goals. A latched subscription makes other
        publishers warn, so it is destroyed as soon as it has been answered.
        """
        latched = {
            bytes(info.endpoint_gid) for info in
            self.get_publishers_info_by_topic('goal_pose')
            if info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL}
        if latched - self._asked and self._latched is None:
            self._latched = self.create_subscription(PoseStamped, 'goal_pose', self._on_latched,
                                                     LATCHED)
            self._answer_due = time.monotonic() + _ANSWER_S
        self._asked |= latched

    def _on_latched(self, message: PoseStamped, info: MessageInfo) -> None:
        """
        Take a goal that was missed, unless a later goal or a cancellation has settled it.

        One of before this node began may have been cancelled then: the robot waits for another.
        """
        self._answer_due = -math.inf
        if info['source_timestamp'] > self._settled_ns:
            self._on_goal(message)
        elif self._errand.goal is None:
            self.get_logger().warning('a goal that was sent before this node began is not '
                                      'followed; send it again')

    def _forget_latched(self) -> None:
        if self._latched is not None and time.monotonic() >= self._answer_due:
            self.destroy_subscription(self._latched)
            self._latched = None

    # Commands

    def _on_command(self, message: Float64MultiArray, info: MessageInfo) -> None:
        try:
            check_one_publisher(self, 'command')
            self._check_alone()
            if stale := too_old(info, self._settings.command_timeout):
                raise SpowlError(stale)
            if len(message.data) != 2 or not all(map(math.isfinite, message.data)):
                raise SpowlError(f'{list(message.data)[:9]} is not two numbers')
        except SpowlError as error:
            self._commanded = -math.inf
            self._refuse('command', error)
            return
        self._thrust, self._turn = message.data
        self._commanded = time.monotonic()

    def _check_alone(self) -> None:
        """
        Check that nobody else commands the wheels, who would hear both.

        :raises InvalidReading: somebody does
        """
        try:
            check_one_publisher(self, adaptation.OUTPUT)
        except InvalidReading as error:
            raise InvalidReading(f'{self._cmd_vel.topic_name} has {error}') from None

    def _command(self) -> None:
        """Carry out the last command while it is recent and there is an errand."""
        now = time.monotonic()
        self._errand.tick(now)
        self._tell()
        self._forget_latched()
        silent = not now - self._commanded <= self._settings.command_timeout
        if silent and not self._silent:
            self.get_logger().error('no command any more; the robot is stopped')
        self._silent = silent
        if silent or not self._errand.driving or self._thrust == self._turn == 0.0:
            self._drive.stop()  # the stop action brakes; the Point would glide on
        else:
            self._drive.update(self._thrust, self._turn, COMMAND_PERIOD)
            ahead, back = self._looks
            if self._drive.speed > 0.0 and not ahead or self._drive.speed < 0.0 and not back:
                self._drive.speed = 0.0  # what nobody sees is not free
                self.get_logger().warning(
                    'the robot does not drive where its laser does not look', once=True)
        with self._sending:
            if not self._closed:
                self._cmd_vel.publish(self._velocity())

    def _velocity(self) -> Any:
        return build(self._format.type, self._format.content(
            [self._drive.speed, self._drive.turn_rate], self.get_clock().now().nanoseconds))

    # Diagnostics

    def _examine(self) -> list[DiagnosticStatus]:
        self._ask_for_latched()
        name, errand = self._diagnostics.name, self._errand
        now = time.monotonic()
        fresh = [f'{topic}: {reason}' for topic, (_, reason, when) in self._refused.items()
                 if now - when < _RECENT_S]
        ended = errand.state in (State.CANCELLED, State.ABORTED)
        return [
            diagnostics.status(
                f'{name}: sensors', diagnostics.ERROR if fresh else diagnostics.OK,
                '; '.join(fresh) or 'nothing refused',
                [(f'{topic}_refused', count) for topic, (count, _, _) in self._refused.items()]),
            diagnostics.status(
                f'{name}: errand', diagnostics.WARN if ended else diagnostics.OK,
                f'{errand.state.name.lower()}: {errand.reason}',
                [('goal', errand.number), ('distance_m', f'{errand.distance:.3f}')])]


NODE = Adapter
