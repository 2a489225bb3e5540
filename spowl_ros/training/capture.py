# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A function of tensors captured in a CUDA graph, where there is CUDA: launches cost nothing."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Work = Callable[[], dict[str, Tensor]]
WARM_UP = 3
"""Calls that run as they are, so that libraries and compilers have made up their minds."""


class Captured:
    """
    Calls `work`; from the fourth call on by replaying it.

    Every call is one call of `work`, also the first ones. It must read and write tensors that
    stay where they are, draw from the generators only, and read nothing back.

    :param generators: all that `work` draws from, beside PyTorch's own
    """

    def __init__(self, work: Work, device: torch.device,
                 generators: Sequence[torch.Generator]) -> None:
        self._work, self._device, self._generators = work, device, generators
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: dict[str, Tensor] = {}
        self._calls = 0

    def __call__(self) -> dict[str, Tensor]:
        """Return what `work` returns; the next call may overwrite it."""
        if self._device.type != 'cuda':
            return self._work()
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._warm_up()
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return self._result

    def _warm_up(self) -> dict[str, Tensor]:
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            result = self._work()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return result

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self._result = self._work()
        return graph
