# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How well a cost value ranks what follows, where most decisions are followed by no cost."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cost_foresight import best_rank_correlation, concordance
from spowl_ros.replay.foresight import rank_correlation


def test_concordance_counts_pairs() -> None:
    """Of six pairs of a costly and a free decision, four are in order and one is a tie."""
    predicted = np.array([0.1, 0.5, 0.3, 0.3, 0.9])
    followed = np.array([0.0, 0.0, 2.0, 0.0, 1.0])
    assert concordance(predicted, followed) == pytest.approx(4.5 / 6)
    assert concordance(-followed, followed) == 0.0
    assert concordance(predicted, np.zeros(5)) is None


def test_no_prediction_is_better_than_the_best() -> None:
    """With costs after one decision in twenty, the ceiling of the rank correlation is 0.38."""
    rng = np.random.default_rng(0)
    followed = np.where(np.arange(20_000) % 20 == 0, rng.random(20_000) + 0.1, 0.0)
    best = best_rank_correlation(followed)
    assert best == pytest.approx(np.sqrt(1 - 0.95**3), abs=1e-3)
    perfect = rank_correlation(followed + 1e-6 * rng.random(20_000), followed)
    assert perfect == pytest.approx(best, abs=0.01)
