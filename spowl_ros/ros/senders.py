# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Subscriptions whose message information always names the publisher.

The ROS graph knows a publisher only some time after its first message. Whoever must not obey a
stranger needs the publisher's identity with the message itself. Kilted's rclpy reports it. Jazzy's
leaves it out of what the middleware reports, so `SenderSubscription` asks the middleware itself.
"""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from typing import Any
import weakref

from rclpy import subscription as rclpy_subscription
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.waitable import NumberOfEntities, Waitable

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros.intake import Unattended

_FIRST_BYTES = 256
"""Size of the first buffer; the middleware enlarges it as needed."""

Callback = Callable[[Any, Any], None]
"""Takes a message, None if its bytes are no such message, and its information."""


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in (
        'allocate', 'deallocate', 'reallocate', 'zero_allocate', 'state')]


class _Bytes(ctypes.Structure):
    """A `rcutils_uint8_array_t`."""

    _fields_ = [('buffer', ctypes.c_void_p), ('length', ctypes.c_size_t),
                ('capacity', ctypes.c_size_t), ('allocator', _Allocator)]


class _Information(ctypes.Structure):
    """A `rmw_message_info_t`, as it has been since Jazzy."""

    _fields_ = [('source_timestamp', ctypes.c_int64), ('received_timestamp', ctypes.c_int64),
                ('publication_sequence_number', ctypes.c_uint64),
                ('reception_sequence_number', ctypes.c_uint64),
                ('implementation', ctypes.c_void_p), ('publisher_gid', ctypes.c_uint8 * 16),
                ('from_intra_process', ctypes.c_bool)]


class SenderSubscription(Waitable):  # type: ignore[misc]
    """
    Takes messages with their publishers through rcl; `close` ends it.

    :param depth: messages that wait at most
    :raises SpowlError: rcl cannot be used
    """

    def __init__(self, node: Node, kind: type, topic: str, callback: Callback,
                 depth: int) -> None:
        super().__init__(node.default_callback_group)
        self._node, self._kind, self._callback = node, kind, callback
        try:
            self._rcl, rcutils = ctypes.CDLL('librcl.so'), ctypes.CDLL('librcutils.so')
            rcutils.rcutils_get_default_allocator.restype = _Allocator
            self._rcl.rcl_take_serialized_message.argtypes = [ctypes.c_void_p] * 4
            allocator = rcutils.rcutils_get_default_allocator()
            self._bytes, self._information = _Bytes(), _Information()
            failed = rcutils.rcutils_uint8_array_init(
                ctypes.byref(self._bytes), ctypes.c_size_t(_FIRST_BYTES), ctypes.byref(allocator))
        except (OSError, AttributeError) as error:
            raise SpowlError(f"{topic}: the publishers of its messages cannot be known, because "
                             f"ROS 2's libraries do not load ({error}); source its setup file"
                             ) from error
        if failed:
            raise SpowlError(f'{topic}: no memory for its messages')
        weakref.finalize(self, rcutils.rcutils_uint8_array_fini, ctypes.byref(self._bytes))
        # The executor would take messages without the publisher's identity.
        self._subscription = node.create_subscription(kind, topic, callback, depth,
                                                      callback_group=Unattended())
        node.add_waitable(self)

    def close(self) -> None:
        """End the subscription."""
        self._node.remove_waitable(self)
        self._node.destroy_subscription(self._subscription)

    def __enter__(self) -> None:
        """Keep the subscription while the executor waits."""
        self._subscription.handle.__enter__()

    def __exit__(self, *error: object) -> None:
        """Let the subscription go."""
        self._subscription.handle.__exit__(*error)

    def get_num_entities(self) -> NumberOfEntities:
        """Return that it waits for one subscription."""
        return NumberOfEntities(num_subs=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        """Wait for the subscription."""
        self._index = wait_set.add_subscription(self._subscription.handle)

    def is_ready(self, wait_set: Any) -> bool:
        """Whether a message waits."""
        return bool(wait_set.is_ready('subscription', self._index))

    def take_data(self) -> tuple[Any, dict[str, Any]] | None:
        """Return the next message and its information; None if there is none."""
        try:
            with self._subscription.handle:
                failed = self._rcl.rcl_take_serialized_message(
                    self._subscription.handle.pointer, ctypes.addressof(self._bytes),
                    ctypes.addressof(self._information), None)
        except InvalidHandle:  # closed since
            return None
        if failed:
            return None
        data = ctypes.string_at(self._bytes.buffer, self._bytes.length)
        try:
            message = deserialize_message(data, self._kind)
        except Exception:  # a kind of each middleware's own
            message = None
        return message, {
            'source_timestamp': self._information.source_timestamp,
            'received_timestamp': self._information.received_timestamp,
            'publisher_gid': {'data': bytes(self._information.publisher_gid)}}

    async def execute(self, taken_data: tuple[Any, dict[str, Any]] | None) -> None:
        """Hand a message over."""
        if taken_data is not None:
            self._callback(*taken_data)


def subscribe(node: Node, kind: type, topic: str, callback: Callback,
              depth: int) -> Callable[[], object]:
    """
    Subscribe to a topic with message information that has `publisher_gid`.

    :param depth: messages that wait at most
    :return: function that ends the subscription
    :raises SpowlError: the identities cannot be had
    """
    known = getattr(rclpy_subscription, 'MessageInfo', None)
    if 'publisher_gid' in getattr(known, '__annotations__', {}):
        subscription = node.create_subscription(kind, topic, callback, depth)
        return lambda: node.destroy_subscription(subscription)
    return SenderSubscription(node, kind, topic, callback, depth).close
