# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Inputs for a person who takes over: a joystick or commands, and `~/hand_back`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import ActionSpec
from spowl_ros.control.operator import OperatorCommands, OperatorSettings
from spowl_ros.robot.command import CommandFormat
from spowl_ros.ros.ages import MessageInfo, stamped_too_long_ago, too_old
from spowl_ros.ros.callbacks import serve
from spowl_ros.ros.discovery import check_one_publisher, unheard
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.process import LOG_PERIOD_S


class OperatorInput:
    """
    Subscribes to a person's messages; callbacks only store them in `operator`.

    It ends where its subscription and service are destroyed.

    :raises SpowlError: the settings do not fit the actuators
    """

    def __init__(self, node: Node, settings: OperatorSettings, spec: ActionSpec,
                 command: CommandFormat) -> None:
        self.operator = OperatorCommands(settings, spec)
        self._node, self._command, self._timeout = node, command, settings.timeout
        serve(node, Trigger, '~/hand_back', self._on_hand_back)
        self._topic, self._type, hear = {
            'joy': ('joy', 'sensor_msgs/msg/Joy', self._hear_joystick),
            'command': ('command_operator', command.type, self._hear_command)}.get(
                settings.input, ('', '', None))
        if hear is not None:
            node.create_subscription(message_class(self._type), self._topic,
                                     partial(self._on_message, hear), qos_profile_sensor_data)

    @property
    def complaint(self) -> str:
        """Who tries to take over but cannot be heard, and why; empty if nobody does."""
        said = unheard(self._node, self._topic, self._type, reliable=False) if self._topic else ''
        return said and f'an operator is not heard: {said}'

    def _hear_joystick(self, message: Joy, now: float) -> None:
        self.operator.hear_joystick(message.axes, message.buttons, now)

    def _hear_command(self, message: Any, now: float) -> None:
        self.operator.hear_command(self._command.to_command(message), now)

    def _on_message(self, hear: Callable[[Any, float], None], message: Any, info: MessageInfo
                    ) -> None:
        now = time.monotonic()
        try:
            check_one_publisher(self._node, self._topic)
            if stale := (too_old(info, self._timeout)
                         or stamped_too_long_ago(message, self._node, self._timeout)):
                raise SpowlError(stale)
            hear(message, now)
        except SpowlError as error:
            self.operator.mishear(now)
            self._node.get_logger().warning(f'operator: {error}',
                                            throttle_duration_sec=LOG_PERIOD_S)

    def _on_hand_back(self, _: Trigger.Request) -> str:
        if refusal := self.operator.hand_back(time.monotonic()):
            raise SpowlError(refusal)
        return 'plan and policy drive again'
