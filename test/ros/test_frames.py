# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot's frames as ROS messages."""

from __future__ import annotations

from builtin_interfaces.msg import Time
import pytest
import rclpy

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros.frames import HERE, TRANSFORMS, Frames, prefix_of, stamped
from spowl_ros.ros.messages import message_class
from spowl_ros.sim.diff_drive import urdf


def has_tf() -> bool:
    """Whether tf2_msgs is installed: it comes with a ROS installation, not with wheels."""
    try:
        message_class(TRANSFORMS)
    except SpowlError:
        return False
    return True


def test_a_transform_keeps_its_frames_and_numbers() -> None:
    """Parent, child, position and orientation stand where ROS looks for them."""
    message, = stamped([('red/odom', 'red/base_link', (1.0, 2.0, 3.0), (0.5, 0.1, 0.2, 0.3))],
                       Time(sec=4))
    place, turn = message.transform.translation, message.transform.rotation
    assert (message.header.frame_id, message.child_frame_id) == ('red/odom', 'red/base_link')
    assert message.header.stamp.sec == 4
    assert (place.x, place.y, place.z) == (1.0, 2.0, 3.0)
    assert (turn.w, turn.x, turn.y, turn.z) == (0.5, 0.1, 0.2, 0.3)


@pytest.mark.parametrize('namespace', ['', 'red'])
def test_transforms_are_published_where_their_message_is_installed(
        ros_domain: int, namespace: str) -> None:
    """Else there is no such topic, and publishing does nothing."""
    rclpy.init(args=[])
    node = rclpy.create_node('robot', namespace=namespace)
    try:
        frames = Frames(node, urdf('base_link'), 'odom')
        frames.publish(lambda: [('odom', 'base_link', *HERE)], Time())
        assert prefix_of(node) == (f'{namespace}/' if namespace else '')
        assert (node.count_publishers('/tf') > 0) is has_tf()
        assert node.count_publishers('robot_description') == 1
    finally:
        node.destroy_node()
        rclpy.shutdown()
