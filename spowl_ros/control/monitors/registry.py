# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists the monitors: one for each file of this folder, and those that other code registers."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from spowl_ros.control import monitors
from spowl_ros.control.monitors.base import REGISTERED, Monitor

for _module in pkgutil.iter_modules(monitors.__path__):
    if _module.name != 'registry':
        importlib.import_module(f'{monitors.__name__}.{_module.name}')


def kinds() -> tuple[type[Monitor[Any]], ...]:
    """Return every monitor, in the order in which they judge."""
    return tuple(sorted(REGISTERED.values(), key=lambda kind: (kind.stage, kind.rank, kind.name)))
