# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Message definitions: those that come with rosbags, and those installed on this machine."""

from __future__ import annotations

from functools import cache
import os
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from spowl_ros.base.errors import SpowlError


@cache
def installed_types() -> Typestore:
    """Return the store of ROS 2's common messages; other types are added when they first occur."""
    return get_typestore(Stores.ROS2_KILTED)


@cache
def message_definition(message_type: str) -> tuple[str, str]:
    """
    Return a type's definition with all nested types, and its hash (REP-2016).

    :param message_type: such as 'sensor_msgs/msg/Imu'
    :raises SpowlError: no such message is installed
    """
    store = installed_types()
    if message_type not in store.fielddefs:
        _register(message_type, store)
    definition, _ = store.generate_msgdef(message_type, ros_version=2)
    return definition, store.hash_rihs01(message_type)


def _register(message_type: str, store: Typestore) -> None:
    """Add a type to the store from the .msg files in the share folders of AMENT_PREFIX_PATH."""
    wanted, found = {message_type}, {}
    while wanted:
        name = wanted.pop()
        found.update(types := get_types_from_msg(_definition_file(name).read_text(), name))
        inner = {_inner_type(node) for _, fields in types.values() for _, node in fields}
        wanted |= inner - {''} - store.fielddefs.keys() - found.keys()
    store.register(found)


def _inner_type(node: Any) -> str:
    """Return the message type of a field in the parsed definition, or of its elements, or ''."""
    kind, value = node
    if kind.name in ('ARRAY', 'SEQUENCE'):
        return _inner_type(value[0])
    return str(value) if kind.name == 'NAME' else ''


def _definition_file(message_type: str) -> Path:
    package, _, name = message_type.partition('/msg/')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        file = Path(prefix) / 'share' / package / 'msg' / f'{name}.msg'
        if prefix and file.is_file():
            return file
    raise SpowlError(f"no definition of message type '{message_type}' is installed; "
                     f"install its package '{package}' or leave the topic out")
