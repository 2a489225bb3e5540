# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The operators' layouts and the security policies name what our nodes publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import importlib
import json
from pathlib import Path
import re
import time
from typing import Any
import xml.etree.ElementTree as ElementTree

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.signals import SignalHandlerOptions

from spowl_ros.base import yaml
from spowl_ros.ros.process import make_executor
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).resolve().parents[2] / 'config'
PATIENCE_S = 150.0
SHOWS = {'MarkerArray': 'visualization_msgs/msg/MarkerArray',
         'LaserScan': 'sensor_msgs/msg/LaserScan', 'Odometry': 'nav_msgs/msg/Odometry',
         'Pose': 'geometry_msgs/msg/PoseStamped'}
"""RViz: class of a display to the message that it takes."""


@dataclass
class Topic:
    """What was seen of one topic."""

    kind: str
    offered: list[QoSProfile] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)


class Listener(Node):
    """Keeps messages of every topic that it finds."""

    def __init__(self) -> None:
        super().__init__('listener', start_parameter_services=False)
        self.topics: dict[str, Topic] = {}

    def look(self) -> None:
        """Subscribe to new topics that somebody else publishes."""
        for name, kinds in self.get_topic_names_and_types():
            offers = [info.qos_profile for info in self.get_publishers_info_by_topic(name)]
            if name in self.topics or not offers:
                continue
            topic = self.topics[name] = Topic(kinds[0], offers)
            package, _, kind = topic.kind.rpartition('/')
            message = getattr(importlib.import_module(package.replace('/', '.')), kind)
            qos = QoSProfile(depth=10, reliability=offers[0].reliability,
                             durability=offers[0].durability)
            self.create_subscription(message, name, topic.messages.append, qos)


@pytest.fixture(scope='module')
def published(untrained_bundle: Path) -> Iterator[dict[str, Topic]]:
    """Return all topics, with messages, of a driven simulation and of the wheeled robot."""
    nodes = [*system.simulation(system.SimulationArguments(
        model=str(untrained_bundle), episodes=0)),  # in lock-step, so that every decision plans
        system.NodeSpec('diff_drive', '', {})]
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener()
    executor = make_executor()
    executor.add_node(listener)
    wanted = named_topics()
    try:
        with RunningSystem(nodes) as running:
            deadline = time.monotonic() + PATIENCE_S
            while missing := [name for name in wanted if name not in listener.topics
                              or not listener.topics[name].messages]:
                running.poll(print)
                assert time.monotonic() < deadline, f'nobody publishes {missing}'
                listener.look()
                executor.spin_once(0.1)
            yield listener.topics
    finally:
        executor.shutdown()
        listener.destroy_node()
        rclpy.try_shutdown()


def named_topics() -> set[str]:
    """Return the topics that the layouts name."""
    panels = foxglove()['configById'].values()
    return {
        *(display['Topic']['Value'] for display in rviz_displays()), '/robot_description',
        *subscribed(plotjuggler()),
        *(path['value'].split('.')[0] for panel in panels for path in panel.get('paths', [])),
        *(name for panel in panels for name in panel.get('topics', [])),
        *(panel['topicToRender'] for panel in panels if 'topicToRender' in panel)}


def plotjuggler() -> ElementTree.Element:
    """Return PlotJuggler's layout."""
    return ElementTree.parse(CONFIG / 'plotjuggler.xml').getroot()


def subscribed(layout: ElementTree.Element) -> list[str]:
    """Return the topics that PlotJuggler subscribes to."""
    selected = layout.find('Plugins/plugin/selected_topics')
    assert selected is not None
    return selected.attrib['value'].split(';')


def foxglove() -> dict[str, Any]:
    """Return Foxglove's layout."""
    return json.loads((CONFIG / 'foxglove.json').read_text())


def rviz_displays() -> list[dict[str, Any]]:
    """Return RViz's displays of topics."""
    data = yaml.load((CONFIG / 'spowl.rviz').read_text())
    return [display for display in data['Visualization Manager']['Displays']
            if 'Topic' in display]


def test_rviz_shows_the_robots_body(published: dict[str, Topic]) -> None:
    """The robot's description is on the topic that RViz reads."""
    data = yaml.load((CONFIG / 'spowl.rviz').read_text())
    model, = (display for display in data['Visualization Manager']['Displays']
              if display['Class'] == 'rviz_default_plugins/RobotModel')
    topic = published[model['Description Topic']['Value']]
    assert topic.kind == 'std_msgs/msg/String'
    assert ElementTree.fromstring(topic.messages[0].data).tag == 'robot'


def test_plotjuggler(published: dict[str, Topic]) -> None:
    """Each curve is a number that PlotJuggler makes of a message that it subscribes to."""
    root = plotjuggler()
    numbers = {}
    for name in subscribed(root):
        for message in published[name].messages:
            for status in message.status:
                # as ParserROS::parseDiagnosticMsg names them
                prefix = '/'.join(filter(None, (name, status.hardware_id, status.name)))
                numbers |= {f'{prefix}/{pair.key}': pair.value for pair in status.values}
    curves = [curve.attrib['name'] for curve in root.iter('curve')]
    assert curves
    for curve in curves:
        assert curve in numbers
        float(numbers[curve])


def test_foxglove(published: dict[str, Topic]) -> None:
    """Each panel is configured, each path leads to one value, each scene is in its frame."""
    layout = foxglove()

    def panels(node: object) -> set[str]:
        if isinstance(node, str):
            return {node}
        assert isinstance(node, dict)
        return panels(node['first']) | panels(node['second'])

    assert panels(layout['layout']) == set(layout['configById'])
    for name, panel in layout['configById'].items():
        for path in panel.get('paths', []):
            values = follow(published, path['value'])
            assert len(values) == 1, path
            if name.startswith('Plot!'):
                float(values[0])
        for topic in panel.get('topics', []):
            message = published[topic].messages[-1]
            shown = getattr(message, 'markers', [message])
            assert {entry.header.frame_id for entry in shown} == {panel['followTf']}, name


def follow(published: dict[str, Topic], path: str) -> list[Any]:
    """Return the values at a message path in the last message of its topic."""
    name, *parts = path.split('.', 1)[0], *re.findall(r'\.(\w+)((?:\[[^]]*]|{[^}]*})*)',
                                                      path[path.index('.'):])
    found = [published[name].messages[-1]]
    for attribute, selectors in parts:
        found = [getattr(entry, attribute) for entry in found]
        for selector in re.findall(r'\[[^]]*]|{[^}]*}', selectors):
            if key := re.fullmatch(r'{key=="(.+)"}', selector):
                found = [entry for entry in found if entry.key == key[1]]
            elif selector == '[:]':
                found = [entry for entries in found for entry in entries]
            else:
                found = [entries[int(selector[1:-1])] for entries in found]
    return found


def test_rviz(published: dict[str, Topic]) -> None:
    """Each display takes its topic's type, and hears every publisher of it."""
    for display in rviz_displays():
        package, _, kind = display['Class'].partition('/')
        topic = published[display['Topic']['Value']]
        assert package == 'rviz_default_plugins'
        assert SHOWS[kind] == topic.kind
        wanted = display['Topic']
        qos = QoSProfile(
            depth=wanted['Depth'],
            reliability=ReliabilityPolicy[wanted['Reliability Policy'].upper().replace(' ', '_')],
            durability=DurabilityPolicy[wanted['Durability Policy'].upper().replace(' ', '_')])
        for offered in topic.offered:
            assert qos_check_compatible(offered, qos)[0] != QoSCompatibility.ERROR, display


QOS = {
    'sensor data': (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
    'reliable': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
    'latched': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
    'kept': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
}
"""Words of docs/interfaces.md."""
OF_RCL = {'/rosout', '/parameter_events'}


def documented() -> dict[str, tuple[str, str]]:
    """Return message type and QoS of each topic in the table of docs/interfaces.md."""
    page = (CONFIG.parent / 'docs' / 'interfaces.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| (`[^|]*) \| ([^|]*) \| ([^|]*) \|', page, re.MULTILINE)
    return {f'/{name.lstrip("/")}': (kind, qos) for names, kind, qos in rows if qos in QOS
            for name in re.findall(r'`([^`]+)`', names)}


def test_every_topic_is_documented(published: dict[str, Topic]) -> None:
    """Each published topic has the type and the QoS that docs/interfaces.md gives it."""
    table = documented()
    assert len(table) > 20
    for name in published.keys() - OF_RCL:
        kind, qos = table[name]
        if kind == 'the same':
            kind = table['/command_raw'][0]
        assert published[name].kind.replace('/msg/', '/') in kind, name
        assert {(offer.reliability, offer.durability)
                for offer in published[name].offered} == {QOS[qos]}, f'{name}: {qos}'


def test_only_the_supervisor_may_command() -> None:
    """In the policies every node of ours is there, and one alone publishes `command`."""
    root = ElementTree.parse(CONFIG / 'security' / 'policies.xml').getroot()
    profiles = {profile.attrib['node']: profile for profile in root.iter('profile')}
    assert set(profiles) == {'controller', 'supervisor', 'adapter', 'recorder', 'viewer',
                             'run_listener', 'spowl_top', 'spowl_check'}
    commanding = {
        node for node, profile in profiles.items() for topics in profile.iter('topics')
        if 'publish' in topics.attrib and any(t.text == 'command' for t in topics.iter('topic'))}
    assert commanding == {'supervisor'}
