# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The noise of exploration: its size, its memory, its continuation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import pytest

from spowl_ros.errors import SpowlError
from spowl_ros.training.exploration import KINDS, Exploration


def make(kind: str, seed: int = 0) -> Exploration:
    """Return the noise of 50 streams of three actuators that act at 5 Hz."""
    return Exploration(kind, (50, 3), 0.2, np.random.default_rng(seed))


def correlation(noise: NDArray[np.float32]) -> float:
    """Return how much a decision's noise (T, streams, A) resembles the one's before."""
    return float(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1])


@pytest.mark.parametrize('kind', KINDS)
def test_noise_is_of_mean_0_and_variance_1(kind: str) -> None:
    """The policy's standard deviation means the same with every kind."""
    exploration = make(kind)
    noise = np.array([exploration.normal() for _ in range(400)])
    assert noise.shape == (400, 50, 3)
    assert abs(noise.mean()) < 0.02
    assert noise.var() == pytest.approx(1.0, abs=0.03)


def test_oscillations_have_a_memory() -> None:
    """White noise forgets at once; an oscillation goes on."""
    white, oscillating = (np.array([exploration.normal() for _ in range(400)])
                          for exploration in map(make, KINDS))
    assert abs(correlation(white)) < 0.02
    assert correlation(oscillating) > 0.2


@pytest.mark.parametrize('kind', KINDS)
def test_actions_are_within_limits(kind: str) -> None:
    """Every actuator of every stream moves, in both directions, and none beyond its limits."""
    exploration = make(kind)
    actions = np.array([exploration.actions() for _ in range(600)])
    assert np.abs(actions).max() <= 1.0
    assert (actions.min(axis=0) < 0.0).all()
    assert (actions.max(axis=0) > 0.0).all()


def test_it_goes_on_where_it_was() -> None:
    """From a state and a generator's state the same noise follows."""
    first = make('oscillating')
    for _ in range(30):
        first.normal()
    second = make('oscillating', seed=1)
    second.load_state(first.state())
    second._rng.bit_generator.state = first._rng.bit_generator.state
    for _ in range(200):
        assert (first.normal() == second.normal()).all()


def test_an_unknown_kind_is_refused() -> None:
    """The message names those that exist."""
    with pytest.raises(SpowlError, match='white, oscillating'):
        make('pink')
