# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds rclpy's message classes by type name, and builds messages from plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
import importlib
import re
from typing import Any

from builtin_interfaces.msg import Time

from spowl_ros.base.errors import SpowlError

_ELEMENT = re.compile(r'sequence<(\w+)/(\w+)>')


def message_class(type_name: str) -> Any:
    """
    Return the class of a message type, as 'sensor_msgs/msg/Imu'.

    :raises SpowlError: it is not installed
    """
    package, _, name = type_name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        raise SpowlError(f"message type '{type_name}' is not installed") from None


def build(type_name: str, content: Mapping[str, Any]) -> Any:
    """
    Return a message.

    :param content: fields to numbers, strings, lists, or such dicts for nested messages
    :raises SpowlError: the type is not installed
    """
    return _fill(message_class(type_name)(), content)


def _fill(message: Any, content: Mapping[str, Any]) -> Any:
    for name, value in content.items():
        if isinstance(value, Mapping):
            _fill(getattr(message, name), value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            element = _ELEMENT.fullmatch(message.get_fields_and_field_types()[name])
            assert element is not None, f'{name} holds no messages'
            setattr(message, name, [build(f'{element[1]}/msg/{element[2]}', entry)
                                    for entry in value])
        else:
            setattr(message, name, value)
    return message


def nanoseconds(stamp: Time) -> int:
    """Return the nanoseconds of a message's stamp."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def to_stamp(time_ns: int) -> Time:
    """Return the stamp of a time in nanoseconds."""
    seconds, rest = divmod(time_ns, 10**9)
    return Time(sec=seconds, nanosec=rest)
