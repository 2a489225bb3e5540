# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A decision survives as text, to the last bit."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.decision import LARGEST, SOURCES, Decision
from spowl_ros.control.monitors.base import Reading
from spowl_ros.control.plan import Plan

LARGEST_FLOAT = float(np.finfo(np.float32).max)
NUMBERS = st.floats(-LARGEST_FLOAT, LARGEST_FLOAT) | st.sampled_from([math.inf, -math.inf])
ACTIONS = st.lists(NUMBERS, max_size=12).map(tuple)
INTEGERS = st.integers(0, LARGEST)
NAMES = st.sampled_from(['staleness', 'values', 'deadline', 'model_error'])
TEXTS = st.text(max_size=20)
PLANS = st.builds(
    Plan, source=st.sampled_from(['plan', 'policy']), plan_action=ACTIONS,
    policy_action=ACTIONS, iterations=INTEGERS,
    **dict.fromkeys(
        ('plan_value', 'policy_value', 'plan_cost_value', 'policy_cost_value', 'value_low',
         'cost_value_high', 'value_threshold', 'cost_threshold', 'counted', 'model_error'),
        NUMBERS))
READINGS = st.lists(
    st.builds(Reading, monitor=NAMES, value=NUMBERS, limit=NUMBERS, alarm=st.booleans(),
              clear=st.booleans(), reason=TEXTS),
    max_size=4, unique_by=lambda reading: reading.monitor).map(tuple)
DECISIONS = st.builds(
    Decision, step=INTEGERS, now_ns=INTEGERS, action=ACTIONS, source=st.sampled_from(SOURCES),
    reason=TEXTS, monitor=st.just('') | NAMES, stamps_ns=st.lists(INTEGERS).map(tuple),
    silences=ACTIONS, plan=st.none() | PLANS, cost=NUMBERS, cost_offset=NUMBERS,
    deadline_missed=st.booleans(), readings=READINGS,
    tripped=st.lists(NAMES).map(tuple), seconds=st.dictionaries(NAMES, NUMBERS), settings=TEXTS)


@given(DECISIONS)
def test_text_gives_the_same_decision(decision: Decision) -> None:
    """Every number comes back equal."""
    again = Decision.from_items(decision.to_items())
    assert repr(again) == repr(decision)  # NaN is no NaN's equal from Python 3.13 on


def test_not_a_number_survives() -> None:
    """What was not known is not known afterwards."""
    decision = Decision(0, 0, (0.0,), 'stop', 'no sensors')
    assert math.isnan(Decision.from_items(decision.to_items()).cost)


def test_actions_have_one_name_per_component() -> None:
    """Plotting tools find each component by its name."""
    names = dict(Decision(0, 0, (0.5, -0.25), 'stop', '').to_items())
    assert names['action.0'] == '0.5'
    assert names['action.1'] == '-0.25'


@pytest.mark.parametrize('items', [[], [('step', 'one')]])
def test_other_records_are_refused(items: list[tuple[str, str]]) -> None:
    """A record that is not a decision is named as such."""
    with pytest.raises(SpowlError, match='not a decision record'):
        Decision.from_items(items)


EVIL = '<script>alert(1)</script>'
WRONG = {
    'source': 'dance', 'monitor': EVIL, 'tripped': f'values {EVIL}', 'step': str(2**70),
    'now_ns': str(10**30), 'stamps_ns': '1 -1', 'plan.source': 'stop', 'plan.iterations': '-1',
    'action.0': 'much', 'action.1': '1e308', 'plan.value_low': '-1e308', 'silences': '1e39',
    'deadline_missed': 'maybe', 'seconds.total': '1e306', f'seconds.{EVIL}': '1.0',
    f'monitors.{EVIL}.value': '1.0', 'monitors.': '1.0'}


@pytest.mark.parametrize('key', WRONG)
def test_what_no_controller_says_is_refused(key: str) -> None:
    """An unknown source, a number that does not fit and a name that is no word end the reading."""
    plan = Plan('plan', (0.5,), (0.1,), 4.0, 3.5, 0.1, 0.2, 3.4, 0.3, 3.0, 0.4, 57.0, 0.2, 2)
    items = dict(Decision(0, 0, (0.5,), 'plan', '', plan=plan).to_items())
    assert Decision.from_items(items.items()).source == 'plan'
    items[key] = WRONG[key]
    for part in ('value', 'limit', 'alarm', 'clear', 'reason'):
        if key.endswith('.value'):
            items[key.replace('value', part)] = {'alarm': 'true', 'clear': 'false'}.get(part, '1')
    with pytest.raises(SpowlError, match='not a decision record') as error:
        Decision.from_items(items.items())
    assert '\n' not in str(error.value) and len(str(error.value)) < 300
