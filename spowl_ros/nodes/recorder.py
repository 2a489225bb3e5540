# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Record the robot's sensors, decisions and commands into a rosbag2, as serialized messages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
import re
import sys
import time
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from spowl_ros.bags import context
from spowl_ros.bags.background import BackgroundWriter
from spowl_ros.bags.ring import RingSettings, RingWriter
from spowl_ros.bags.types import message_definition
from spowl_ros.bags.writer import Settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEGIN_TOPIC, BEGIN_TYPE, DECISION, EPISODE, MARKERS
from spowl_ros.base.settings import fixed, group
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.contract import Contract
from spowl_ros.robot.topics import topics
from spowl_ros.ros import recorded_qos
from spowl_ros.ros.ages import MessageInfo
from spowl_ros.ros.callbacks import serve
from spowl_ros.ros.events import TOPICS, EventWatch, Seen
from spowl_ros.ros.intake import waiting
from spowl_ros.ros.messages import message_class
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.qos import EVERY_MESSAGE, EVERY_SENSOR_MESSAGE

HEAVY = ('Image', 'CompressedImage', 'PointCloud2')
"""Message types recorded only if their topic is named."""
GLOBAL_TOPICS = ('/clock', '/diagnostics', '/tf', '/tf_static', '/rosout', '/parameter_events')
"""Recorded whatever the namespace."""
QUEUE = 1000  # messages a topic may be behind before any is lost
DISCOVERY_S = 0.1
EXPECTED = {
    DECISION: 'diagnostic_msgs/msg/DiagnosticArray',
    BEGIN_TOPIC: BEGIN_TYPE,
    'reward': 'std_msgs/msg/Float64',
    'cost': 'std_msgs/msg/Float64',
    EPISODE: 'diagnostic_msgs/msg/DiagnosticArray',
    MARKERS: 'visualization_msgs/msg/MarkerArray',
}
"""Topics with a subscription from the start, because their first message matters."""
RECORDS = (DECISION, BEGIN_TOPIC, EPISODE)
"""Topics that are latched for late subscribers, but carry events, not a state."""


@dataclass(frozen=True)
class RecorderSettings:
    """What is recorded, and where to."""

    path: str = fixed('', 'directory of the bag; empty: rosbag2_ and the time')
    storage: str = fixed('mcap', 'storage format', choices=('mcap', 'sqlite3'))
    compression: str = fixed('none', 'compression of the chunks of an MCAP file',
                             choices=('none', 'zstd'))
    split_megabytes: float = fixed(0.0, 'size in megabytes after which a new file begins; 0: '
                                   'never', low=0.0)
    split_seconds: float = fixed(0.0, 'seconds after which a new file begins; 0: never', low=0.0)
    flush_seconds: float = fixed(0.5, 'greatest loss if the process is killed, seconds', low=0.05,
                                 high=60.0)
    topics: str = fixed('', 'names of the topics to record, separated by spaces; empty: all '
                        'topics of the namespace except images and point clouds')
    exclude: str = fixed('', 'regular expression of the topic names to leave out')
    model: str = fixed('', 'directory of the bundle; the recorder stores its hash, and subscribes '
                       'to its sensors from the start')
    ring: RingSettings = group(RingSettings)


class Recorder(Node):
    """
    Subscribes to topics as they appear and passes their messages to the writing thread.

    With `ring.seconds` it writes only after an event, and then the last seconds before it.

    :raises SpowlError: a bad parameter, or the bag cannot be made
    """

    def __init__(self) -> None:
        super().__init__('recorder', automatically_declare_parameters_from_overrides=True)
        self.settings = Parameters(self, RecorderSettings()).settings
        path = self.settings.path or time.strftime('rosbag2_%Y_%m_%d-%H_%M_%S')
        storing = Settings(
            storage=self.settings.storage, compression=self.settings.compression,
            split_bytes=int(self.settings.split_megabytes * 1e6),
            split_seconds=self.settings.split_seconds)
        self.ring: RingWriter | None = None
        """Keeps the last seconds; None if everything is written."""
        ring = self.settings.ring
        self._events = EventWatch(ring.events.split(), ring.cost)
        self._records = {self.resolve_topic_name(name) for name in RECORDS}
        self._watched = {self.resolve_topic_name(name): name for name in TOPICS}
        self.bag: BackgroundWriter | RingWriter
        if ring.seconds:
            self.bag = self.ring = RingWriter(Path(path), storing, ring)
            serve(self, Trigger, '~/save', self._on_save)
        else:
            self.bag = BackgroundWriter(Path(path), storing, self.settings.flush_seconds)
        self.lost = 0
        """Messages lost on the way, counted by the publishers' sequence numbers."""
        self._prefix = self.get_namespace().rstrip('/') + '/'
        self._subscribed: dict[str, Subscription[Any] | None] = {}
        """Topic to its subscription; None if its type is not installed."""
        self._last_number: dict[tuple[str, bytes], int] = {}
        self._asked: dict[str, tuple[Client[Any, Any], Client[Any, Any]] | None] = {}
        """Node to the clients that list and get its parameters; None once used."""
        self._numbers: dict[str, int] = {}
        if self.settings.model:
            self.bag.write_context(context.of_bundle(Path(self.settings.model)))
            self._expect(read_contract(Path(self.settings.model)))
        self._discover()
        self.create_timer(DISCOVERY_S, self._discover)

    def close(self) -> None:
        """Close the bag and log what is in it."""
        self.bag.close()
        lost = f'; {self.lost} messages were LOST on the way' if self.lost else ''
        self._tell_news()
        print(f'recorder: {self.bag.summary()}{lost}', file=sys.stderr)

    def _on_save(self, _: Trigger.Request) -> str:
        assert self.ring is not None  # else there is no such service
        return f'the bag will be {self.ring.trigger("save", "asked for", asked=True)}'

    def _tell_news(self) -> None:
        """Log which bags of the last seconds were written or failed."""
        if self.ring is not None:
            while self.ring.news:
                self.get_logger().warning(self.ring.news.pop(0))

    def _expect(self, contract: Contract) -> None:
        """Subscribe to a controller's inputs and outputs by its contract, before it starts."""
        sensors = {entry.topic: entry.type for entry in topics(contract)}
        for name, message_type in (sensors | EXPECTED).items():
            topic = self.resolve_topic_name(name)
            if self._wanted(topic, [message_type]):
                self._subscribe(topic, message_type,
                                EVERY_MESSAGE if name in EXPECTED else EVERY_SENSOR_MESSAGE)

    def _discover(self) -> None:
        """Subscribe to new topics, and ask new nodes for their parameters."""
        self.bag.check()
        self._tell_news()
        for topic, types in self.get_topic_names_and_types():
            if (topic in self._subscribed or not self._wanted(topic, types)
                    or self.count_publishers(topic) == 0):
                continue
            try:
                if len(types) > 1:
                    raise SpowlError(f'it is published as {" and as ".join(types)}')
                self._subscribe(topic, types[0],
                                recorded_qos.matching(self._offered(topic), QUEUE))
            except (SpowlError, RuntimeError) as error:  # RuntimeError: what rclpy refuses
                self._subscribed[topic] = None
                self.get_logger().warning(f'{topic} is not recorded: {error}')
        for name, namespace in self.get_node_names_and_namespaces():
            node = f'{namespace.rstrip("/")}/{name}'
            if node not in self._asked and not name.startswith('_') and name != self.get_name():
                # rclpy's AsyncParameterClient has one for setting them too, and no need of it
                self._asked[node] = (
                    self.create_client(ListParameters, f'{node}/list_parameters'),
                    self.create_client(GetParameters, f'{node}/get_parameters'))
        for node, clients in self._asked.items():
            if clients is not None and all(client.service_is_ready() for client in clients):
                self._asked[node] = None
                names, values = clients
                names.call_async(ListParameters.Request()).add_done_callback(
                    partial(self._on_parameter_names, node, values))

    def _wanted(self, topic: str, types: list[str]) -> bool:
        """Whether to record a topic."""
        named = [self.resolve_topic_name(name) for name in self.settings.topics.split()]
        if self.settings.exclude and re.search(self.settings.exclude, topic):
            return False
        if named:
            return topic in named
        heavy = types[0].rpartition('/')[2] in HEAVY
        return not heavy and (topic in GLOBAL_TOPICS or topic.startswith(self._prefix))

    def _offered(self, topic: str) -> list[QoSProfile]:
        """Return the profiles of a topic's publishers."""
        return [publisher.qos_profile for publisher in self.get_publishers_info_by_topic(topic)]

    def _subscribe(self, topic: str, message_type: str, profile: QoSProfile) -> None:
        """
        Record a topic from now on.

        :raises SpowlError: the type of the messages is not installed
        """
        message_definition(message_type)
        self._subscribed[topic] = self.create_subscription(
            message_class(message_type), topic,
            partial(self._on_message, topic, message_type), profile, raw=True)

    def _on_message(self, topic: str, message_type: str, data: bytes, info: MessageInfo) -> None:
        """
        Write one message and all that wait behind it.

        A round of the executor costs much more than taking a message; under load, one round then
        serves many messages.
        """
        subscription = self._subscribed[topic]
        assert subscription is not None  # it has just called
        if topic not in self._numbers:
            profiles = [recorded_qos.stored(profile) for profile in self._offered(topic)]
            self._numbers[topic] = self.bag.add_topic(topic, message_type, profiles)
        self._write(topic, data, info)
        for taken in waiting(subscription):
            self._write(topic, *taken)

    def _write(self, topic: str, data: bytes, info: MessageInfo) -> None:
        """Write one message, and count those that were lost before it."""
        received_ns = info['received_timestamp'] or time.time_ns()
        number = info['publication_sequence_number']
        gid: Any = info.get('publisher_gid')  # Jazzy's rclpy does not report it
        sender = bytes(gid['data']) if gid else b''
        self._store(topic, received_ns, data, sender)
        publisher = topic, sender
        if number is None or (gid is None and self.count_publishers(topic) > 1):
            self._last_number.pop(publisher, None)  # the publisher of this number is unknown
            return
        self.lost += max(0, number - self._last_number.get(publisher, number - 1) - 1)
        self._last_number[publisher] = number

    def _store(self, topic: str, received_ns: int, data: bytes, sender: bytes) -> None:
        """Pass a message to the bag or to the ring; for the ring, also look for events."""
        number = self._numbers[topic]
        if self.ring is None:
            self.bag.write(number, received_ns, data)
            return
        seen = (self._events.see(self._watched[topic], data) if topic in self._watched
                else Seen())
        self.ring.write(number, received_ns, data, sender, topic in self._records, seen.settings)
        for event in seen.events:
            self.ring.trigger(event.kind, event.reason)

    def _on_parameter_names(self, node: str, values: Client[Any, Any], future: Any) -> None:
        """Ask a node for the values of the parameters that it has listed."""
        names = future.result().result.names
        values.call_async(GetParameters.Request(names=names)).add_done_callback(
            partial(self._on_parameters, node, names))

    def _on_parameters(self, node: str, names: list[str], future: Any) -> None:
        """Write a node's parameters into the bag."""
        values: list[Any] = [parameter_value_to_python(value)
                             for value in future.result().values]
        # Arrays come as numpy's or array's own types, which JSON does not know.
        parameters: dict[str, Any] = {
            name: value.tolist() if hasattr(value, 'tolist') else value
            for name, value in zip(names, values, strict=True)}
        self.bag.write_context(context.BagContext(parameters={node: parameters}))


NODE = Recorder
