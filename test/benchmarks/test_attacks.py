# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Attacks on a running supervisor and adapter: the robot stands, and somebody says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.adapter_attacks import AdapterAttack, adapter_attacks
from benchmarks.attacks import BLINDING, Attack, attacks, attempt
from spowl_ros.control import bundle

pytestmark = pytest.mark.slow

TESTED_ELSEWHERE = [f'hazards_scan: {name}' for name in list(BLINDING)[2:]]
"""What a scan may not say is in test/robot/test_edges.py; two go through the node here."""
LIES = ('a leap of 100 m', 'a second publisher', 'a second publisher, all free',
        'stamps that never change')
"""Lies that only the node knows; test/robot/test_edges.py has the others."""


@pytest.mark.parametrize('attack', [attack for attack in attacks()
                                    if attack.name not in TESTED_ELSEWHERE],
                         ids=lambda attack: attack.name)
def test_nothing_is_lost(untrained_bundle: Path, ros_domain: int, attack: Attack) -> None:
    """What the attack must not reach, it does not reach, and the operator reads the reason."""
    lost, _ = attempt(untrained_bundle, bundle.read_contract(untrained_bundle), attack)
    assert lost == ''


@pytest.mark.parametrize('attack', [attack for attack in adapter_attacks()
                                    if attack.name.partition(': ')[2] in LIES],
                         ids=lambda attack: attack.name)
def test_no_lie_reaches_the_controller(untrained_bundle: Path, ros_domain: int,
                                       attack: AdapterAttack) -> None:
    """The adapter makes no sensor of it, and /diagnostics says why."""
    assert attack.attempt(untrained_bundle)[0] == ''
