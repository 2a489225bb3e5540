# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Stand-ins for packages that OmniSafe 0.5.0 imports and that our use of it never calls.

OmniSafe pins versions of them that do not install beside ours. The finder is the last one: a real
package that is installed wins.
"""

from __future__ import annotations

from collections.abc import Sequence
import importlib.abc
from importlib.machinery import ModuleSpec
import sys
from types import ModuleType
from typing import Any

from spowl_ros.base.errors import SpowlError

PACKAGES = ('wandb', 'gdown', 'seaborn', 'typer', 'moviepy', 'pandas')
"""Experiment tracking, downloads, plots, a command line, and videos."""


class _Anything:
    """Any attribute, called or used as a decorator; OmniSafe needs it while it is imported."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and not kwargs and callable(args[0]) else _Anything()

    def __getattr__(self, name: str) -> Any:
        return _Anything()


class _StandIn(ModuleType):
    """A module that has every attribute."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return _Anything()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition('.')[0] in PACKAGES:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def import_omnisafe() -> ModuleType:
    """
    Return OmniSafe.

    :raises SpowlError: it is not installed
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    try:
        import omnisafe  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        if error.name != 'omnisafe':
            raise
        raise SpowlError('OmniSafe is not installed; make baselines installs it') from error
    return omnisafe
