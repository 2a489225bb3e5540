# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Publishes a simulated robot's description and its frames: `robot_description`, `/tf`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.qos import LATCHED

WORLD = 'world'
"""Frame of the scene."""
TRANSFORMS = 'tf2_msgs/msg/TFMessage'
"""Part of every ROS installation; there is no wheel of it."""
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Transform = tuple[str, str, Vector, Quaternion]
"""Parent frame, child frame, metres, and w, x, y, z."""
HERE: tuple[Vector, Quaternion] = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)


class Frames:
    """
    Publishes the description once, and transforms at any time.

    The frame of odometry is where the scene's is. Without tf2_msgs, which comes with a ROS
    installation and not with wheels, no transforms are published; the log says so at level debug.

    :param urdf: the description
    :param odom: name of the frame of odometry
    """

    def __init__(self, node: Node, urdf: str, odom: str) -> None:
        self._description = node.create_publisher(String, 'robot_description', LATCHED)
        self._description.publish(String(data=urdf))
        self._message: Any = None
        try:
            self._message = message_class(TRANSFORMS)
        except SpowlError as error:
            node.get_logger().debug(f'/tf is not published: {error}; it comes with a '
                                    'ROS installation, not with wheels')
            return
        self._moving = node.create_publisher(self._message, '/tf', QoSProfile(depth=100))
        self._still = node.create_publisher(self._message, '/tf_static', LATCHED)
        self._still.publish(self._message(transforms=stamped(
            [(WORLD, odom, *HERE)], Time())))

    def publish(self, transforms: Callable[[], Iterable[Transform]], stamp: Time) -> None:
        """Publish what a function returns, if anybody subscribes."""
        if self._message is not None and self._moving.get_subscription_count():
            self._moving.publish(self._message(transforms=stamped(transforms(), stamp)))


def prefix_of(node: Node) -> str:
    """Return the prefix of a robot's frames: its namespace and a slash, or nothing."""
    namespace = node.get_namespace().strip('/')
    return f'{namespace}/' if namespace else ''


def stamped(transforms: Iterable[Transform], stamp: Time) -> list[TransformStamped]:
    """Return the messages of transforms."""
    found = []
    for parent, child, position, orientation in transforms:
        message = TransformStamped(child_frame_id=child)
        message.header.frame_id, message.header.stamp = parent, stamp
        place, turn = message.transform.translation, message.transform.rotation
        place.x, place.y, place.z = position
        turn.w, turn.x, turn.y, turn.z = orientation
        found.append(message)
    return found
