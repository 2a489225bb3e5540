# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A task of one's own is taken wherever a task is."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[2]
TASK = 'examples/own_task/crossing.yaml'


def spowl(*arguments: str, code: int = 0) -> str:
    """Run a command from where the example lies, and return what it says."""
    done = subprocess.run([sys.executable, '-m', 'spowl_ros.cli.main', *arguments], cwd=ROOT,
                          capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_every_verb_takes_it(tmp_path: Path) -> None:
    """Train, export, evaluate, calibrate and sim drive the example, whose episodes are short."""
    model = str(tmp_path / 'model')
    spowl('train', TASK, 'collect.decisions=400', 'collect.random_decisions=200',
          'schedule.evaluate=10000', '--output', str(tmp_path / 'run'))
    spowl('export', '--untrained', TASK, model)
    spowl('evaluate', model, '--episodes', '2')
    assert 'costs summed over 15 decisions' in spowl('calibrate', model, '--episodes', '3')
    said = spowl('sim', f'task:={TASK}', f'model:={model}', 'episodes:=2', '--json',
                 str(tmp_path / 'run.json'))
    assert str(tmp_path / 'run.json') in said
    summary = json.loads((tmp_path / 'run.json').read_text())
    assert [episode['steps'] > 0 for episode in summary['episodes']] == [True, True]
