# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishes the topics of a simulated robot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64, Header
from visualization_msgs.msg import MarkerArray

from spowl_ros.base.names import BEGIN_TOPIC
from spowl_ros.control.contract import Contract
from spowl_ros.robot.topics import FRAME, Topic, topics
from spowl_ros.ros.diagnostics import OK, stamped, status
from spowl_ros.ros.frames import Frames, Transform, prefix_of
from spowl_ros.ros.markers import markers
from spowl_ros.ros.messages import build, message_class, to_stamp
from spowl_ros.ros.qos import EVERY_MESSAGE, KEPT
from spowl_ros.sim.body import Body
from spowl_ros.sim.scene import SimulatedScene

ODOM = 'odom'
_LAST_MESSAGES = Duration(seconds=1)


class RobotTopics:
    """
    Publishes sensors, clock, outcomes, the scene and the frames of one robot.

    The namespace is the prefix of all frames but the world's.
    """

    def __init__(self, node: Node, clock: Publisher[Any], contract: Contract,
                 body: Body | None) -> None:
        self._node = node
        self._clock = clock
        self._contract = contract
        self._slices = contract.slices
        self._sensors: list[tuple[Topic, Publisher[Any]]] = [
            (entry, node.create_publisher(message_class(entry.type), entry.topic,
                                          qos_profile_sensor_data)) for entry in topics(contract)]
        self._reward = node.create_publisher(Float64, 'reward', EVERY_MESSAGE)
        self._cost = node.create_publisher(Float64, 'cost', EVERY_MESSAGE)
        self._markers = node.create_publisher(MarkerArray, '~/markers', EVERY_MESSAGE)
        self._episode = node.create_publisher(DiagnosticArray, '~/episode', KEPT)
        self._begin = node.create_publisher(Header, BEGIN_TOPIC, KEPT)
        self._path: list[tuple[float, float, float]] = []
        self._body = body
        self._prefix = prefix_of(node)
        self._frames = Frames(node, body.urdf, self._prefix + ODOM) if body is not None else None

    def clock(self, time_ns: int) -> None:
        """Publish the simulated time, nanoseconds."""
        self._clock.publish(Clock(clock=to_stamp(time_ns)))

    def begin(self, time_ns: int) -> None:
        """
        Announce that an episode begins, and wait for acknowledgements, at most a second.

        :param time_ns: of its first measurement, nanoseconds
        """
        self._begin.publish(Header(stamp=to_stamp(time_ns)))
        self._begin.wait_for_all_acked(_LAST_MESSAGES)

    def sensors(self, observation: NDArray[np.float32], time_ns: int) -> None:
        """Publish every sensor of an observation, shape (n,), measured at a time, nanoseconds."""
        values = {name: observation[part] for name, part in self._slices.items()}
        for entry, publisher in self._sensors:
            publisher.publish(build(entry.type, entry.content(
                values, time_ns, self._prefix + FRAME)))

    def outcome(self, reward: float, cost: float) -> None:
        """Publish reward and cost of a decision."""
        self._reward.publish(Float64(data=reward))
        self._cost.publish(Float64(data=cost))

    def scene(self, scene: Callable[[], SimulatedScene], time_ns: int, begins: bool) -> None:
        """
        Publish the frames and the scene, if anybody subscribes.

        :param begins: whether an episode begins, and with it a new path
        """
        if begins:
            self._path.clear()
        if self._frames is not None:
            self._frames.publish(self._transforms, to_stamp(time_ns))
        if self._markers.get_subscription_count():
            now = scene()
            self._path.append(now.robot)
            self._markers.publish(markers(now, self._path, to_stamp(time_ns)))

    def _transforms(self) -> Iterator[Transform]:
        """Return the pose of each link in its parent, the root's in the frame of odometry."""
        assert self._body is not None  # else nobody asks
        for link in self._body.links():
            yield (self._prefix + (link.parent or ODOM), self._prefix + link.name,
                   link.pose.position, link.pose.orientation)

    def episode(self, number: int, values: Mapping[str, float], time_ns: int) -> None:
        """
        Publish the result of an episode.

        :param number: 1 for the first
        """
        self._episode.publish(stamped(to_stamp(time_ns), status(
            f'{self._node.get_name()}: episode', OK, f'episode {number} ended',
            values.items(), self._contract.task)))

    def unheard(self) -> list[str]:
        """Return the sensor topics that nobody subscribes to."""
        return [publisher.topic_name for _, publisher in self._sensors
                if not publisher.get_subscription_count()]

    def reaches(self, listener: str) -> bool:
        """
        Whether every known subscriber of a sensor would receive it.

        :param listener: name of a node that must be among them; empty: none
        """
        for entry, publisher in self._sensors:
            known = self._node.get_subscriptions_info_by_topic(entry.topic)
            absent = listener and listener not in [info.node_name for info in known]
            if absent or publisher.get_subscription_count() < len(known):
                return False
        return True

    def flush(self) -> None:
        """Wait until each kind of outcome is acknowledged, at most a second for each."""
        for publisher in (self._reward, self._cost, self._episode):
            publisher.wait_for_all_acked(_LAST_MESSAGES)
