# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A task of one's own is taken wherever a task is."""

from __future__ import annotations

import json
import os
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


FAULTY = """
import sys
from examples.own_task.crossing import PERIOD, Crossing
from spowl_ros.sim.own import OwnEnvironment

class Faulty(Crossing):
    def step(self, action):
        if self.steps == 3:
            sys.exit(0)
        return super().step(action)

class FaultyFromTheStart(Crossing):
    def reset(self, *, seed=None, options=None):
        sys.exit(0)

def in_step(): return OwnEnvironment(Faulty(), period=PERIOD)
def in_reset(): return OwnEnvironment(FaultyFromTheStart(), period=PERIOD)
def in_make(): sys.exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(('part', 'line', 'workers'), [
    ('make', 18, 0), ('reset', 14, 0), ('reset', 14, 1), ('step', 9, 0)])
def test_a_task_that_ends_the_process_is_an_error(
        part: str, line: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line names the task and the place, be it here or in a worker, at exit code 2."""
    (tmp_path / 'faulty.py').write_text(FAULTY)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    said = spowl('train', TASK, f'task=faulty:in_{part}', f'collect.workers={workers}',
                 '--output', str(tmp_path / 'run'), code=2).splitlines()[-1]
    assert said.startswith('spowl: error: ')
    assert (f'the task faulty:in_{part} failed in {part}: SystemExit: 0 '
            f'({tmp_path}/faulty.py:{line}); a task must not end the process') in said
