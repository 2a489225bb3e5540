# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The PyTorch planner as an evaluation agent: it decides for many episodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import torch

from spowl_ros.base.errors import SpowlError, first_line
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.training import checkpoint
from spowl_ros.training.networks import Networks
from spowl_ros.training.planner import Memory, Noise, PlannerModule

_LANES = (1, 1, 0)
"""Axis of the lanes in each part of Memory."""


class PlannerAgent:
    """Plans for episodes side by side; each episode draws noise from its own seed."""

    def __init__(self, networks: Networks, settings: PlannerSettings) -> None:
        self._settings, self.window = settings, networks.config.window
        self._device = next(networks.parameters()).device
        self._planner = PlannerModule(networks, settings).to(self._device).eval()

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin an episode in each of as many lanes."""
        self._memory = self._planner.memory(len(seeds))
        self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in seeds]

    def paid(self, lane: int, cost: float) -> None:
        """Ignore the cost: there are no monitors here."""

    @torch.no_grad()
    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return actions (n, A) for observations of these lanes, and their sources."""
        planner = self._planner
        if self._settings.kind == 'policy':  # its mean: no noise is read
            noise = planner.draw(len(lanes), self._generators[0])
        else:
            noise = joined([planner.draw(1, self._generators[lane]) for lane in lanes])
        index = torch.as_tensor(list(lanes), device=self._device)
        before = Memory(*(part.index_select(axis, index)
                          for part, axis in zip(self._memory, _LANES, strict=True)))
        _, choice, after = planner.plan(
            torch.from_numpy(observations).to(self._device), before, noise)
        for part, axis, now in zip(self._memory, _LANES, after, strict=True):
            part.index_copy_(axis, index, now)
        return (choice.action.cpu().numpy(),
                ['plan' if plan else 'policy' for plan in choice.improved.tolist()])


def joined(noises: Sequence[Noise]) -> Noise:
    """Join the noise of single environments, in order."""
    axes = (1, 2, 1, 1, 0, 0, 0)  # of the environments in each part of Noise
    return Noise(*(torch.cat(parts, dim=min(axis, parts[0].dim() - 1))  # no heads: one axis
                   for axis, parts in zip(axes, zip(*noises, strict=True), strict=True)))


def usable(device: str) -> torch.device:
    """
    Return a device by its name, as 'cpu' or 'cuda'.

    :raises SpowlError: PyTorch cannot use it
    """
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError) as error:  # also where PyTorch was built without it
        raise SpowlError(f'PyTorch {torch.__version__} cannot use the device {device!r}: '
                         f'{first_line(error)}; use cpu') from error


@dataclass(frozen=True)
class NetworkAgents:
    """Makes PyTorch agents from the networks of a checkpoint or a bundle."""

    path: Path
    settings: PlannerSettings
    task: str
    action_repeat: int
    device: str
    lanes: int

    def open(self) -> PlannerAgent:
        """
        Return a fresh agent on one thread.

        :raises SpowlError: no such model or device
        """
        torch.set_num_threads(1)
        networks, _ = checkpoint.read_networks(self.path)
        return PlannerAgent(networks.to(usable(self.device)), self.settings)
