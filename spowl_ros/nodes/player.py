# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Play a bag onto its recorded topics, with the clock of the recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import threading
import time
from typing import Any

from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from spowl_ros.bags import context
from spowl_ros.bags.reader import Bag
from spowl_ros.bags.storage import StoredTopic
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import fixed
from spowl_ros.robot.command import COMMAND_TYPES
from spowl_ros.ros import recorded_qos
from spowl_ros.ros.callbacks import work
from spowl_ros.ros.messages import message_class, nanoseconds, to_stamp
from spowl_ros.ros.parameters import Parameters

CLOCK = '/clock'
CLOCK_PERIOD_S = 0.01
UNPLAYED = ('/rosout', '/parameter_events', context.TOPIC)
OF_CONTROLLERS = ('controller', 'supervisor', 'diagnostics')
"""Names whose topics the live controller publishes itself; recorded ones go aside."""
COMMANDS = (*COMMAND_TYPES.values(), 'trajectory_msgs/msg/JointTrajectory',
            'ackermann_msgs/msg/AckermannDriveStamped')
"""Message types that move something; recorded messages of them go aside as well."""
ASIDE = 'recorded'


@dataclass(frozen=True)
class PlayerSettings:
    """What is played, and how."""

    path: str = fixed('', 'bag to play')
    sensors: str = fixed('', 'names of topics, separated by spaces, whose messages are '
                         'measurements although their type is that of commands')
    rate: float = fixed(1.0, 'how much faster than recorded to play', low=0.01, high=100.0)
    loop: bool = fixed(False, 'play again and again')
    wait: float = fixed(2.0, 'seconds to wait for a subscriber before playing begins', low=0.0,
                        high=60.0)


class Player(Node):
    """
    Publishes the messages of a bag at the pace of the recording.

    Recorded messages of a controller or supervisor go to `recorded/...`, and so do messages that
    an actuator could obey. The node ends by itself after the last message.

    :raises SpowlError: a bad parameter, or not a bag
    """

    def __init__(self) -> None:
        super().__init__('player', automatically_declare_parameters_from_overrides=True)
        self.settings = Parameters(self, PlayerSettings()).settings
        if not self.settings.path:
            raise SpowlError("parameter 'path' is empty; name a bag")
        self._bag = Bag(Path(self.settings.path))
        self._publishers_by_topic = {
            name: publisher for name, topic in self._bag.topics.items()
            if name not in UNPLAYED and topic.messages
            and (publisher := self._make_publisher(topic)) is not None}
        if not self._publishers_by_topic:
            raise SpowlError(f'bag {self.settings.path} holds nothing to play')
        self._clock_publisher = (None if CLOCK in self._publishers_by_topic
                                 else self.create_publisher(Clock, CLOCK, 10))
        self._closing = threading.Event()
        self._thread = work(self, 'playing', self._play)

    def close(self) -> None:
        """Stop playing."""
        self._closing.set()
        self._thread.join(1.0)
        self._bag.close()

    def _make_publisher(self, topic: StoredTopic) -> Publisher[Any] | None:
        aside = topic.type in COMMANDS and topic.name not in self.settings.sensors.split()
        try:
            return self.create_publisher(
                message_class(topic.type), played_topic(topic.name, aside),
                recorded_qos.played(recorded_qos.read(topic.qos)))
        except (SpowlError, NameValidationException, RuntimeError) as error:
            self.get_logger().warning(f'{topic.name} is not played: {error}')
            return None

    def _play(self) -> None:
        try:
            self._await_listener()
            while not self._closing.is_set():
                self._play_once()
                if not self.settings.loop:
                    break
        finally:
            for line in self._bag.damage:
                self.get_logger().warning(line)

    def _await_listener(self) -> None:
        """Wait until the sensors, or else any topic, have subscribers: they hear the beginning."""
        played = {name: publisher for name, publisher in self._publishers_by_topic.items()
                  if name != CLOCK}
        sensors = [played[name] for name in self.settings.sensors.split() if name in played]
        deadline = time.monotonic() + self.settings.wait
        while time.monotonic() < deadline and not self._closing.wait(CLOCK_PERIOD_S):
            heard = [publisher.get_subscription_count() > 0
                     for publisher in sensors or played.values()]
            if heard and (all(heard) if sensors else any(heard)):
                self._closing.wait(0.5)  # the other topics of the same listener
                return

    def _play_once(self) -> None:
        """
        Publish the whole bag.

        If the bag has a /clock, time follows it: a simulation that ran at another pace is played
        at the robot's pace.
        """
        begun: tuple[float, int] | None = None
        now_ns: int | None = None
        for message in self._bag.messages(self._publishers_by_topic):
            before_ns = now_ns
            if self._clock_publisher is not None:
                now_ns = message.time_ns
            elif message.topic == CLOCK:
                now_ns = nanoseconds(self._bag.decode(message).clock)
            if now_ns is not None:
                if begun is None or before_ns is None or now_ns < before_ns:
                    begun = time.monotonic(), now_ns  # also where the clock was set back
                self._wait_until(*begun, now_ns)
            if self._closing.is_set():
                return
            self._publishers_by_topic[message.topic].publish(message.data)

    def _wait_until(self, start: float, first_ns: int, now_ns: int) -> None:
        """Wait for a time of the recording, and publish the clock meanwhile."""
        due = start + (now_ns - first_ns) * 1e-9 / self.settings.rate
        while (left := due - time.monotonic()) > 0.0:
            if self._closing.wait(min(left, CLOCK_PERIOD_S)):
                return
            elapsed = (time.monotonic() - start) * self.settings.rate
            self._publish_clock(min(first_ns + int(elapsed * 1e9), now_ns))
        self._publish_clock(now_ns)

    def _publish_clock(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=to_stamp(now_ns)))


def played_topic(name: str, aside: bool) -> str:
    """
    Return the topic onto which a recorded topic is played.

    :param aside: put it aside whatever its name
    """
    parts = name.split('/')
    for index, part in enumerate(parts):
        if part in OF_CONTROLLERS:
            return '/'.join([*parts[:index], ASIDE, *parts[index:]])
    return '/'.join([*parts[:-1], ASIDE, parts[-1]]) if aside else name


NODE = Player
