# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Alarms are hits, false, or missing, judged by the costs that came."""

from __future__ import annotations

import pytest

from spowl_ros.control.decision import Decision
from spowl_ros.replay.alarms import judge_alarms
from spowl_ros.replay.trace import Trace, TraceBuilder

PERIOD_NS = 100_000_000


def make_trace(alarms: str, costs: str, resets: str = '', set_back: int = 1000) -> Trace:
    """
    Return a trace at 10 Hz; a mark in the texts is an alarm, a cost, a new episode.

    :param set_back: index of the decision from which on the clock is 30 s behind
    """
    builder = TraceBuilder()
    step = 0
    for index, (alarm, cost) in enumerate(zip(alarms, costs, strict=True)):
        if resets and resets[index] != '.':
            step = 0
        now_ns = (index - 300 * (index >= set_back)) * PERIOD_NS
        builder.add(Decision(step=step, now_ns=now_ns, action=(0.0,), source='policy',
                             reason='', tripped=('model_error',) if alarm != '.' else ()))
        builder.add_outcome('cost', 0.0 if cost == '.' else 1.0)
        step += 1
    return builder.build()


def test_a_warning_before_a_cost_is_a_hit_with_its_lead() -> None:
    """The lead is from the first moment of the alarm to the first cost."""
    found = judge_alarms(make_trace('...####.......', '......ccc.....'))
    assert (found.hits, found.misses, found.false_alarms) == (1, 0, 0)
    assert found.leads.tolist() == pytest.approx([0.3])


def test_an_alarm_that_ended_long_before_is_false() -> None:
    """What happens later than the window has nothing to do with it."""
    found = judge_alarms(make_trace('##' + '.' * 40, '.' * 41 + 'c'))
    assert (found.hits, found.misses, found.false_alarms) == (0, 1, 1)
    assert found.to_dict()['lead_seconds'] is None


def test_an_alarm_after_the_cost_began_is_no_warning() -> None:
    """An alarm that only sees what happens already warned of nothing."""
    found = judge_alarms(make_trace('.......###....', '.....ccccc....'))
    assert (found.hits, found.misses, found.false_alarms) == (0, 1, 1)


def test_a_pause_makes_two_events_and_a_flicker_one() -> None:
    """Costs within a second of one another are one event."""
    assert judge_alarms(make_trace('.' * 40, '.c.c.c' + '.' * 20 + 'c' + '.' * 13)).misses == 2


@pytest.mark.parametrize('set_back', [50, 120])
def test_a_clock_set_back_makes_no_warning(set_back: int) -> None:
    """An alarm long before a cost stays false, each cost stays an event, and time never falls."""
    alarms, costs = '#' * 10 + '.' * 290, ''.join(
        'c' if index in (100, 150, 200, 250) else '.' for index in range(300))
    trace = make_trace(alarms, costs, set_back=set_back)
    found = judge_alarms(trace)
    assert (found.hits, found.misses, found.false_alarms) == (0, 4, 1)
    assert trace.time[-1] == pytest.approx(29.8)
    assert trace.time.min() == 0.0


def test_episodes_are_apart() -> None:
    """An alarm at the end of an episode does not warn of a cost at the beginning of the next."""
    found = judge_alarms(make_trace('...##.....', '.....c....', resets='.....r....'))
    assert (found.hits, found.misses, found.false_alarms) == (0, 1, 1)


def test_monitors_are_judged_alone_and_together() -> None:
    """A monitor that was silent neither hits nor alarms falsely."""
    trace = make_trace('##........', '..c.......')
    assert judge_alarms(trace, ('sensor_margin',)).misses == 1
    assert judge_alarms(trace, ('model_error',)).hits == 1


def test_an_alarm_is_not_false_where_costs_are_unknown() -> None:
    """A robot that observes no cost has neither hits nor false alarms."""
    builder = TraceBuilder(outcomes=('reward',))
    for step in range(3):
        builder.add(Decision(step=step, now_ns=step * PERIOD_NS, action=(0.0,), source='policy',
                             reason='', tripped=('model_error',)))
    found = judge_alarms(builder.build())
    assert (found.hits, found.misses, found.false_alarms, found.alarmed) == (0, 0, 0, 1.0)
