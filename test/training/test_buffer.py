# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sequences from the replay are sequences that happened."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from spowl_ros.control.window import Wide
from spowl_ros.training.buffer import ReplayBuffer
from spowl_ros.training.losses import Batch

STREAMS = 3


def draw(buffer: ReplayBuffer, sequences: int, horizon: int, costly: float = 0.0, seed: int = 0
         ) -> Batch:
    """Return a batch of the first learner, without the learners' axis."""
    buffer.count_costly()
    generators = [torch.Generator().manual_seed(seed + i) for i in range(buffer.learners)]
    share = torch.full((buffer.learners, 1), costly, dtype=torch.float64)
    batch = buffer.sample(sequences, horizon, generators, share)
    return Batch(**{name: value[0] for name, value in batch._asdict().items()})


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
    batch = draw(buffer, 50, horizon, costly)
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


@settings(max_examples=40, deadline=None)
@given(st.integers(9, 70), st.integers(24, 90), st.integers(1, 12), st.integers(1, 3),
       st.integers(1, 4), st.floats(0, 1))
def test_windows_are_those_that_the_policy_read(steps: int, capacity: int, episode: int,
                                                horizon: int, k: int, costly: float) -> None:
    """Beside each sampled observation is the window that its stream had then."""
    rest = np.array([-1.0], np.float32)
    buffer = ReplayBuffer(capacity, STREAMS, 2, 1, window=k, rest=rest.tolist())
    wide = [Wide(k, 2, rest) for _ in range(STREAMS)]
    read: dict[tuple[int, int, str], list[float]] = {}
    for time in range(steps):
        ended = time % episode == episode - 1
        for stream, one in enumerate(wide):
            seen, action = np.array([stream, time], np.float32), np.array([time], np.float32)
            if time % episode == 0:
                read[stream, time, 'obs'] = one.begin(seen).tolist()
            read[stream, time, 'next_obs'] = one.after(action, seen + [0, 0.5 if ended else 1]
                                                       ).tolist()
            read[stream, time + 1, 'obs'] = read[stream, time, 'next_obs']
        now = np.stack([np.arange(STREAMS), np.full(STREAMS, time)], axis=1)
        buffer.add(obs=now, next_obs=now + [0, 0.5 if ended else 1],
                   action=np.full((STREAMS, 1), time), reward=np.zeros(STREAMS),
                   cost=np.full(STREAMS, time % 7 == 0), terminated=np.zeros(STREAMS),
                   ended=np.full(STREAMS, ended))
    batch = draw(buffer, 30, horizon, costly)
    for name in ('obs', 'next_obs'):
        for at, found in zip(batch.obs[..., :2].reshape(-1, 2).tolist(),
                             getattr(batch, name).reshape(-1, 2 + 3 * k).tolist(), strict=True):
            assert found == read[int(at[0]), int(at[1]), name]


def test_every_start_is_drawn() -> None:
    """All sequences that exist are drawn, the oldest and the newest too."""
    buffer = filled(40, 60, 1000)
    batch = draw(buffer, 4000, 3)
    drawn = {(int(s), int(t)) for s, t in batch.obs[0].tolist()}
    assert drawn == {(s, t) for s in range(STREAMS) for t in range(20, 38)}


def test_costly_share_is_drawn_from_cost() -> None:
    """A share of the sequences has a decision that cost."""
    batch = draw(filled(60, 300, 1000), 400, 3, costly=0.5)
    assert (batch.cost[:, :200].sum(dim=0) > 0).float().mean() > 0.95


def test_cut_ends_an_episode() -> None:
    """After a cut nothing before it is continued by what follows, in that stream only."""
    buffer = filled(10, 300, 1000)
    buffer.cut([1])
    later = filled(12, 300, 1000)
    for time in (10, 11):
        buffer.add(**{name: array[0, time] for name, array in later.arrays.items()})
    batch = draw(buffer, 600, 3)
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
        buffer.add(**{name: array[0, 0] for name, array in extra.arrays.items()})
    a, b = (draw(buffer, 100, 3, 0.5, seed=4) for buffer in (one, other))
    assert all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def test_wrong_use_is_refused() -> None:
    """Too few decisions, or a decision without all its parts, are errors."""
    ReplayBuffer(60, STREAMS, 2, 1).count_costly()  # of nothing there is nothing to count
    buffer = filled(2, 60, 5)
    with pytest.raises(ValueError, match='too few'):
        draw(buffer, 4, 3)
    with pytest.raises(ValueError, match='reward'):
        buffer.add(obs=np.zeros((STREAMS, 2)))


def test_a_learner_draws_only_from_its_own_replay() -> None:
    """Of two learners' buffers each gives what that learner alone would get with its seed."""
    alone = [filled(37, 60, 5), filled(37, 60, 5)]
    alone[1].arrays['reward'] += 100.0
    alone[1].arrays['cost'] = 1.0 - alone[1].arrays['cost']
    both = ReplayBuffer(60, STREAMS, 2, 1, learners=2)
    for learner, buffer in enumerate(alone):
        both.load_state(buffer.state(), learner)
    both.count_costly()
    batch = both.sample(30, 3, [torch.Generator().manual_seed(seed) for seed in (4, 5)],
                        torch.tensor([[0.5], [0.2]], dtype=torch.float64))
    for learner, (buffer, share) in enumerate(zip(alone, (0.5, 0.2), strict=True)):
        mine = draw(buffer, 30, 3, share, seed=4 + learner)
        for name, value in mine._asdict().items():
            assert torch.equal(getattr(batch, name)[learner], value), name


@pytest.mark.slow
def test_a_compiled_sample_is_the_same() -> None:
    """It compiles once for a growing and for a full ring, and chooses the same sequences."""
    plain, fused = (filled(12, 60, 5), ReplayBuffer(60, STREAMS, 2, 1, fused=True))
    fused.load_state(plain.state())
    torch._dynamo.utils.counters.clear()
    for seed in range(20):
        one, other = (draw(buffer, 20, 3, 0.5, seed) for buffer in (plain, fused))
        assert all(map(torch.equal, one, other))
        extra = filled(1, 60, 5)
        for buffer in (plain, fused):
            buffer.add(**{name: array[0, 0] for name, array in extra.arrays.items()})
    assert plain.filled == plain.length
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 1
