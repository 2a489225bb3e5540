# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay buffer of decisions from parallel environments, sampled as sequences."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from spowl_ros.training.losses import Batch


class ReplayBuffer:
    """
    Ring of the last `capacity` decisions of `environments` parallel streams.

    Each slot holds one decision: observation, action, reward, cost, the observation after it,
    and whether the episode ended there by itself (terminated) or at all (ended).
    """

    def __init__(self, capacity: int, environments: int, obs_dim: int, action_dim: int) -> None:
        self.length = capacity // environments
        self.environments = environments
        lead = (self.length, environments)
        self.arrays = {
            'obs': np.zeros((*lead, obs_dim), np.float32),
            'next_obs': np.zeros((*lead, obs_dim), np.float32),
            'action': np.zeros((*lead, action_dim), np.float32),
            'reward': np.zeros(lead, np.float32),
            'cost': np.zeros(lead, np.float32),
            'terminated': np.zeros(lead, np.float32),
            'ended': np.zeros(lead, np.float32),
        }
        self.position = 0
        self.filled = 0

    def __len__(self) -> int:
        return self.filled * self.environments

    def add(self, **step: np.ndarray) -> None:
        """Store one decision of every environment; each array leads with the environment."""
        if step.keys() != self.arrays.keys():
            raise ValueError(f'a decision has {sorted(self.arrays)}, got {sorted(step)}')
        for name, values in step.items():
            self.arrays[name][self.position] = values
        self.position = (self.position + 1) % self.length
        self.filled = min(self.filled + 1, self.length)

    def cut(self, streams: Sequence[int]) -> None:
        """Let the last decision of some streams end its episode: it has no continuation."""
        if self.filled:
            self.arrays['ended'][self.position - 1, list(streams)] = 1.0

    def sample(self, sequences: int, horizon: int, rng: np.random.Generator,
               device: torch.device | str = 'cpu', costly_share: float = 0.0) -> Batch:
        """
        Draw `sequences` runs of `horizon` decisions, uniformly over their first decision.

        :param costly_share: fraction drawn instead from the runs in which some decision cost
        """
        starts = self.filled - horizon + 1
        if starts < 1:
            raise ValueError(f'{self.filled} decisions a stream are too few for sequences of '
                             f'{horizon}')
        start = rng.integers(starts, size=sequences)
        stream = rng.integers(self.environments, size=sequences)
        costly = round(costly_share * sequences)
        if costly:
            place, its_stream = self._costly_places()
            if len(place):
                drawn = rng.integers(len(place), size=costly)
                back = rng.integers(horizon, size=costly)
                start[:costly] = np.clip(place[drawn] - back, 0, starts - 1)
                stream[:costly] = its_stream[drawn]
        oldest = self.position - self.filled
        index = (oldest + start[None, :] + np.arange(horizon)[:, None]) % self.length
        tensors = {name: torch.from_numpy(array[index, stream[None, :]]).to(device)
                   for name, array in self.arrays.items()}
        ended = tensors.pop('ended')
        mask = torch.ones_like(ended)
        mask[1:] = torch.cumprod(1 - ended[:-1], dim=0)
        return Batch(mask=mask, **tensors)

    def _costly_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (decision counted from the oldest, stream) of every decision that cost."""
        slot, stream = np.nonzero(self.arrays['cost'][:self.filled] > 0)
        return (slot - (self.position - self.filled)) % self.length, stream

    def state(self) -> dict[str, object]:
        """Return what was filled, for a checkpoint."""
        return {'position': self.position, 'filled': self.filled,
                'arrays': {n: torch.from_numpy(a[:self.filled]) for n, a in self.arrays.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned; sizes must agree."""
        for name, values in state['arrays'].items():
            self.arrays[name][:state['filled']] = values.numpy()
        self.position, self.filled = state['position'], state['filled']
