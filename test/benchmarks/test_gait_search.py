# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The search for gaits begins where a gait is, and a robot on its back has fallen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gait_search
from spowl_ros.training.gait import load

GAITS = Path(__file__).parents[2] / 'config' / 'training' / 'gaits'


@pytest.mark.parametrize('robot', gait_search.LEGS)
def test_the_numbers_of_legs_give_their_strokes(robot: str) -> None:
    """The second search from a gait on begins with that gait."""
    legs = gait_search.LEGS[robot]
    strokes = np.array(list(load(GAITS / f'{robot}.yaml').strokes.values()))
    numbers = legs.numbers_of(strokes)
    assert numbers.shape == (legs.numbers,)
    np.testing.assert_allclose(legs.strokes(numbers), strokes, atol=1e-3)


def test_a_gait_that_rolls_over_earns_less_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lying on its back ends the episode with the penalty of a fall."""
    walker = gait_search.Walker('Doggo')
    still = walker.gait(np.zeros((12, 3, 3)), np.zeros((len(walker.names), 2)),
                        gait_search.Avoidance(0.0, 0.0, 1.0, 1.0))
    monkeypatch.setattr(gait_search, 'STEER_DECISIONS', 5)
    upright = walker.steer(still, seed=0)
    reset = walker.environment.reset

    def on_its_back(seed: int | None = None) -> object:
        observation = reset(seed=seed)
        data = walker.environment.body._task.data
        data.qpos[2], data.qpos[3:7] = 1.0, [0.0, 1.0, 0.0, 0.0]
        return observation
    monkeypatch.setattr(walker.environment, 'reset', on_its_back)
    assert walker.steer(still, seed=0) < upright - gait_search.FALL
