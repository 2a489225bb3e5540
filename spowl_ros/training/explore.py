# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the learners do while they collect experience: policies with noise, some streams plan."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from spowl_ros.training.acceleration import Captured
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.learner import Learners
from spowl_ros.training.networks import Networks
from spowl_ros.training.planner import Memory, Noise, PlannerModule


class Explorer:
    """
    Decides for all streams of all learners at once; on a GPU by one captured graph.

    The first streams of each learner plan, as many as `collect.planning_share` says.

    :param configs: of the learners, checked by `config.check_stack`
    :param generators: one per learner, for the noise of its plans
    """

    def __init__(self, learners: Learners, configs: Sequence[TrainConfig],
                 generators: Sequence[torch.Generator]) -> None:
        self._learners, self._generators = learners, generators
        device, count = learners.device, learners.count
        streams = configs[0].collect.environments
        self.planning = round(configs[0].collect.planning_share * streams)
        knobs = [config.planner.knobs() for config in configs]
        networks = learners.weights.members[0]
        self._planner = PlannerModule(networks, configs[0].planner).to(device)
        self._knobs = {name: torch.tensor([[one[name]] for one in knobs], device=device)
                       for name in knobs[0]}
        self.memory = Memory(*(torch.stack([part] * count)
                               for part in self._planner.memory(self.planning)))
        """Of the streams that plan; axis 0 is the learner."""
        sizes = networks.config
        self._seen = torch.zeros(count, streams, sizes.wide_dim, device=device)
        self._noise = torch.zeros(count, streams, sizes.action_dim, device=device)
        self._decide = Captured(self._work, device, generators)

    def act(self, observations: NDArray[np.float32], noise: Tensor) -> NDArray[np.float32]:
        """
        Return actions (M, streams, A).

        :param observations: (M, streams, O), each with its window
        :param noise: (M, streams, A) standard normal, of the policies
        """
        self._seen.copy_(torch.from_numpy(observations))
        self._noise.copy_(noise)
        return self._decide()['action'].cpu().numpy()

    def reset(self, learner: int, stream: int) -> None:
        """Forget the last plan of a stream, as at the beginning of an episode."""
        if stream < self.planning:
            self.memory.mean[learner, :, stream] = 0.0
            self.memory.elites[learner, :, stream] = 0.0
            self.memory.warm[learner, stream] = 0.0

    @torch.no_grad()
    def _work(self) -> dict[str, Tensor]:
        actions = self._learners.act(self._seen, self._noise)
        if self.planning:
            drawn = [self._planner.draw(self.planning, generator)
                     for generator in self._generators]
            noise = Noise(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))
            planned, *memory = self._learners.apply(
                self._plan, self._seen[:, :self.planning], self.memory, noise, self._knobs)
            for mine, now in zip(self.memory, memory, strict=True):
                mine.copy_(now)
            actions = torch.cat([planned, actions[:, self.planning:]], dim=1)
        return {'action': actions}

    def _plan(self, networks: Networks, *args: Any) -> tuple[Tensor, ...]:
        """Return the actions of one learner's plans, then the parts of their memory."""
        del networks  # those of the planner, with the weights of this call
        _, choice, after = self._planner.plan(*args, explore=True)
        return choice.action, *after

    # -- what is kept -------------------------------------------------------------------------

    def state(self, learner: int) -> dict[str, Any]:
        """Return the noise and the memory of a learner's plans."""
        return {'noise': self._generators[learner].get_state(),
                'memory': {name: part[learner] for name, part in self.memory._asdict().items()}}

    def load_state(self, state: dict[str, Any], learner: int) -> None:
        """Restore what :meth:`state` returned; plans begin anew if other streams plan now."""
        self._generators[learner].set_state(state['noise'].cpu())
        for name, value in state['memory'].items():
            mine = getattr(self.memory, name)[learner]
            if mine.shape == value.shape:
                mine.copy_(value)
