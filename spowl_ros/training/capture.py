# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Capture a function of tensors in a CUDA graph, where CUDA exists: launches then cost nothing."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Work = Callable[[], dict[str, Tensor]]
WARM_UP = 3
"""Calls before the capture; libraries and compilers settle in them."""


class Captured:
    """
    Calls `work`; replays a captured graph from the fourth call on.

    Every call does `work` once, the first ones too. `work` must read and write tensors at fixed
    addresses, draw from the generators only, and read nothing back from the device.

    :param generators: all generators that `work` draws from, except PyTorch's default one
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
