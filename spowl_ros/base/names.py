# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of nodes, and what ROS 2 takes as names (design.ros2.org: topic and service names)."""

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
"""The package's nodes, each a file in nodes/ and an executable of that name."""


def is_namespace(name: str) -> bool:
    """Whether a name is one of a namespace; a slash at its ends does not matter."""
    return _NAMESPACE.fullmatch(name) is not None


def is_topic(name: str) -> bool:
    """Whether a name is one of a topic: relative, absolute or private."""
    return _TOPIC.fullmatch(name) is not None and '__' not in name
