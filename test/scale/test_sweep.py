# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sweeps: what a file asks for is run once, wherever it runs and whatever dies meanwhile."""

from __future__ import annotations

import csv
import json
from pathlib import Path
import subprocess
import sys
import time

import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.cli.main import main
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.evaluation.agents import BundleAgents
from spowl_ros.evaluation.episodes import EvaluatedEpisode, Evaluation
from spowl_ros.scale import run as runs
from spowl_ros.scale import sweep as sweeps
from spowl_ros.training import config as configuration
from spowl_ros.training.trainer import CHECKPOINT, Trainer

TIMED = ('seconds', 'rates', 'model')


def written(folder: Path, text: str) -> Path:
    """Return a sweep's file with a text."""
    file = folder / 'sweep.yaml'
    file.write_text(text)
    return file


def planned(folder: Path, text: str) -> list[sweeps.Run]:
    """Return the runs of a sweep's text."""
    return sweeps.plan(sweeps.load(written(folder, text)), folder / 'out')


def table(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a sweep's table."""
    with (folder / sweeps.TABLE).open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(('text', 'said'), [
    ('{}', 'asks for nothing'),
    ('trainings: [{task: PointGoal1}]', "'trainings"),
    ('trainings: [{tasks: [PointGoal1], seeds: all}]', 'seeds'),
    ('evaluations: [{models: [x], planners: [best]}]', "no planner 'best'"),
    ('evaluations: [{models: [x], episodes: 0}]', 'episodes'),
    ('evaluations: [{models: [x], perturbations: [{mas: 2}]}]', "did you mean 'mass'"),
    ('evaluations: [{models: [/nowhere]}]', '/nowhere is neither a bundle nor a checkpoint'),
    ('evaluations: [{trained: true}]', 'trains nothing'),
    ('trainings: [{tasks: [PointGoal1], overrides: {nothing: 1}}]', 'nothing'),
])
def test_mistakes_are_told_before_anything_runs(text: str, said: str, tmp_path: Path) -> None:
    """A wrong key, value, planner, perturbation, model or setting is one sentence."""
    with pytest.raises(SpowlError, match=said):
        planned(tmp_path, text)


def test_a_grid_is_every_combination_once(untrained_bundle: Path, tmp_path: Path) -> None:
    """Tasks, seeds and varied settings multiply; what is named twice is run once."""
    text = f"""
trainings:
  - {{tasks: [PointGoal1, CarGoal1], seeds: [0, 1], vary: {{batch_size: [64, 128, 64]}}}}
evaluations:
  - {{models: [{untrained_bundle}], trained: true, planners: [policy, unsafe], episodes: 2,
      perturbations: [{{}}, {{mass: 1.3}}]}}
"""
    found = planned(tmp_path, text)
    trainings = [run for run in found if run.training]
    assert len(trainings) == 2 * 2 * 2
    assert len(found) - len(trainings) == (1 + 8) * 2 * 2
    assert len({run.name for run in found}) == len(found)
    assert {run.training.config['batch_size'] for run in trainings} == {64, 128}
    assert [run.name for run in planned(tmp_path, text)] == [run.name for run in found]


def test_a_figure_that_is_no_number_is_not_a_result(
        untrained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `spowl evaluate --json`, NaN is refused: the run fails, and is not done."""
    episode = EvaluatedEpisode(0, float('nan'), 0.0, 1, 1, 0, {'policy': 1}, 0.0)
    found = Evaluation('SafetyPointGoal1-v0', 'policy', (episode,), 1.0)
    monkeypatch.setattr(runs, 'evaluate', lambda *_, **__: found)
    source = BundleAgents(untrained_bundle, ControllerSettings(), 'SafetyPointGoal1-v0', 10)
    asked = runs.Evaluating(tmp_path / 'run', source, 'policy', range(1), None, {})
    with pytest.raises(SpowlError, match='not finite'):
        runs.perform(asked)
    assert runs.done(asked.folder) is None
    assert not (asked.folder / runs.RESULT).exists()


@pytest.mark.slow
def test_an_evaluation_in_a_sweep_is_that_of_evaluate(
    untrained_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure but the clock's is the same, bit for bit; failures stop nobody; it goes on."""
    pytest.importorskip('ray')
    other = tmp_path / 'broken.pt'
    other.write_bytes(b'nothing of ours')
    file = written(tmp_path, f"""
output: {tmp_path / 'out'}
evaluations:
  - {{models: [{untrained_bundle}, {other}], planners: [policy], episodes: 2,
      perturbations: [{{mass: 1.2}}]}}
""")
    assert main(['sweep', str(file), '--cores', '2']) == 1
    assert 'broken.pt is not a checkpoint' in capsys.readouterr().err
    rows = {row['of']: row for row in table(tmp_path / 'out')}
    assert rows[str(other)]['state'] == 'failed'
    assert 'not a checkpoint' in rows[str(other)]['reason']
    row = rows[str(untrained_bundle)]
    assert row['state'] == 'done'
    single = tmp_path / 'single.json'
    assert main(['evaluate', str(untrained_bundle), '--planner', 'policy', '--episodes', '2',
                 '--perturb', 'mass=1.2', '--json', str(single)]) == 0
    shared = tmp_path / 'shared.json'
    assert main(['evaluate', str(untrained_bundle), '--planner', 'policy', '--episodes', '2',
                 '--perturb', 'mass=1.2', '--json', str(shared), '--address', 'local']) == 0
    figures = [{name: value for name, value in json.loads(path.read_text()).items()
                if name not in TIMED}
               for path in (tmp_path / 'out' / row['run'] / runs.RESULT, single, shared)]
    assert figures[0] == figures[1] == figures[2]
    before = (tmp_path / 'out' / row['run'] / runs.DONE).stat().st_mtime_ns
    other.unlink()
    other.symlink_to(untrained_bundle, target_is_directory=True)
    assert main(['sweep', str(file), '--cores', '1']) == 0
    assert (tmp_path / 'out' / row['run'] / runs.DONE).stat().st_mtime_ns == before
    assert {row['state'] for row in table(tmp_path / 'out')} == {'done'}
    assert (tmp_path / 'out' / 'sweep.png').stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_node_dies_and_nothing_is_lost_or_done_twice(
    two_nodes, tiny_training: Path, tmp_path: Path
) -> None:
    """The run on the dead node goes on from its checkpoint; all end as if nothing had been."""
    file = written(tmp_path, f"""
output: {tmp_path / 'out'}
trainings: [{{tasks: [{tiny_training}], seeds: [0, 1, 2]}}]
evaluations: [{{trained: true, planners: [policy], episodes: 1}}]
""")
    output = tmp_path / 'out'
    names = [run.name for run in sweeps.plan(sweeps.load(file), output)]
    killed: list[str] = []
    process = subprocess.Popen(
        [sys.executable, '-m', 'spowl_ros.cli.main', 'sweep', str(file), '--address',
         two_nodes.address], env=two_nodes.environment)
    try:
        while process.poll() is None:
            theirs = two_nodes.nodes[1].pids()
            for run in names:
                attempt = output / run / runs.ATTEMPTS
                if (not killed and (output / run / CHECKPOINT).exists()
                        and runs.done(output / run) is None
                        and int(attempt.read_text().split(',')[2]) in theirs):
                    killed.append(run)
                    two_nodes.nodes[1].kill()
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert len(killed) == 1
    assert {row['state'] for row in table(output)} == {'done'}
    attempts = {run: (output / run / runs.ATTEMPTS).read_text().splitlines()
                for run in names}
    assert {run: len(lines) for run, lines in attempts.items()} == {
        run: 2 if run in killed else 1 for run in names}
    assert int(attempts[killed[0]][1].split(',')[3]) >= 60  # from its checkpoint, not from 0
    config = next(run.training.config for run in sweeps.plan(sweeps.load(file), output)
                  if run.name == killed[0])
    alone = tmp_path / 'alone'
    Trainer(configuration.from_dict(config), alone).run(quiet=True)
    for one, other in zip(_weights(alone), _weights(output / killed[0]), strict=True):
        assert torch.equal(one, other)


def _weights(folder: Path) -> list[torch.Tensor]:
    content = torch.load(folder / CHECKPOINT, weights_only=True)
    return list(content['networks'].values()) if 'networks' in content else [
        value for member in content['members'] for value in member['networks'].values()]
