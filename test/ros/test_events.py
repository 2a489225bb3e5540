# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What messages tell of a robot's stops, monitors and costs."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros.events import COST, DECISION, KINDS, STATE, EventWatch


def status(**values: str) -> DiagnosticStatus:
    """Return a status of these values."""
    return DiagnosticStatus(values=[KeyValue(key=key, value=value)
                                    for key, value in values.items()])


def decision(**values: str) -> bytes:
    """Return a decision as it is published."""
    return serialize_message(DiagnosticArray(status=[status(**values)]))


def test_only_a_change_is_an_event() -> None:
    """The stop before the first drive is none, nor is a stop that lasts."""
    watch = EventWatch(KINDS, 0.0)
    seen = [watch.see(DECISION, decision(source=source, monitor=monitor, reason=f'{number}'))
            for number, (source, monitor) in enumerate((
                ('stop', ''), ('plan', ''), ('policy', 'model_error'), ('policy', 'model_error'),
                ('stop', 'staleness'), ('stop', 'staleness'), ('plan', ''), ('stop', ''),
                ('operator', 'operator'), ('operator', 'operator')))]
    assert [(event.kind, event.reason) for one in seen for event in one.events] == [
        ('monitor', '2'), ('stop', '4'), ('monitor', '4'), ('stop', '7'), ('operator', '8')]


def test_the_supervisors_stop_and_a_cost_are_events() -> None:
    """A cost that lasts is one event, and one that is no number is one, too."""
    watch = EventWatch(KINDS, 0.5)
    states = [watch.see(STATE, serialize_message(status(state=state, reason='near')))
              for state in ('stopped', 'passing', 'limited', 'stopped', 'stopped')]
    assert [len(one.events) for one in states] == [0, 0, 0, 1, 0]
    costs = [watch.see(COST, serialize_message(Float64(data=cost)))
             for cost in (0.5, 1.0, 1.0, 0.0, float('nan'), 0.0)]
    assert [len(one.events) for one in costs] == [0, 1, 0, 0, 1, 0]


def test_unwanted_events_and_foreign_bytes_tell_nothing() -> None:
    """Settings are read all the same."""
    watch = EventWatch(('cost',), 0.0)
    watch.see(DECISION, decision(source='plan'))
    seen = watch.see(DECISION, decision(source='stop', settings='{}'))
    assert seen.events == ()
    assert seen.settings == '{}'
    assert watch.see(STATE, b'\x00\x01\x00\x00rubbish').events == ()


def test_an_unknown_event_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(SpowlError, match='stop, monitor, cost, operator'):
        EventWatch(('crash',), 0.0)
