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


def test_a_file_names_the_task_of_the_one_it_builds_on(tmp_path: Path) -> None:
    """As a training configuration does, along any number of files; the nearest name holds."""
    (tmp_path / 'root.yaml').write_text('task: PointGoal1\n')
    (tmp_path / 'middle.yaml').write_text('base: root.yaml\nbatch_size: 3\n')
    (tmp_path / 'top.yaml').write_text('base: middle.yaml\n')
    assert task_id(str(tmp_path / 'top.yaml')) == 'SafetyPointGoal1-v0'
    (tmp_path / 'top.yaml').write_text('base: middle.yaml\ntask: CarGoal2\n')
    assert task_id(str(tmp_path / 'top.yaml')) == 'SafetyCarGoal2-v0'


@pytest.mark.parametrize(('text', 'reason'), [
    ('self.yaml', 'builds on itself'), ('number.yaml', "'base' is 3, wanted a file"),
    ('absent.py', 'is not a file'), ('absent.yaml', 'not a file that can be read'),
    ('empty.yaml', "no key 'task'"), ('other.py', 'outside the working directory'),
])
def test_files_that_name_no_task(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, with what it lacks."""
    (tmp_path / 'empty.yaml').write_text('seed: 1\n')
    (tmp_path / 'other.py').touch()
    (tmp_path / 'self.yaml').write_text('base: self.yaml\n')
    (tmp_path / 'number.yaml').write_text('base: 3\n')
    monkeypatch.chdir('/')
    with pytest.raises(SpowlError, match=reason):
        if text == 'other.py':
            monkeypatch.chdir(Path(__file__).parent)
        task_id(str(tmp_path / text))
