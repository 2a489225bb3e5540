# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A node knows who publishes its topics, whatever their names were remapped to."""

from __future__ import annotations

import contextlib
import time

import rclpy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float64MultiArray

from spowl_ros.ros.discovery import check_one_publisher, endpoints, other_publishers


def test_a_name_is_remapped_once(ros_domain: int) -> None:
    """A supervisor put between two nodes by remapping alone knows each of them."""
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    with contextlib.ExitStack() as stack:
        stack.callback(context.try_shutdown)
        nodes = [rclpy.create_node(name, context=context, cli_args=arguments) for name, arguments
                 in (('controller', None), ('stranger', None), ('supervisor', [
                     '--ros-args', '-r', 'command_raw:=command', '-r', 'command:=motors',
                     '-r', 'motors:=elsewhere']))]
        for node in nodes:
            stack.callback(node.destroy_node)
        controller, stranger, supervisor = nodes
        controller.create_publisher(Float64MultiArray, 'command', 1)
        stranger.create_publisher(Float64MultiArray, 'motors', 1)
        assert supervisor.create_publisher(Float64MultiArray, 'command', 1).topic_name == '/motors'
        end = time.monotonic() + 10.0
        while (not supervisor.count_publishers('/command')
               or supervisor.count_publishers('/motors') < 2) and time.monotonic() < end:
            time.sleep(0.01)
        assert [name for _, name in endpoints(supervisor, 'command_raw')] == ['/controller']
        assert other_publishers(supervisor, 'command') == ['/stranger']
        check_one_publisher(supervisor, 'command_raw')
