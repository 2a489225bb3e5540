# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find a task's full name from a short name, a file or a configuration."""

from __future__ import annotations

import os
from pathlib import Path
import re

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError

RAW_STEPS = 1000
"""Length of the longest episode among SafetyGymnasium's tasks."""
_SHORT = re.compile(r'(?:Safety)?([A-Z][A-Za-z]*[A-Z][a-z]+[0-9])(?:-v0)?')


def task_id(text: str) -> str:
    """
    Return the full name of a task.

    :param text: ``PointGoal1`` or ``SafetyPointGoal1-v0``; for a user's own task
        ``package.module:make``, a Python file with a function ``make``, or a training
        configuration, which names its task
    :raises SpowlError: no such file, or one that names no task
    """
    if short := _SHORT.fullmatch(text):
        return f'Safety{short[1]}-v0'
    path = Path(os.path.expanduser(text))
    if path.suffix == '.py':
        return _of_module(path)
    if path.suffix not in ('.yaml', '.yml'):
        return text
    named = [data['task'] for data in yaml.chain(path, 'the task') if 'task' in data]
    if not named or not isinstance(named[-1], str):
        raise SpowlError(f"the task {path} has no key 'task' with a task's name; "
                         'examples/own_task has an example')
    return task_id(named[-1])


def _of_module(path: Path) -> str:
    """Return a Python file below the working directory as ``package.module:make``."""
    if not path.is_file():
        raise SpowlError(f'the task {path} is not a file')
    try:
        parts = path.resolve().relative_to(Path.cwd().resolve()).with_suffix('').parts
    except ValueError as error:
        raise SpowlError(f'the task {path} lies outside the working directory, from which Python '
                         'imports it; go to the folder that holds it') from error
    return '.'.join(parts) + ':make'
