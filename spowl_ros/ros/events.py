# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detects events in a robot's messages: stops, monitors or persons that take the lead, costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.serialization import deserialize_message
from std_msgs.msg import Float64

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION, STATE
from spowl_ros.control.operator import OPERATOR

KINDS = ('stop', 'monitor', 'cost', OPERATOR)
COST = 'cost'
TOPICS = (DECISION, STATE, COST)
"""Topics that show events."""


class Event(NamedTuple):
    """Something that happened."""

    kind: str
    """One of KINDS."""
    reason: str


class Seen(NamedTuple):
    """What one message shows."""

    events: tuple[Event, ...] = ()
    settings: str = ''
    """Settings of a decision that holds them."""


class EventWatch:
    """
    Compares each message with the one before; only a change is an event.

    :param kinds: the wanted ones of KINDS
    :param cost: a greater cost is an event, and so is not-a-number
    :raises SpowlError: there is no such kind of event
    """

    def __init__(self, kinds: Iterable[str], cost: float) -> None:
        self._kinds = set(kinds)
        if wrong := sorted(self._kinds - set(KINDS)):
            raise SpowlError(f"there is no event '{wrong[0]}'; there are {', '.join(KINDS)}")
        self._limit = cost
        self._source = self._leader = self._state = ''
        self._costly = False
        self._readers: dict[str, tuple[Any, Callable[[Any], Seen]]] = {
            DECISION: (DiagnosticArray, self._decisions), STATE: (DiagnosticStatus, self._states),
            COST: (Float64, self._costs)}

    def see(self, topic: str, data: bytes) -> Seen:
        """
        Examine a serialized message of one of TOPICS.

        Bytes that are no such message show no event; they are recorded all the same.
        """
        kind, reader = self._readers[topic]
        try:
            seen = reader(deserialize_message(data, kind))
        except Exception:  # rclpy raises several kinds for other bytes
            return Seen()
        return seen._replace(events=tuple(event for event in seen.events
                                          if event.kind in self._kinds))

    def _decisions(self, message: DiagnosticArray) -> Seen:
        events, settings = [], ''
        for status in message.status:
            values = _values(status)
            source, leader = values.get('source', ''), values.get('monitor', '')
            reason = values.get('reason', '')
            if source == 'stop' and self._source not in ('', 'stop'):
                events.append(Event('stop', reason))
            if leader and leader != self._leader:
                events.append(Event(OPERATOR if leader == OPERATOR else 'monitor', reason))
            self._source, self._leader = source, leader
            settings = values.get('settings', '') or settings
        return Seen(tuple(events), settings)

    def _states(self, message: DiagnosticStatus) -> Seen:
        values = _values(message)
        state, before = values.get('state', ''), self._state
        self._state = state or before
        if state == 'stopped' and before not in ('', 'stopped'):
            return Seen((Event('stop', f'supervisor: {values.get("reason", "")}'),))
        return Seen()

    def _costs(self, message: Float64) -> Seen:
        before, self._costly = self._costly, not message.data <= self._limit
        if self._costly and not before:
            return Seen((Event('cost', f'{message.data:g}'),))
        return Seen()


def _values(status: DiagnosticStatus) -> Mapping[str, str]:
    return {item.key: item.value for item in status.values}
