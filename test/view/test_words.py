# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page says."""

from __future__ import annotations

from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Reading
from spowl_ros.control.plan import Plan
from spowl_ros.view import words
from spowl_ros.view.frame import Frame, Health


def frame(source: str = 'policy', reason: str = '', silence: float = 0.0,
          supervisor: Health | None = None) -> Frame:
    """Return a moment with one decision."""
    made = Decision(step=0, now_ns=0, action=(0.5, -0.5), source=source, reason=reason)
    return Frame('', decision=made, silence=silence, supervisor=supervisor)


def test_the_headline_says_who_really_moves_the_robot() -> None:
    """A silent controller and a stop of the supervisor come before what the controller wants."""
    assert 'the policy acts' in words.headline(frame())
    assert 'no decision for 4 s' in words.headline(frame(silence=4.0))
    stopped = frame(supervisor=Health('supervisor', 2, 'stopped: by an operator'))
    assert 'the supervisor has stopped the robot' in words.headline(stopped)
    assert 'by an operator' in words.headline(stopped)
    assert (words.acting(stopped), words.acting(frame()), words.acting(Frame(''))) == (
        'stop', 'policy', 'stop')
    assert 'no decision yet' in words.headline(Frame(''))


def test_the_comparison_tells_of_the_candidates() -> None:
    """Without places to draw, their number is given, and why there is no picture of them."""
    plan = Plan('plan', (0.5, 0.0), (0.1, 0.0), 4.0, 3.5, 0.1, 0.2, 3.4, 0.3, 3.0, 0.4, 57.0, 0.2,
                2)
    made = Decision(step=0, now_ns=0, action=(0.5, 0.0), source='plan', reason='', plan=plan)
    said = words.comparison(Frame('', decision=made))
    assert '57 candidates met both thresholds after 2 improvements' in said
    assert '| wanted of the plan | | at least 3.4 | at most 0.3 |' in said
    assert words.comparison(Frame('')) == 'No plan was made.'


def test_texts_from_the_network_are_no_markup() -> None:
    """A reason, a part's name and a message cannot put elements or columns into the page."""
    evil = '<img src=x onerror=alert(1)>|x'
    reports = Frame('', supervisor=Health('s', 0, evil), diagnostics=(Health(evil, 0, evil),))
    said = ''.join((words.headline(frame(reason=evil)), words.supervisor(reports),
                    words.diagnostics(reports), words.robots((Frame(evil), Frame('b')))))
    assert '<img' not in said
    assert '|x' not in words.diagnostics(reports)


def test_names_in_a_decision_are_no_markup() -> None:
    """A decision that was made elsewhere cannot bring HTML, Markdown or columns into the page."""
    evil = '<img src=x>|[a](b)![c](d)`e`**f**'
    made = Decision(step=0, now_ns=0, action=(0.5,), source=evil, reason=evil, monitor=evil,
                    readings=(Reading(evil, reason=evil),), tripped=(evil,))
    here = Frame('', decision=made, silence=0.0)
    said = words.monitors(here) + words.robots((here,))
    assert not set('<>[]!`').intersection(said)
    assert said.count('f') and '**f' not in said
    assert {line.count('|') for line in words.monitors(here).splitlines()} == {5}
    assert '<img' not in words.headline(here)


def test_a_cost_that_nobody_tells_is_not_zero() -> None:
    """Return and cost are shown as unknown until they are heard."""
    assert words.outcome(frame()).count('<b>–</b>') == 2
    robots = words.robots((Frame('a'), Frame('b', episode_return=1.0, cost=0.0)))
    assert robots.splitlines()[2:] == ['| a | silent | – | – |', '| b | silent | 1.00 | 0 |']
