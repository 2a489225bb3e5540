# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""YAML as PyYAML's safe loader reads it, but for a key that stands twice, which it lets pass."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses what the YAML specification forbids."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False,
                          ) -> dict[Hashable, Any]:
        """
        Return a mapping.

        :raises yaml.YAMLError: a key stands twice
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise yaml.YAMLError(f'key {key.value!r} stands twice, again in line {line}')
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """
    Return what a text of one YAML document holds.

    :raises yaml.YAMLError: no YAML, or a key that stands twice in a mapping
    """
    return yaml.load(text, _Loader)
