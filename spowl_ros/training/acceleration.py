# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Make functions of tensors faster where this machine can; elsewhere they run as they are.

`Captured` replays a CUDA graph, so that launches cost nothing; `Compiled` uses a compiler.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
import logging
from typing import Any

import torch
from torch import Tensor

from spowl_ros.base.errors import first_line

Work = Callable[[], dict[str, Tensor]]
WARM_UP = 3
"""Calls before the capture; libraries and compilers settle in them."""

log = logging.getLogger(__name__)


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


class Compiled:
    """Calls a function compiled by torch.compile; one warning, and no more, if that fails."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._plain = function
        self._function: Callable[..., Any] = torch.compile(function, dynamic=False)

    def __call__(self, *args: Any) -> Any:
        """Return what the function returns."""
        try:
            return self._function(*args)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            if self._function is self._plain:  # the failure is of something inside
                raise
            _warn(first_line(error))
            self._function = self._plain
            return self._plain(*args)


@cache
def _warn(reason: str) -> None:
    log.warning('torch.compile fails here, so updates are slower; optimiser.compile=false '
                'leaves it out: %.160s', reason)
