# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A task is understood by whatever users name it by."""

from __future__ import annotations

from pathlib import Path

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.tasks import task_id

OWN = 'examples.own_task.crossing:make'


@pytest.mark.parametrize(('text', 'task'), [
    ('PointGoal1', 'SafetyPointGoal1-v0'), ('SafetyPointGoal1', 'SafetyPointGoal1-v0'),
    ('SafetyPointGoal1-v0', 'SafetyPointGoal1-v0'), ('CarButton2', 'SafetyCarButton2-v0'),
    ('package.module:make', 'package.module:make'), ('nonsense', 'nonsense'),
    ('examples/own_task/crossing.yaml', OWN), ('examples/own_task/crossing.py', OWN),
])
def test_names_files_and_modules(text: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short and full names, and files of one's own, give the full name."""
    monkeypatch.chdir(Path(__file__).parents[2])
    assert task_id(text) == task


@pytest.mark.parametrize(('text', 'reason'), [
    ('absent.py', 'is not a file'), ('absent.yaml', 'not a file that can be read'),
    ('empty.yaml', "no key 'task'"), ('other.py', 'outside the working directory'),
])
def test_files_that_name_no_task(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, with what it lacks."""
    (tmp_path / 'empty.yaml').write_text('seed: 1\n')
    (tmp_path / 'other.py').touch()
    monkeypatch.chdir('/')
    with pytest.raises(SpowlError, match=reason):
        if text == 'other.py':
            monkeypatch.chdir(Path(__file__).parent)
        task_id(str(tmp_path / text))
