# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Every message names its publisher, from the first one on."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float64MultiArray

from spowl_ros.ros import senders


def test_each_message_has_the_identity_of_its_publisher(ros_domain: int) -> None:
    """The identity is the one that the ROS graph knows, whatever the length of the message."""
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('listener', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: list[tuple[list[float], bytes]] = []

    def hear(message: Any, info: Any) -> None:
        assert info['source_timestamp'] > 0
        heard.append((list(message.data), bytes(info['publisher_gid']['data'])))

    with contextlib.ExitStack() as stack:
        stack.callback(context.try_shutdown)
        stack.callback(node.destroy_node)
        close = senders.subscribe(node, Float64MultiArray, 'numbers', hear, 10)
        publishers = []
        for number in range(2):  # one after the other: the graph lists them in this order or not
            publisher = node.create_publisher(Float64MultiArray, 'numbers', 10)
            end = time.monotonic() + 10.0
            while publisher.get_subscription_count() == 0 and time.monotonic() < end:
                time.sleep(0.01)
            publisher.publish(Float64MultiArray(data=[float(number)] * (1 + 999 * number)))
            publishers.append(publisher)
        end = time.monotonic() + 10.0
        while len(heard) < 2 and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        assert [data for data, _ in heard] == [[0.0], [1.0] * 1000]
        known = {bytes(info.endpoint_gid)
                 for info in node.get_publishers_info_by_topic('/numbers')}
        assert {gid for _, gid in heard} == known and len(known) == 2
        close()
        end = time.monotonic() + 10.0
        while node.count_subscribers('/numbers') and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        assert node.count_subscribers('/numbers') == 0
