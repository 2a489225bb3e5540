# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A run: what it writes, that it goes on exactly, and what it says when something fails."""

from __future__ import annotations

import csv
from dataclasses import replace
import multiprocessing
from pathlib import Path
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEST
from spowl_ros.training import checkpoint
from spowl_ros.training.config import TrainConfig, from_dict
from spowl_ros.training.trainer import CHECKPOINT, Trainer

WALL_CLOCK = ('seconds', 'raw_steps_per_second', 'updates_per_second', 'environment_share',
              'acting_share', 'update_share', 'evaluation_share')


def rows(directory: Path) -> list[dict[str, str]]:
    """Return the rows of progress.csv without what a clock says."""
    with (directory / 'progress.csv').open() as stream:
        return [{name: value for name, value in row.items() if name not in WALL_CLOCK}
                for row in csv.DictReader(stream)]


def assert_equal(one: Any, other: Any, where: str = '') -> None:
    """Compare checkpoints bit for bit, but for the time they took and who started them."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            if key not in ('seconds', 'origin'):
                assert_equal(one[key], other[key], f'{where}.{key}')
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f'{where}[{i}]')
    else:
        assert one == other, where


@pytest.fixture(scope='module')
def uninterrupted(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run that nothing disturbed."""
    directory = tmp_path_factory.mktemp('run')
    Trainer(tiny, directory).run()
    return directory


def assert_same_run(directory: Path, uninterrupted: Path) -> None:
    """Compare all that two runs left behind."""
    for name in (CHECKPOINT, BEST):
        assert_equal(checkpoint.load(directory / name), checkpoint.load(uninterrupted / name))
    assert rows(directory) == rows(uninterrupted)


class Command:
    """`spowl train` in a process of its own, with the tiny configuration."""

    def __init__(self, data: dict[str, Any], folder: Path) -> None:
        self.output = folder / 'run'
        self._file = folder / 'tiny.yaml'
        self._file.write_text(yaml.dump(data))

    def start(self, *arguments: str, file_size: int = -1) -> subprocess.Popen[str]:
        """Start it; no file may grow beyond `file_size` bytes."""
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        return subprocess.Popen(
            [sys.executable, '-m', 'spowl_ros.cli.main', 'train', str(self._file), *arguments,
             '--output', str(self.output)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=limit if file_size >= 0 else None)

    def wait_for(self, decisions: int, process: subprocess.Popen[str]) -> None:
        """Wait until the run has come this far."""
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            if (self.output / 'progress.csv').exists():
                done = [int(row['decisions']) for row in rows(self.output)
                        if (row.get('decisions') or '').isdigit()]
                if done and done[-1] >= decisions:
                    return
            time.sleep(0.05)
        pytest.fail(f'the run did not come to {decisions}: {process.communicate()}')


@pytest.fixture
def command(tiny_data: dict[str, Any], tmp_path: Path) -> Command:
    """Return the command with a directory of its own."""
    return Command(tiny_data, tmp_path)


def test_run_learns_and_writes(uninterrupted: Path, tiny: TrainConfig) -> None:
    """A run updates as often as configured, logs on schedule, and says how it was made."""
    content = checkpoint.load(uninterrupted / CHECKPOINT)
    counters = content['counters']
    assert counters['decisions'] == tiny.collect.decisions
    assert counters['raw_steps'] == tiny.collect.decisions * tiny.collect.action_repeat
    learned_from = tiny.collect.decisions - tiny.collect.random_decisions
    assert counters['updates'] == pytest.approx(0.1 * learned_from, abs=1)
    assert [int(row['decisions']) for row in rows(uninterrupted)] == list(range(30, 361, 30))
    networks, config = checkpoint.load_networks(uninterrupted / BEST)
    assert config.collect == tiny.collect
    assert networks.config.obs_dim == 60
    assert any(path.name.startswith('events.out') for path in uninterrupted.iterdir())


@pytest.mark.slow
def test_resume_continues_bit_for_bit(uninterrupted: Path, tiny: TrainConfig, tmp_path: Path
                                      ) -> None:
    """A run in two parts leaves what a run in one leaves, also beyond rows that were lost."""
    Trainer(replace(tiny, collect=replace(tiny.collect, decisions=171)), tmp_path).run()
    with (tmp_path / 'progress.csv').open('a') as stream:
        stream.write('180,3600,9\n210,42')  # rows after the checkpoint, the last one torn
    Trainer.resume(tmp_path, [f'collect.decisions={tiny.collect.decisions}']).run()
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize(('override', 'score'), [
    ('schedule.log=30', 22.0), ('constraint.budget=0.25', 20.6),
    ('schedule.perturbed_episodes=1', -np.inf), ('schedule.evaluation_episodes=2', -np.inf)])
def test_kept_networks_are_scored_by_the_present_settings(
        override: str, score: float, uninterrupted: Path, tiny_data: dict[str, Any],
        tmp_path: Path) -> None:
    """Resumed with another budget or validation, or in such a phase, they do not keep a score."""
    best = checkpoint.load(uninterrupted / BEST)
    best['evaluation'] = {'evaluation_return': 22.0, 'evaluation_cost': 0.95}
    run = shutil.copytree(uninterrupted, tmp_path / 'run')
    checkpoint.save(run / BEST, best)
    assert Trainer.resume(run, [override]).members[0].best_score == pytest.approx(score)
    name, value = override.split('=')
    trainer = Trainer(from_dict({
        **tiny_data, 'collect': {**tiny_data['collect'], 'decisions': 3},
        'phases': [{'settings': {name: yaml.load(value)}}]}), tmp_path / 'phase')
    checkpoint.save(tmp_path / 'phase' / BEST, best)
    trainer.run()
    assert trainer.members[0].best_score == pytest.approx(score)


@pytest.mark.slow
def test_randomised_run_continues_bit_for_bit(tiny_data: dict[str, Any], tmp_path: Path) -> None:
    """
    Each episode draws its robot again after a resume, and the window is known again.

    Both robots are validated.

    The score that keeps a network is the mean of both scores.
    """
    data = {**tiny_data, 'randomisation': {
        'mass': [0.8, 1.5], 'command_delay': [0.0, 0.03], 'observation_noise': [0.0, 1.0],
        'command_loss': [0.0, 0.2], 'sensor_loss': [0.0, 0.2]}}
    data['networks'] = {**data['networks'], 'window': 2}
    data['collect'] = {**data['collect'], 'action_repeat': 50, 'decisions': 120}
    data['schedule'] = {**data['schedule'], 'evaluate': 90, 'perturbed_episodes': 1}
    config = from_dict(data)
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    trainer = Trainer(config, whole)
    trainer.run()
    Trainer(replace(config, collect=replace(config.collect, decisions=63)), parts).run()
    Trainer.resume(parts, [f'collect.decisions={config.collect.decisions}']).run()
    assert_same_run(parts, whole)
    assert {'evaluation_return', 'perturbed_return'} <= rows(whole)[-1].keys()
    found = trainer.members[0].evaluation
    scores = [found[f'{robot}_return']
              - 2.0 * max(0.0, found[f'{robot}_cost'] - config.constraint.budget)
              for robot in ('evaluation', 'perturbed')]
    assert scores[0] != scores[1]
    assert trainer.members[0].score == pytest.approx(sum(scores) / 2)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_interrupted_run_continues_bit_for_bit(number: int, uninterrupted: Path, command: Command
                                               ) -> None:
    """
    After Ctrl-C, or kill -9 at any moment, `--resume` gives what an uninterrupted run gives.

    A signal may come twice, as that of `timeout` does.
    """
    process = command.start()
    command.wait_for(90, process)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == (130 if number == signal.SIGINT else -number), errors
    process = command.start('--resume')
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert_same_run(command.output, uninterrupted)


@pytest.mark.slow
def test_workers_give_the_same_run(uninterrupted: Path, tiny: TrainConfig, tmp_path: Path) -> None:
    """Where the environments live changes nothing that is learned."""
    Trainer(replace(tiny, collect=replace(tiny.collect, workers=2)), tmp_path).run()
    one, other = (checkpoint.load(path / CHECKPOINT) for path in (tmp_path, uninterrupted))
    for content in (one, *one['members']):
        content['config']['collect']['workers'] = 0
    assert_equal(one, other)
    assert rows(tmp_path) == rows(uninterrupted)


@pytest.mark.slow
def test_a_start_that_fails_leaves_no_process(uninterrupted: Path, tiny: TrainConfig,
                                              tmp_path: Path) -> None:
    """Networks to start from that are none, and a checkpoint without all that a run needs."""
    before = set(multiprocessing.active_children())
    wrong = replace(tiny, initial=str(tmp_path / 'nothing'),
                    collect=replace(tiny.collect, workers=1))
    with pytest.raises(SpowlError, match='nothing'):
        Trainer(wrong, tmp_path / 'run')
    content = checkpoint.load(uninterrupted / CHECKPOINT)
    del content['collector']
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(KeyError, match='collector'):
        Trainer.resume(tmp_path, ['collect.workers=1'])
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.slow
def test_full_disk_is_one_line_and_leaves_the_checkpoint(uninterrupted: Path, command: Command
                                                         ) -> None:
    """Where a checkpoint does not fit, the run ends with advice and the last one still loads."""
    shutil.copytree(uninterrupted, command.output)
    size = (command.output / CHECKPOINT).stat().st_size
    process = command.start('collect.decisions=480', '--resume', file_size=size // 2)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith('spowl: error: cannot write the checkpoint')
    assert '--resume' in last
    assert 'Traceback' not in errors
    assert checkpoint.load(command.output / CHECKPOINT)['counters']['decisions'] == 360
    assert not list(command.output.glob('*.part'))


@pytest.mark.slow
def test_without_a_compiler_the_run_is_the_same_but_slower(
        uninterrupted: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
        ) -> None:
    """One line says so, and the networks are those that are not compiled."""
    monkeypatch.setenv('CXX', str(tmp_path / 'no such compiler'))
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', str(tmp_path / 'cache'))
    process = command.start('optimiser.compile=true')
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert errors.count('torch.compile fails here') == 1 and 'Traceback' not in errors
    found, expected = (checkpoint.load(run / CHECKPOINT)['members'][0] for run in (
        command.output, uninterrupted))
    assert_equal(found['learner'], expected['learner'])


@pytest.mark.parametrize('net', ['reward_value', 'policy'])
def test_not_a_number_ends_the_run(net: str, tiny: TrainConfig, tmp_path: Path) -> None:
    """A loss that is not finite ends the run with advice; the checkpoint is from before."""
    short = replace(tiny, collect=replace(tiny.collect, decisions=60))
    Trainer(short, tmp_path).run()
    trainer = Trainer.resume(tmp_path, ['collect.decisions=120'])
    next(getattr(trainer.learners.weights.members[0], net).parameters()).data.fill_(torch.nan)
    trainer.update_debt = 1.0
    with pytest.raises(SpowlError, match='became nan after .* smaller'):
        trainer.run()
    networks, _ = checkpoint.load_networks(tmp_path / CHECKPOINT)
    assert all(parameter.isfinite().all() for parameter in networks.parameters())


def test_environments_go_where_the_progress_cannot_be_written(tiny: TrainConfig, tmp_path: Path
                                                               ) -> None:
    """A run that cannot begin leaves no environment behind, and no process of a worker."""
    trainer = Trainer(tiny, tmp_path)
    (tmp_path / 'progress.csv').mkdir()
    with pytest.raises(SpowlError, match='cannot write the progress'):
        trainer.run(quiet=True)
    assert [worker.streams for worker in trainer.collector.workers] == [{}]


def test_bad_directories_are_one_line(uninterrupted: Path, tiny: TrainConfig, tmp_path: Path
                                      ) -> None:
    """A directory in use, one that cannot be made, and one without a run each say what to do."""
    with pytest.raises(SpowlError, match='--resume'):
        Trainer(tiny, uninterrupted)
    (tmp_path / 'file').touch()
    with pytest.raises(SpowlError, match='--output'):
        Trainer(tiny, tmp_path / 'file' / 'run')
    with pytest.raises(SpowlError, match='no checkpoint'):
        Trainer.resume(tmp_path, [])
    with pytest.raises(SpowlError, match='another run'):
        Trainer.resume(uninterrupted, ['batch_size=4'])


def test_a_new_run_begins_without_the_networks_of_another(tiny: TrainConfig, tmp_path: Path
                                                          ) -> None:
    """One that was killed before its first checkpoint may have kept some."""
    (tmp_path / BEST).write_bytes(b'of another run')
    trainer = Trainer(tiny, tmp_path)
    trainer.collector.close()
    assert not (tmp_path / BEST).exists()


def test_a_phase_that_never_begins_is_told(tiny_data: dict[str, Any], tmp_path: Path,
                                           caplog: pytest.LogCaptureFixture) -> None:
    """The configuration that is stored names settings that never ran."""
    short = {**tiny_data['collect'], 'decisions': 60, 'planning_share': 0.0}
    Trainer(from_dict({**tiny_data, 'collect': short, 'phases': [
        {'decisions': 60, 'settings': {'constraint.budget': 0.1}}]}), tmp_path).run(quiet=True)
    assert 'the phase after 60 decisions does not begin' in caplog.text


def test_updates_wait_for_whole_sequences(tiny_data: dict[str, Any], tmp_path: Path) -> None:
    """Without random decisions at first, the first updates have nothing to draw yet."""
    eager = {**tiny_data['collect'], 'decisions': 30, 'random_decisions': 0,
             'updates_per_decision': 1.0, 'planning_share': 0.0}
    trainer = Trainer(from_dict({**tiny_data, 'collect': eager}), tmp_path)
    trainer.run(quiet=True)
    assert 0 < trainer.updates <= 30


def test_a_replay_too_small_for_a_sequence_is_refused(tiny_data: dict[str, Any]) -> None:
    """It could never be learned from."""
    small = {**tiny_data['collect'], 'replay_capacity': 8}
    with pytest.raises(SpowlError, match=r'replay_capacity is 8; sequences of 3 .* need 9'):
        from_dict({**tiny_data, 'collect': small})
