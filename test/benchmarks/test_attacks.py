# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Attacks on a running supervisor, each once: the robot stands, and somebody says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.attacks import Attack, attacks, attempt
from spowl_ros.control import bundle

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('attack', attacks(), ids=lambda attack: attack.name)
def test_nothing_is_lost(untrained_bundle: Path, ros_domain: int, attack: Attack) -> None:
    """What the attack must not reach, it does not reach, and the operator reads the reason."""
    lost, _ = attempt(untrained_bundle, bundle.read_contract(untrained_bundle), attack)
    assert lost == ''
