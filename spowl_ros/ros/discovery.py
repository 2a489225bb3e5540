# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What a node knows about other nodes on its topics.

Topics are named as a node's own code names them: rclpy remaps the name of a topic whose publishers
are asked for, so a name that was remapped already may become that of another topic.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from spowl_ros.control.validity import InvalidReading

DISCOVERY_S = 4.0
"""
Age of a node, in seconds, at which it knows the other nodes on its topics.

Discovery takes 0.2 s; if a packet is lost, Fast DDS sends the next one after 3 s.
"""


def _name(info: TopicEndpointInfo) -> str:
    """Return the full name of an endpoint's node."""
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def publishers(node: Node, topic: str) -> list[str]:
    """Return the full names of all nodes that publish a topic; a name may occur twice."""
    return [_name(info) for info in node.get_publishers_info_by_topic(topic)]


def other_publishers(node: Node, topic: str) -> list[str]:
    """Return the full names of the other nodes that publish a topic."""
    names = publishers(node, topic)
    mine = node.get_fully_qualified_name()
    if mine in names:
        names.remove(mine)  # once: another may have the same name
    return names


def is_unknown(name: str) -> bool:
    """Whether a publisher was discovered before its node."""
    return name.endswith('_NODE_NAME_UNKNOWN_')  # rmw_dds_common's name for it


def number_of_publishers(node: Node, topic: str) -> int:
    """Return how many publishers a topic has; rclpy does not remap the name that it counts."""
    return node.count_publishers(node.resolve_topic_name(topic))


def check_one_publisher(node: Node, topic: str) -> None:
    """
    Check that nobody else publishes a sensor's topic, who may contradict the sensor.

    :raises InvalidReading: several publishers
    """
    if (count := number_of_publishers(node, topic)) > 1:
        raise InvalidReading(f'{count} publishers ({", ".join(sorted(publishers(node, topic)))}), '
                             'which may contradict each other')


def unheard(node: Node, topic: str, kind: str, reliable: bool = True) -> str:
    """
    Return which publisher a subscription never hears, and why; empty if it hears all.

    :param kind: message type of the subscription
    :param reliable: whether it hears only publishers that are reliable
    """
    for info in node.get_publishers_info_by_topic(topic):
        name = _name(info)
        if info.topic_type != kind:
            return f'{name} publishes {info.topic_type}, {kind} is needed'
        if reliable and info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
            return f'{name} publishes best effort, reliable is needed'
    return ''


def endpoints(node: Node, topic: str) -> list[tuple[bytes, str]]:
    """Return the gid of each publisher of a topic, and its node's full name or an empty text."""
    return [(bytes(info.endpoint_gid), '' if is_unknown(_name(info)) else _name(info))
            for info in node.get_publishers_info_by_topic(topic)]


def callers(node: Node, service: str) -> str:
    """
    Return the nodes that may have called a service: those with a client of it.

    ROS 2 does not tell a service its caller.
    """
    wanted = node.resolve_service_name(service)
    found = []
    for name, namespace in node.get_node_names_and_namespaces():
        try:
            clients = node.get_client_names_and_types_by_node(name, namespace)
        except RuntimeError:  # it has gone since
            continue
        if any(client == wanted for client, _ in clients):
            found.append(f'{namespace.rstrip("/")}/{name}')
    return ' or '.join(sorted(found)) or 'an unknown node'
