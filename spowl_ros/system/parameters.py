# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Files of node parameters, in ROS 2's form, read as YAML 1.2: values are taken as they are written.

A section is a node's name, as ``/**/controller``; ``*`` stands for one part of a name and ``**``
for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import re
from typing import Any

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import absolute
from spowl_ros.base.names import NODES
from spowl_ros.base.settings import unknown

Value = bool | int | float | str
_KEY = 'ros__parameters'


class ParameterFile:
    """
    A file of parameters; an empty name is an empty file. Each node checks its parameters.

    :param nodes: full names, as '/robot1/controller', of those that are to start
    :raises SpowlError: no such file, an unreadable one, one with a section for an unknown node, or
        one of which no section is for one of `nodes`, as with another namespace
    """

    def __init__(self, name: str, nodes: Sequence[str]) -> None:
        self._sections: list[tuple[re.Pattern[str], dict[str, Value]]] = []
        if not name:
            return
        path = absolute(name)
        data = yaml.read(path, 'params_file')
        try:
            for section, values in _sections(data, ''):
                node = section.rpartition('/')[2]
                if node.strip('*') and node not in NODES:  # ROS would ignore it silently
                    raise unknown(f"node for the section '{section}':", node, NODES)
                self._sections.append((_pattern(section), dict(_flat(values, ''))))
            if not any(pattern.fullmatch(node) for pattern, _ in self._sections for node in nodes):
                raise SpowlError(f'no section is for {" or ".join(nodes)}; name them so, or with '
                                 "'/**/' before the node's name")
        except SpowlError as error:
            raise SpowlError(f'params_file {path}: {error}') from error

    def of(self, node: str) -> dict[str, Value]:
        """Return the parameters of a node, named in full."""
        return {key: value for pattern, values in self._sections if pattern.fullmatch(node)
                for key, value in values.items()}


def _sections(data: Any, above: str) -> Iterator[tuple[str, Any]]:
    """
    Yield the name of each section, such as '/**/controller', and its content.

    :raises SpowlError: the file has another structure
    """
    if not isinstance(data, dict):
        raise SpowlError(f"{above or 'the file'} holds {data!r}; '/**/NODE:' with "
                         f"'{_KEY}:' below it is wanted")
    for name, inside in data.items():
        if name == _KEY:
            yield above, inside
        else:
            yield from _sections(inside, f'{above}/{name}' if above else str(name))


def _flat(values: Any, prefix: str) -> Iterator[tuple[str, Value]]:
    """
    Yield dotted names and values of a section.

    :raises SpowlError: a value of a type that none of our parameters has
    """
    for name, value in (values.items() if isinstance(values, Mapping) else ()):
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{name}.')
        elif isinstance(value, bool | int | float | str):
            yield f'{prefix}{name}', value
        else:
            raise SpowlError(f'{prefix}{name} is {value!r}; wanted text, a number, true or false')
    if values is not None and not isinstance(values, Mapping):
        raise SpowlError(f'{_KEY} holds {values!r}; names with values are wanted')


def _pattern(section: str) -> re.Pattern[str]:
    """Return a pattern that matches the full names of a section."""
    parts = {'*': '/[^/]+', '**': '(/[^/]+)*'}
    return re.compile(''.join(parts.get(part, '/' + re.escape(part))
                              for part in section.strip('/').split('/')))
