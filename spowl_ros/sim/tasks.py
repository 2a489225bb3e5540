# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The tasks, and how to build one without its wrappers."""

from __future__ import annotations

import copy
import difflib
from typing import TYPE_CHECKING

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim.compat import import_safety_gymnasium

if TYPE_CHECKING:
    from safety_gymnasium.builder import Builder

TASKS = (
    *(f'Safety{robot}Goal{level}-v0'
      for robot in ('Point', 'Car', 'Ant', 'Doggo') for level in (1, 2)),
    *(f'Safety{robot}{kind}1-v0' for robot in ('Point', 'Car') for kind in ('Button', 'Push')),
)
"""Tested tasks; other tasks of SafetyGymnasium's navigation suite may work."""

_BUILDER = 'safety_gymnasium.builder:Builder'
_NOT_VECTORS = ('Vision-v0', 'Debug-v0')


def build(task: str) -> tuple[Builder, int]:
    """
    Return SafetyGymnasium's environment of `task` without wrappers, and its steps per episode.

    :raises SpowlError: no such task
    """
    import_safety_gymnasium()
    from gymnasium.envs.registration import registry
    from safety_gymnasium.builder import Builder
    from safety_gymnasium.utils.registration import safe_registry

    usable = {name for name in safe_registry
              if registry[name].entry_point == _BUILDER and not name.endswith(_NOT_VECTORS)}
    if task not in usable:
        near = difflib.get_close_matches(task, usable, 3)
        hint = f' (did you mean {" or ".join(near)}?)' if near else ''
        raise SpowlError(f'there is no task {task!r}{hint}; tested tasks: {", ".join(TASKS)}')
    spec = registry[task]
    return Builder(**copy.deepcopy(spec.kwargs)), int(spec.max_episode_steps or 0)
