# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A contract with a value that makes no sense does not come to be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from spowl_ros.control.contract import Contract, ContractError

MODELS = Path(__file__).resolve().parents[2] / 'models'
INF, NAN = math.inf, math.nan


def good() -> dict[str, Any]:
    """Return the contract of a shipped model."""
    return json.loads((MODELS / 'SafetyPointGoal1-v0/manifest.json').read_text())['contract']


NONSENSE = [
    ('action', 'stop', [2.0, 0.0], 'outside'),
    ('action', 'stop', [0.0], 'one number for each'),
    ('action', 'stop', [NAN, 0.0], 'wanted numbers'),
    ('action', 'low', [-INF, -1.0], 'wanted numbers'),
    ('action', 'low', [1.0, 1.0], 'not below'),
    ('action', 'low', ['-1', -1.0], 'wanted numbers'),
    ('action', 'low', 5, 'one number for each'),
    ('action', 'high', [True, 1.0], 'wanted numbers'),
    ('action', 'high', [-28.0, -9.0], 'not below'),
    ('action', 'low', [0.5, -1.0], 'outside'),
    ('action', 'high', [1e300, 1.0], 'wanted numbers'),
    ('action', 'names', [], 'no actuators'),
    ('action', 'names', ['x', 'x'], 'each another'),
    ('action', 'kind', 'position', 'wanted one of effort, velocity'),
    ('action', 'change', 0.0, 'more than 0'),
    ('action', 'change', -1.0, 'more than 0'),
    ('action', 'change', NAN, 'more than 0'),
    ('', 'fields', [], 'no sensors'),
    ('', 'raw_period', 0.0001, 'control period'),
    ('', 'raw_period', 0.0, 'control period'),
    ('', 'raw_period', -0.02, 'control period'),
    ('', 'raw_period', INF, 'control period'),
    ('', 'raw_period', 3600.0, 'control period'),
    ('', 'raw_period', None, 'control period'),
    ('', 'action_repeat', 0, 'integer from 1'),
    ('', 'action_repeat', 2.5, 'integer from 1'),
    ('', 'task', '', 'no name'),
    ('', 'robot', '\x1b[2J', 'no name'),
    ('field', 'size', 0, 'integer from 1'),
    ('field', 'size', 10**9, 'integer from 1'),
    ('field', 'topic', 'no topic!', 'no topic'),
    ('field', 'low', NAN, 'two numbers in order'),
    ('field', 'low', 2.0, 'two numbers in order'),
    ('field', 'timeout', 0.0, 'timeout'),
    ('field', 'timeout', INF, 'timeout'),
    ('field', 'timeout', 1e6, 'timeout'),
    ('field', 'hazard_radius', -0.2, 'hazard_radius'),
    ('field', 'hazard_radius', NAN, 'hazard_radius'),
    ('field', 'hazard_radius', 10.0, 'hazard_radius'),
    ('field', 'wanted', 'nowhere', 'which is no scan'),
    ('field', 'name', 'goal_lidar', 'stands 2 times'),
]


@pytest.mark.parametrize(('part', 'key', 'value', 'words'), NONSENSE)
def test_nonsense_is_refused(part: str, key: str, value: object, words: str) -> None:
    """One sentence says which value it is and what is wanted."""
    data = good()
    place = {'': data, 'action': data['action'],
             'field': next(field for field in data['fields'] if field['name'] == 'hazards_lidar')}
    place[part][key] = value
    with pytest.raises(ContractError, match=words) as caught:
        Contract.from_dict(data)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('model', sorted(path.name for path in MODELS.iterdir()))
def test_shipped_contracts_are_sound(model: str) -> None:
    """Every shipped model has a contract that makes sense and survives a round trip."""
    data = json.loads((MODELS / model / 'manifest.json').read_text())['contract']
    contract = Contract.from_dict(data)
    assert Contract.from_dict(contract.to_dict()) == contract
