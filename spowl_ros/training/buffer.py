# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay buffers on the learners' device, sampled as sequences."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spowl_ros.training.acceleration import Compiled
from spowl_ros.training.losses import Batch
from spowl_ros.training.stream import decision_shapes


class ReplayBuffer:
    """
    Ring buffers of the last decisions of parallel streams, one for each of M learners.

    Each slot holds one decision: observation, action, reward, cost, the observation after it, and
    whether the episode ended there in a terminal state (terminated) or for any reason (ended).

    Observations are stored once. A sample has the window of each beside it, see `control.window`.

    :param capacity: decisions of one learner
    :param environments: streams of one learner
    :param window: rows of the window
    :param rest: (A,) action of rest, for a window's rows before an episode's beginning
    :param fused: compile what follows the random numbers of a sample, on a GPU
    """

    def __init__(self, capacity: int, environments: int, obs_dim: int, action_dim: int,
                 learners: int = 1, device: torch.device | str = 'cpu', window: int = 0,
                 rest: Sequence[float] | None = None, fused: bool = False) -> None:
        self.length = capacity // environments
        self.environments, self.learners = environments, learners
        self.device = torch.device(device)
        self.window = window
        self._rest = torch.tensor([0.0] * action_dim if rest is None else list(rest),
                                  device=self.device)
        # numpy's zeros take no memory until written
        self.arrays = {name: torch.from_numpy(np.zeros(
            (learners, self.length, environments, *size), np.float32)).to(self.device)
            for name, size in decision_shapes(obs_dim, action_dim).items()}
        """(M, slots, streams, ...) by name."""
        self.position = 0
        self.filled = 0
        self._place = torch.zeros(2, dtype=torch.int64, device=self.device)
        self._costly = torch.zeros(learners, self.length * environments, dtype=torch.int64,
                                   device=self.device)
        self._gather = Compiled(self._gathered) if fused else self._gathered

    def add(self, **step: np.ndarray) -> None:
        """Store one decision of every stream, learner by learner; axis 0 is the stream."""
        if step.keys() != self.arrays.keys():
            raise ValueError(f'a decision has {sorted(self.arrays)}, got {sorted(step)}')
        for name, values in step.items():
            array = self.arrays[name]
            given = torch.as_tensor(np.asarray(values, np.float32))
            array[:, self.position] = given.view(self.learners, *array.shape[2:]).to(self.device)
        self.position = (self.position + 1) % self.length
        self.filled = min(self.filled + 1, self.length)
        self._place[0], self._place[1] = self.position, self.filled

    def cut(self, streams: Sequence[int]) -> None:
        """Mark the last decision of some streams as the end of its episode."""
        if self.filled:
            for stream in streams:
                learner, own = divmod(stream, self.environments)
                self.arrays['ended'][learner, self.position - 1, own] = 1.0

    def count_costly(self) -> None:
        """Count the costly decisions; call once after adding decisions and before `sample`."""
        if self.filled:
            last = self.filled * self.environments
            costly = self.arrays['cost'].view(self.learners, -1)[:, :last] > 0
            torch.cumsum(costly, dim=1, out=self._costly[:, :last])
            self._costly[:, last:] = self._costly[:, last - 1:last]

    def holds(self, horizon: int) -> bool:
        """Whether sequences of `horizon` decisions can be drawn."""
        return self.filled >= horizon + self.window * (self.filled == self.length)

    def sample(self, sequences: int, horizon: int, generators: Sequence[torch.Generator],
               costly_share: Tensor | None = None) -> Batch:
        """
        Draw `sequences` sequences of `horizon` decisions per learner, with uniform starts.

        Reads nothing back from the device, so a CUDA graph can capture it.

        :param generators: one per learner
        :param costly_share: (M, 1) float64, fraction drawn instead from sequences that contain
            cost; None: nothing
        :return: tensors with leading axes (M, horizon, sequences)
        """
        if not self.holds(horizon):
            raise ValueError(f'{self.filled} decisions a stream are too few for sequences of '
                             f'{horizon}')
        drawn = torch.stack([torch.rand(4, sequences, device=self.device, generator=generator)
                             for generator in generators])
        batch: Batch = self._gather(drawn, horizon, costly_share)
        return batch

    def _gathered(self, drawn: Tensor, horizon: int, costly_share: Tensor | None) -> Batch:
        """
        Return the sequences that random numbers choose.

        Reads tensors and what never changes only, so that it compiles once.

        :param drawn: (M, 4, sequences), uniform in [0, 1)
        """
        filled = self._place[1]
        # of a full buffer the oldest decisions have lost their windows
        first = self.window * (filled == self.length) if self.window else 0
        starts = filled - horizon + 1
        start = first + _below(drawn[:, 0], starts - first)
        stream = _below(drawn[:, 1], self.environments)
        if costly_share is not None:
            costly, costly_start, its_stream = self._costly_places(drawn[:, 2:], horizon, starts)
            sequences = drawn.shape[-1]
            wanted = torch.round(costly_share * sequences)
            costly = costly & (torch.arange(sequences, device=self.device) < wanted)
            costly_start = torch.clamp(costly_start, min=first)
            start = torch.where(costly, costly_start, start)
            stream = torch.where(costly, its_stream, stream)
        tensors = self._at(_steps(start, 0, horizon), stream, self.arrays)
        if self.window:
            self._widen(tensors, start, stream, horizon)
        ended = tensors.pop('ended')
        mask = torch.ones_like(ended)
        mask[:, 1:] = torch.cumprod(1 - ended[:, :-1], dim=1)
        return Batch(mask=mask, **tensors)

    def _widen(self, tensors: dict[str, Tensor], start: Tensor, stream: Tensor, horizon: int
               ) -> None:
        """
        Put the window of every observation beside it.

        :param start: (M, sequences) first decision of each sequence, counted from the oldest
        :param stream: (M, sequences)
        """
        k, since = self.window, _steps(start, -self.window, horizon)
        obs, action, ended = self._at(since, stream, ('obs', 'action', 'ended')).values()
        # whether the decision before belongs to the same episode
        follows = torch.ones_like(ended)
        follows[:, 1:] = 1 - ended[:, :-1]
        follows = follows * (since > 0)
        for name, first in (('obs', k), ('next_obs', k + 1)):
            known = torch.ones_like(tensors[name][..., :1], dtype=torch.bool)
            oldest, rows = tensors[name], []
            for back in range(1, k + 1):
                at = slice(first - back, first - back + horizon)
                if not (name == 'next_obs' and back == 1):  # that one is the same decision
                    later = slice(first - back + 1, first - back + 1 + horizon)
                    known = known & (follows[:, later] > 0).unsqueeze(-1)
                oldest = torch.where(known, obs[:, at], oldest)
                rows += [oldest, torch.where(known, action[:, at], self._rest)]
            tensors[name] = torch.cat([tensors[name], *rows], dim=-1)

    def _at(self, since: Tensor, stream: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """
        Return what the buffer holds, (M, steps, sequences, ...) by name.

        :param since: (M, steps, sequences) decisions, counted from the oldest
        :param stream: (M, sequences)
        """
        slot = (self._place[0] - self._place[1] + since) % self.length
        learner = torch.arange(self.learners, device=self.device).view(-1, 1, 1) * self.length
        index = (learner + slot) * self.environments + stream.unsqueeze(1)
        return {name: self.arrays[name].flatten(0, 2).index_select(0, index.flatten()).view(
                    *index.shape, *self.arrays[name].shape[3:]) for name in names}

    def _costly_places(self, drawn: Tensor, horizon: int, starts: Tensor
                       ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return which draws have a costly decision, and starts and streams of sequences around it.

        :param drawn: (M, 2, sequences), uniform in [0, 1)
        """
        count = self._costly[:, -1:]
        which = torch.minimum((drawn[:, 0] * count).long(), (count - 1).clamp(min=0))
        place = torch.searchsorted(self._costly, which + 1)
        place = place.clamp(max=self._costly.shape[1] - 1)  # where no decision costs
        slot = place // self.environments
        since_oldest = (slot - (self._place[0] - self._place[1])) % self.length
        start = since_oldest - _below(drawn[:, 1], horizon)
        start = torch.minimum(start.clamp(min=0), starts - 1)
        return (count > 0).expand_as(start), start, place % self.environments

    def state(self, learner: int = 0) -> dict[str, object]:
        """Return the filled part of one learner, for a checkpoint."""
        return {'position': self.position, 'filled': self.filled,
                'arrays': {name: array[learner, :self.filled].cpu().clone()
                           for name, array in self.arrays.items()}}

    def load_state(self, state: dict[str, Any], learner: int = 0) -> None:
        """Restore what :meth:`state` returned; sizes must agree."""
        for name, values in state['arrays'].items():
            self.arrays[name][learner, :state['filled']] = values.to(self.device)
        self.position, self.filled = state['position'], state['filled']
        self._place[0], self._place[1] = self.position, self.filled


def _steps(start: Tensor, first: int, last: int) -> Tensor:
    """Return decisions (M, steps, sequences): `first` to `last` - 1 after each start."""
    return start.unsqueeze(1) + torch.arange(first, last, device=start.device).unsqueeze(-1)


def _below(drawn: Tensor, bound: int | Tensor) -> Tensor:
    """Return integers in [0, bound) for uniform numbers in [0, 1), despite rounding up."""
    return torch.clamp((drawn * bound).long(), max=bound - 1)
