# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Episodes driven awake and asleep are compared pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sleep_agreement import p_paired


def test_p_is_the_share_of_sign_flips() -> None:
    """Of the 16 signs of four equal differences two have a mean as far from 0."""
    assert p_paired(np.full(4, 3.0)) == pytest.approx(2 / 16, abs=0.01)
    assert p_paired(np.full(4, -3.0)) == p_paired(np.full(4, 3.0))


def test_the_spread_of_layouts_does_not_hide_a_difference() -> None:
    """Costs from 0 to 200 that all fall by 5 to 7 differ surely; equal ones do not."""
    rng = np.random.default_rng(1)
    awake = rng.uniform(0.0, 200.0, 20)
    asleep = awake - rng.uniform(5.0, 7.0, 20)
    assert p_paired(asleep - awake) < 0.001
    assert p_paired(awake - awake) == 1.0


def test_differences_of_both_signs_are_chance() -> None:
    """What rises here and falls there as much is no difference."""
    assert p_paired(np.array([4.0, -4.0, 1.0, -1.0, 2.0, -2.0])) == 1.0
