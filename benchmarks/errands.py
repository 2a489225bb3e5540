# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Send the example robot one goal after another, and check that it arrives and stands still.

    python -m benchmarks.errands models/SafetyPointGoal1-v0 --seconds 3600 --csv FILE

Runs the real nodes, each in a process: diff_drive, adapter, supervisor and controller. Every fifth
goal is cancelled under way. During every seventh errand a goal in an unknown frame is sent, which
must change nothing. After each errand the robot is watched for some seconds: it must stand still.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
import csv
from dataclasses import asdict, dataclass, replace
import math
from pathlib import Path
import threading
import time

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from benchmarks import run_command
from spowl_ros.base.environment import prepare
from spowl_ros.base.share import share_directory
from spowl_ros.robot.errand import State
from spowl_ros.ros.process import make_executor
from spowl_ros.ros.qos import LATCHED
from spowl_ros.sim.diff_drive import DiffDriveWorld
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

STANDS_S = 3.0
"""Time for which a robot is watched after its errand."""
SETTLE_S = 1.0
"""Time from the end of the errand until the robot rests."""
MOVED = 0.02
"""Tolerance of a standing robot, metres."""
PATIENCE_S = 150.0


@dataclass(frozen=True)
class Outcome:
    """How one errand went."""

    number: int
    state: str
    wanted: str
    seconds: float
    distance: float
    """Metres from the goal, at rest."""
    moved: float
    """Greatest distance from its resting place while it should stand, metres."""

    @property
    def right(self) -> bool:
        """Whether the errand ended as it should, and the robot then stood still."""
        return self.state == self.wanted and self.moved <= MOVED


class Sender(Node):
    """Sends goals as RViz does, unlatched, and follows the robot."""

    def __init__(self, seed: int) -> None:
        super().__init__('sender', start_parameter_services=False)
        self.world = DiffDriveWorld(seed)
        self.odometry: list[tuple[float, float, float]] = []
        """Steady time, x and y, metres."""
        self.statuses: list[State] = []
        self._goals = self.create_publisher(PoseStamped, 'goal_pose', 1)
        self._cancel = self.create_client(Trigger, 'cancel')
        self.create_subscription(Odometry, 'odom', self._on_odom, qos_profile_sensor_data)
        self.create_subscription(
            GoalStatus, 'goal_status',
            lambda message: self.statuses.append(State(message.status)), LATCHED)

    def _on_odom(self, message: Odometry) -> None:
        place = message.pose.pose.position
        self.odometry.append((time.monotonic(), place.x, place.y))

    def send(self, x: float, y: float, frame: str = 'odom') -> None:
        """Publish a goal."""
        message = PoseStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = frame
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation.w = 1.0
        self._goals.publish(message)

    def cancel(self) -> bool:
        """Cancel the errand; return whether there was one."""
        future = self._cancel.call_async(Trigger.Request())
        wait(future.done, 10.0)
        return bool(future.result().success)

    def ready(self) -> bool:
        """Whether adapter and robot are present."""
        return bool(self.odometry) and self._cancel.service_is_ready() and (
            self._goals.get_subscription_count() > 0)

    def errand(self, number: int, cancelled: bool = False, foreign: bool = False) -> Outcome:
        """
        Send the robot somewhere and return how it went.

        :param cancelled: under way
        :param foreign: send another goal, in an unknown frame, under way
        """
        _, x, y = self.odometry[-1]
        self.world.pose[:2] = x, y
        goal = self.world.free_point(self.world.posts, 0.45, 0.7)
        begun = time.monotonic()
        self.statuses.clear()
        self.send(float(goal[0]), float(goal[1]))
        if not wait(lambda: State.DRIVING in self.statuses, 10.0):
            return Outcome(number, 'not taken', 'reached', math.nan, math.nan, math.nan)
        if foreign:
            self.send(0.0, 0.0, 'moon')
        if cancelled:
            wait(lambda: math.dist(self.odometry[-1][1:], (x, y)) > 0.1, 30.0)
            self.cancel()
        ends = {State.REACHED, State.CANCELLED, State.ABORTED}
        wait(lambda: bool(ends & set(self.statuses)), PATIENCE_S)
        ended = time.monotonic()
        time.sleep(SETTLE_S + STANDS_S)
        path = np.array([place[1:] for place in self.odometry if place[0] > ended + SETTLE_S])
        return Outcome(
            number, self.statuses[-1].name.lower(),
            'cancelled' if cancelled else 'reached', ended - begun,
            float(math.dist(path[-1], goal)), float(np.hypot(*(path - path[0]).T).max()))


def wait(condition: Callable[[], bool], timeout: float) -> bool:
    """Return whether a condition became true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def without_margin(spec: system.NodeSpec) -> system.NodeSpec:
    """Let the controller alone avoid hazards: it is what is measured, not the supervisor."""
    return spec if spec.executable != 'supervisor' else replace(
        spec, parameters={**spec.parameters, 'limits.margin_response': 'off'})


@contextlib.contextmanager
def driving(model: Path, seed: int, robot: Path | None = None) -> Iterator[Sender]:
    """
    Run the robot and its controller; return who sends it somewhere.

    :param seed: of the posts
    :param robot: its file; None: the one of the examples
    """
    prepare()
    robot = robot or share_directory() / 'config' / 'robot' / 'diff_drive.yaml'
    specs = (system.NodeSpec('diff_drive', '', {'seed': seed, 'goals': False}),
             *map(without_margin, system.robot(system.RobotArguments(
                 robot=str(robot), model=str(model), released=True, log_level='warn'))))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    sender = Sender(seed)
    executor = make_executor()
    executor.add_node(sender)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        with RunningSystem(specs):
            if not wait(sender.ready, 60.0):
                raise TimeoutError('the robot does not come up')
            yield sender
    finally:
        executor.shutdown()
        thread.join()
        rclpy.try_shutdown()


def main() -> int:
    """Send goals until the time is over; return 1 if one went wrong."""
    parser = argparse.ArgumentParser(description='Send the example robot to many goals.')
    parser.add_argument('model', type=Path)
    parser.add_argument('--seconds', type=float, default=3600.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    outcomes: list[Outcome] = []
    with driving(args.model, args.seed) as sender:
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            number = len(outcomes) + 1
            outcomes.append(sender.errand(number, number % 5 == 0, number % 7 == 0))
            print(outcomes[-1], flush=True)
            sender.odometry = sender.odometry[-1:]
    if args.csv:
        with args.csv.open('w', newline='') as stream:
            table = csv.DictWriter(stream, list(asdict(outcomes[0])))
            table.writeheader()
            table.writerows(map(asdict, outcomes))
    wrong = [outcome for outcome in outcomes if not outcome.right]
    print(f'{len(outcomes)} errands in {args.seconds:g} s, {len(wrong)} went wrong, '
          f'moved at most {max(outcome.moved for outcome in outcomes):.3f} m while standing')
    return int(bool(wrong))


if __name__ == '__main__':
    run_command(main)
