# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Compile a function of tensors where a compiler works; elsewhere it runs as it is."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
import logging
from typing import Any

import torch

from spowl_ros.base.errors import first_line

log = logging.getLogger(__name__)


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
