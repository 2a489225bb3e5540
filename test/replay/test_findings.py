# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The sentences of a report say what its figures say."""

from __future__ import annotations

from typing import Any

from spowl_ros.replay.findings import findings


def measured(**changes: Any) -> dict[str, Any]:
    """Return the figures of a good replay, some of them changed."""
    calibration = {'bias': 0.1, 'correlation': 0.8}
    return {
        'decisions': 100, 'identical': True, 'diverged_at': None, 'changes': {}, 'cost': 2.0,
        'divergence': {'action': {'decisions': 0, 'first': None, 'max': 0.0}, 'sources': {},
                       'value': 0.0, 'cost_value': 0.0},
        'value_calibration': calibration,
        'cost_value_calibration': {**calibration, 'coverage': {'wanted': 0.9, 'observed': 0.95}},
        'alarm': {'hits': 3, 'misses': 1, 'false_alarms': 2, 'lead_seconds': 1.25},
        'latency_ms': {'deadline_misses': 0}} | changes


def said(**changes: Any) -> str:
    """Return all sentences."""
    return '\n'.join(findings(measured(**changes)))


def test_a_good_replay() -> None:
    """Identity, predictions, bound, alarms and deadlines are each told."""
    assert findings(measured()) == [
        'It decides as was recorded, bit for bit.',
        'The cost value is 0.1 too high on average (cautious) and tells more from less dangerous '
        'situations (rank correlation 0.80).',
        'The value is 0.1 too high on average (hopeful) and tells better from worse situations '
        '(rank correlation 0.80).',
        'The conformal bound of the cost value holds: 95.0% of the costs that followed stayed '
        'below it, 90% were wanted.',
        'Monitors warned of 3 of 4 costs, 1.2 s before (median); 2 alarms were false.',
        'Deadlines: 0 missed.']


def test_what_would_have_been_otherwise() -> None:
    """Changes, the first other action, and what they mean are in the first sentences."""
    first, second, *_ = findings(measured(
        identical=False, diverged_at=0, changes={'planner.kind': 'policy'},
        divergence={'action': {'decisions': 40, 'first': 7, 'max': 0.5},
                    'sources': {'plan to policy': 30}, 'value': -0.25, 'cost_value': 0.125}))
    assert first.startswith('With planner.kind = policy it would have acted otherwise at 40 of '
                            '100 decisions, from decision 7 on')
    assert 'at 30 another source' in first
    assert 'the value of what it does by -0.25' in second
    assert 'the cost value of what it does by +0.12' in second


def test_the_same_actions_for_other_reasons() -> None:
    """Where only thresholds differ, nothing would have been done otherwise."""
    assert said(identical=False, diverged_at=4).startswith('It acts as was recorded, and differs')


def test_what_cannot_be_said_is_not_said() -> None:
    """Without decisions, costs or enough of them there is no judgement."""
    unknown = {'bias': None, 'correlation': None}
    text = said(
        divergence=None, identical=None, cost=None, value_calibration=unknown,
        cost_value_calibration={**unknown, 'coverage': {'wanted': 0.9, 'observed': None}})
    assert 'no recorded decisions' in text
    assert 'Whether the cost value was right is not known' in text
    assert 'bound' not in text and 'alarms' not in text


def test_costs_that_never_came_prove_little() -> None:
    """A cost value is not praised for its order where there was nothing to put in order."""
    text = said(cost=0.0, alarm={'hits': 0, 'misses': 0, 'false_alarms': 5, 'lead_seconds': None})
    assert 'dangerous' not in text
    assert 'says little' in text and '5 alarms were false' in text
