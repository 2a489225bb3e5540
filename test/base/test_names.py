# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Names that are taken here are those that ROS takes."""

from __future__ import annotations

import pytest
from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_topic_name import validate_topic_name

from spowl_ros.base.names import is_namespace, is_topic


@pytest.mark.parametrize('name', [
    '', '/', 'robot1', '/robot1', 'a/b_2', '_x', 'a b', '9a', 'a//b', 'a/9', 'ä', '//', 'a-b',
    '~/a'])
def test_namespaces(name: str) -> None:
    """Rclpy, which wants a slash before each, agrees."""
    try:
        taken = validate_namespace(name if name.startswith('/') else f'/{name}')
    except InvalidNamespaceException:
        taken = False
    assert is_namespace(name) == taken


@pytest.mark.parametrize('name', [
    'imu', '/imu', '~/imu', 'front/imu_2', '', '/', 'front imu', '2/imu', 'imu/', 'ä',
    'a-b', '~imu', 'a/~/b'])
def test_topics(name: str) -> None:
    """Rclpy agrees."""
    try:
        taken = bool(name) and validate_topic_name(name)
    except InvalidTopicNameException:
        taken = False
    assert is_topic(name) == taken
