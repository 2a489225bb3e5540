# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sequences from the replay are sequences that happened."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.training.buffer import ReplayBuffer

STREAMS = 3


def filled(steps: int, capacity: int, episode: int) -> ReplayBuffer:
    """
    Return a buffer whose observations say (stream, time) and whose rewards say the time.

    :param episode: decisions of an episode, the same in all streams
    """
    buffer = ReplayBuffer(capacity, STREAMS, 2, 1)
    for time in range(steps):
        now = np.stack([np.arange(STREAMS), np.full(STREAMS, time)], axis=1)
        buffer.add(obs=now, next_obs=now + [0, 1], action=np.full((STREAMS, 1), time),
                   reward=np.full(STREAMS, time), cost=np.full(STREAMS, time % 7 == 0),
                   terminated=np.zeros(STREAMS),
                   ended=np.full(STREAMS, time % episode == episode - 1))
    return buffer


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 70), st.integers(9, 90), st.integers(1, 12), st.integers(1, 3),
       st.floats(0, 1))
def test_sequences_are_runs_of_one_stream(steps: int, capacity: int, episode: int, horizon: int,
                                          costly: float) -> None:
    """Every sequence is one stream's, without gaps, of what is still kept, masked past an end."""
    buffer = filled(steps, capacity, episode)
    batch = buffer.sample(50, horizon, np.random.default_rng(0), costly_share=costly)
    stream, time = batch.obs[..., 0].numpy(), batch.obs[..., 1].numpy()
    assert (stream == stream[0]).all()
    assert (np.diff(time, axis=0) == 1).all()
    kept = min(steps, capacity // STREAMS)
    assert time.min() >= steps - kept
    assert time.max() <= steps - 1
    assert (batch.reward.numpy() == time).all()
    assert (batch.next_obs[..., 1].numpy() == time + 1).all()
    first = time[0]
    for t in range(horizon):
        over = (first + t) // episode > first // episode
        assert (batch.mask[t].numpy() == ~over).all()


def test_every_start_is_drawn() -> None:
    """All sequences that exist are drawn, the oldest and the newest too."""
    buffer = filled(40, 60, 1000)
    batch = buffer.sample(4000, 3, np.random.default_rng(0))
    drawn = {(int(s), int(t)) for s, t in batch.obs[0].tolist()}
    assert drawn == {(s, t) for s in range(STREAMS) for t in range(20, 38)}


def test_costly_share_is_drawn_from_cost() -> None:
    """A share of the sequences has a decision that cost."""
    batch = filled(60, 300, 1000).sample(400, 3, np.random.default_rng(0), costly_share=0.5)
    assert (batch.cost[:, :200].sum(dim=0) > 0).float().mean() > 0.95


def test_cut_ends_an_episode() -> None:
    """After a cut nothing before it is continued by what follows, in that stream only."""
    buffer = filled(10, 300, 1000)
    buffer.cut([1])
    later = filled(12, 300, 1000)
    for time in (10, 11):
        buffer.add(**{name: array[time] for name, array in later.arrays.items()})
    batch = buffer.sample(600, 3, np.random.default_rng(0))
    stream, first = batch.obs[0, :, 0].numpy(), batch.obs[0, :, 1].numpy()
    cut = (stream == 1) & (first >= 8) & (first <= 9)
    assert cut.any()
    assert (batch.mask[2].numpy() == ~cut).all()


def test_state_restores_the_ring() -> None:
    """A restored buffer draws the same sequences and goes on in the same place."""
    one, other = filled(37, 60, 5), ReplayBuffer(60, STREAMS, 2, 1)
    other.load_state(one.state())
    extra = filled(1, 60, 5)
    for buffer in (one, other):
        buffer.add(**{name: array[0] for name, array in extra.arrays.items()})
    a, b = (buffer.sample(100, 3, np.random.default_rng(4)) for buffer in (one, other))
    for name in vars(a):
        assert (getattr(a, name) == getattr(b, name)).all()


def test_wrong_use_is_refused() -> None:
    """Too few decisions, or a decision without all its parts, are errors."""
    buffer = filled(2, 60, 5)
    with pytest.raises(ValueError, match='too few'):
        buffer.sample(4, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match='reward'):
        buffer.add(obs=np.zeros((STREAMS, 2)))
