# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings as parameters of a node: what is taken at run time, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from spowl_ros.base.settings import setting
from spowl_ros.ros.parameters import Parameters


@dataclass(frozen=True)
class Shape:
    """Two settings, of different kinds."""

    width: float = setting(0.5, 'metres', low=0.0, high=3.0)
    corners: int = setting(4, 'how many', low=3)


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    """Return a node in a domain of its own."""
    rclpy.init()
    node = Node('shape', automatically_declare_parameters_from_overrides=True)
    yield node
    node.destroy_node()
    rclpy.shutdown()


def test_an_integer_is_taken_where_a_number_is_wanted(node: Node) -> None:
    """As `ros2 param set` sends a 1; out of range it is refused as any number is."""
    applied: list[Shape] = []
    table = Parameters(node, Shape(), applied=applied.append)
    assert node.set_parameters([Parameter('width', value=1)])[0].successful
    assert table.settings == Shape(width=1.0)
    assert applied == [table.settings]
    assert type(node.get_parameter('width').value) is float
    assert not node.set_parameters([Parameter('width', value=4)])[0].successful
    assert table.settings == Shape(width=1.0)


def test_a_number_is_refused_where_an_integer_is_wanted(node: Node) -> None:
    """It would lose its fraction."""
    table = Parameters(node, Shape())
    assert not node.set_parameters([Parameter('corners', value=5.5)])[0].successful
    assert table.settings == Shape()
    table.remove()
    assert not node.has_parameter('corners')
