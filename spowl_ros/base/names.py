# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of nodes and topics, and which names ROS 2 allows (design.ros2.org, topic names)."""

from __future__ import annotations

from pathlib import Path
import re

_TOKEN = r'[A-Za-z_][A-Za-z0-9_]*'
_TOKENS = rf'{_TOKEN}(/{_TOKEN})*'
_NAMESPACE = re.compile(rf'/?({_TOKENS}/?)?')
_TOPIC = re.compile(rf'(~?/)?{_TOKENS}')

RULE = "letters, digits and '_' in parts that begin with no digit, with '/' between them"

NODES = tuple(sorted(
    path.stem for path in (Path(__file__).parents[1] / 'nodes').glob('[!_]*.py')))
"""The package's nodes: each is a file in nodes/ and an executable of the same name."""

DECISION = 'controller/decision'
"""Topic of the controller's decisions, in the robot's namespace; so are the next three."""
STATE = 'supervisor/state'
"""What the supervisor does with the commands, and why."""
EPISODE = 'simulator/episode'
"""Return, cost and steps of an episode that has ended."""
MARKERS = 'simulator/markers'
"""The scene."""
BEGIN_TOPIC, BEGIN_TYPE = 'episode_begin', 'std_msgs/msg/Header'
"""
Topic that announces an episode before its first measurement, with the stamp of that measurement.

The controller then resets and forgets earlier measurements. Without this message no episode
begins: after a silence, or a clock that went back, the planner starts anew
(`spowl_ros.control.controller.LEAP_PERIODS`), and what the episode has spent of its budget stays
spent.
"""
BEST = 'best.pt'
"""In the directory of a training: the networks that validated best."""


def is_namespace(name: str) -> bool:
    """Whether a name is a valid namespace; a slash at either end is allowed."""
    return _NAMESPACE.fullmatch(name) is not None


def is_topic(name: str) -> bool:
    """Whether a name is a valid topic name: relative, absolute or private."""
    return _TOPIC.fullmatch(name) is not None and '__' not in name
