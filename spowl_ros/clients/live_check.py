# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Listens to a robot's inputs for a while and moves nothing."""

from __future__ import annotations

from functools import partial
import threading
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract
from spowl_ros.robot.config import RobotConfig
from spowl_ros.robot.report import Heard
from spowl_ros.robot.topics import Edge, Topic, topics
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.process import make_executor
from spowl_ros.ros.qos import EVERY_SENSOR_MESSAGE

STARTUP_S = 8.0
"""How long publishers may take to appear."""


class LiveCheck(Node):
    """
    Subscribes to every input.

    :param contract: with the robot's topics and time-outs
    :raises SpowlError: a message type is not installed
    """

    def __init__(self, contract: Contract, robot: RobotConfig, namespace: str,
                 use_sim_time: bool) -> None:
        super().__init__(
            'spowl_check', namespace=namespace, enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=[Parameter('use_sim_time', value=use_sim_time)])
        self.heard = {field.name: Heard(field, self.resolve_topic_name(field.topic))
                      for field in contract.fields}
        self._types: dict[str, str] = {}
        self._edge = Edge()
        for source in topics(contract, robot):
            self._types[self.resolve_topic_name(source.topic)] = source.type
            self.create_subscription(message_class(source.type), source.topic,
                                     partial(self._on_message, source), EVERY_SENSOR_MESSAGE)

    def unpublished(self) -> list[str]:
        """Return the topics that nobody publishes."""
        return [topic for topic in self._types if not self.count_publishers(topic)]

    def find_other_types(self) -> None:
        """Note the topics that exist with another type than the one wanted."""
        for topic, types in self.get_topic_names_and_types():
            wanted = self._types.get(topic)
            for entry in self.heard.values():
                if entry.topic == topic and wanted is not None:
                    entry.other_types = tuple(name for name in types if name != wanted)

    def _on_message(self, source: Topic, message: Any) -> None:
        now = time.monotonic()
        try:
            taken = self._edge.take(source, message)
            age = (self.get_clock().now().nanoseconds - taken.stamp_ns) * 1e-9
            for name, values in taken.values.items():
                self.heard[name].add(values, now, age)
        except SpowlError as error:
            for name in source.names:
                self.heard[name].refused += 1
                self.heard[name].refusal = str(error)


def listen(contract: Contract, robot: RobotConfig, namespace: str, seconds: float,
           use_sim_time: bool = False) -> list[Heard]:
    """
    Return what was heard of each field of a contract within some seconds.

    They begin when every topic has a publisher, or STARTUP_S later.

    :param contract: with the robot's topics and time-outs
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = LiveCheck(contract, robot, namespace, use_sim_time)
        executor = make_executor()
        executor.add_node(node)
        spinning = threading.Thread(target=executor.spin, name='live_check', daemon=True)
        spinning.start()
        latest = time.monotonic() + STARTUP_S
        while node.unpublished() and time.monotonic() < latest:
            time.sleep(0.1)
        time.sleep(seconds)
        executor.shutdown()
        spinning.join()
        node.find_other_types()
        return list(node.heard.values())
    finally:
        rclpy.try_shutdown()
