# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Sweeps: read the file, plan its runs, and run them on a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import hashlib
import itertools
import json
from pathlib import Path
import re
from typing import Any

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError, one_line
from spowl_ros.base.files import absolute, write_csv
from spowl_ros.base.names import BEST
from spowl_ros.base.seeds import EVALUATION
from spowl_ros.base.settings import changed, read, setting
from spowl_ros.control.bundle import MANIFEST
from spowl_ros.control.planner_settings import KINDS
from spowl_ros.evaluation.episodes import AgentSource
from spowl_ros.scale.cluster import Cluster
from spowl_ros.scale.run import Evaluating, Training, attempts, done, perform
from spowl_ros.sim.perturbation import Perturbation

COLUMNS = ('run', 'kind', 'of', 'planner', 'seed', 'changes', 'state', 'reason', 'return',
           'return_low', 'return_high', 'cost', 'cost_low', 'cost_high', 'cost_free_fraction',
           'episodes', 'decisions', 'seconds', 'attempts', 'node')
TABLE = 'sweep.csv'

Opener = Callable[[Path, str, dict[str, Any], bool], tuple[AgentSource, dict[str, Any]]]
"""Returns the agent source of a model; takes path, planner, settings, and whether monitors act."""


@dataclass(frozen=True)
class Trainings:
    """Trainings: one for each combination of the listed values."""

    tasks: tuple[str, ...] = setting(description='task ids or YAML files, as of `spowl train`')
    seeds: tuple[int, ...] = setting((0,), 'of everything random')
    overrides: dict[str, Any] = field(default_factory=dict)
    """Name of a setting to its value, for all trainings."""
    vary: dict[str, list[Any]] = field(default_factory=dict)
    """Name of a setting to its values."""


@dataclass(frozen=True)
class Evaluations:
    """Evaluations: one for each combination of the listed values."""

    models: tuple[str, ...] = setting((), 'bundles and checkpoints')
    trained: bool = setting(False, "also the best checkpoint of each of the sweep's trainings")
    planners: tuple[str, ...] = setting(('adaptive',), 'how candidates are judged')
    episodes: int = setting(50, 'episodes of each', low=1)
    seed: int = setting(EVALUATION.start, 'of the first episode', low=0)
    monitors: bool = setting(True, 'false: the monitors of a bundle only report')
    settings: dict[str, Any] = field(default_factory=dict)
    """Name of a controller's setting to its value, for all evaluations."""
    vary: dict[str, list[Any]] = field(default_factory=dict)
    """Name of a controller's setting to its values."""
    perturbations: tuple[dict[str, Any], ...] = setting(({},), 'how the robot is changed')


@dataclass(frozen=True)
class SweepSettings:
    """Content of a sweep's file."""

    output: str = setting('', 'directory of the sweep; empty: runs/ and the name of the file')
    cores: float = setting(1.0, 'of a machine, that each run occupies', low=0.0)
    gpus: float = setting(0.0, 'of a machine, or the part of one', low=0.0)
    trainings: tuple[Trainings, ...] = ()
    evaluations: tuple[Evaluations, ...] = ()


@dataclass
class Run:
    """One run of a sweep, and its state."""

    name: str
    """Name of its folder; depends on everything that defines the run, and on nothing else."""
    kind: str
    of: str
    """Task or model."""
    seed: int
    changes: str
    """Its other differences from other runs, in words."""
    training: Training | None = None
    evaluations: Evaluations | None = None
    planner: str = ''
    settings: dict[str, Any] = field(default_factory=dict)
    perturbation: dict[str, Any] = field(default_factory=dict)
    after: str = ''
    """Name of the training with the checkpoint that it evaluates."""
    state: str = 'waiting'
    """waiting, running, done or failed."""
    found: dict[str, Any] = field(default_factory=dict)
    reason: str = ''

    def row(self, folder: Path) -> dict[str, Any]:
        """Return the run's row of COLUMNS."""
        values = {**vars(self), 'run': self.name, 'attempts': attempts(folder / self.name),
                  **self.found}
        return {column: values[column] for column in COLUMNS if column in values}


def load(path: Path) -> SweepSettings:
    """
    Read a sweep's file.

    :raises SpowlError: unreadable, an unknown key, a wrong value, or no run in it
    """
    try:
        settings = read(SweepSettings, yaml.read(path, 'the sweep'))
    except SpowlError as error:
        raise SpowlError(f'{path}: {error}') from error
    if not settings.trainings and not settings.evaluations:
        raise SpowlError(f'{path} asks for nothing; write trainings: or evaluations: into it')
    for one in settings.evaluations:
        for planner in one.planners:
            if planner not in KINDS:
                raise SpowlError(f"{path}: there is no planner '{planner}'; there are "
                                 f'{", ".join(KINDS)}')
        for perturbation in one.perturbations:
            changed(Perturbation(), perturbation)
    return settings


def plan(settings: SweepSettings, output: Path) -> list[Run]:
    """
    Return all runs of a sweep: trainings first, each once.

    :raises SpowlError: no such task, model or setting, or no trainings to evaluate
    """
    runs: dict[str, Run] = {}
    for trainings in settings.trainings:
        for run in _trainings(trainings, output):
            runs.setdefault(run.name, run)
    trained = list(runs.values())
    for evaluations in settings.evaluations:
        if evaluations.trained and not trained:
            raise SpowlError('an evaluation asks for what the sweep trained, and it trains '
                             'nothing; name models:')
        for run in _evaluations(evaluations, trained):
            runs.setdefault(run.name, run)
    return list(runs.values())


def _trainings(asked: Trainings, output: Path) -> Iterator[Run]:
    from spowl_ros.training import config as configuration

    for task in asked.tasks:
        base = configuration.load(configuration.find(Path(task)), assignments(asked.overrides))
        for varied in _combinations(asked.vary):
            for seed in asked.seeds:
                config = configuration.overridden(base, [*assignments(varied), f'seed={seed}'])
                content = config.to_dict()
                name = _name('train', config.task, seed, content)
                yield Run(name, 'training', config.task, seed,
                          ' '.join(assignments(varied)), Training(output / name, content))


def _evaluations(asked: Evaluations, trained: Sequence[Run]) -> Iterator[Run]:
    subjects = [(model, _identity(Path(model)), '') for model in asked.models]
    if asked.trained:
        subjects += [(run.name, run.name, run.name) for run in trained]
    for (subject, identity, after), planner, varied, perturbation in itertools.product(
            subjects, asked.planners, _combinations(asked.vary), asked.perturbations):
        values = {**asked.settings, **varied}
        name = _name('evaluate', f'{Path(subject).name}-{planner}', asked.seed, [
            identity, planner, values, perturbation, asked.episodes, asked.monitors])
        yield Run(name, 'evaluation', subject, asked.seed,
                  ' '.join(assignments({**varied, **perturbation})), None, asked, planner, values,
                  dict(perturbation), after)


def _combinations(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]


def assignments(values: Mapping[str, Any]) -> list[str]:
    """Return values in the form of a command line."""
    return [f'{name}={value if isinstance(value, str) else json.dumps(value)}'
            for name, value in values.items()]


def _name(kind: str, of: str, seed: int, definition: Any) -> str:
    text = json.dumps([seed, definition], sort_keys=True)
    return (f'{kind}-{re.sub(r"[^A-Za-z0-9_.-]", "_", of)[:60]}-{seed}-'
            f'{hashlib.sha256(text.encode()).hexdigest()[:10]}')


def _identity(model: Path) -> str:
    """
    Return the SHA-256 of a model: another model with the same name is another run.

    :raises SpowlError: no such model
    """
    file = model / MANIFEST if model.is_dir() else model
    try:
        with file.open('rb') as stream:
            return hashlib.file_digest(stream, 'sha256').hexdigest()
    except OSError as error:
        raise SpowlError(f'{model} is neither a bundle nor a checkpoint: {error.strerror}'
                         ) from error


class Sweep:
    """
    The runs of a sweep.

    :param opener: opens models for evaluations
    """

    def __init__(self, runs: Sequence[Run], output: Path, opener: Opener) -> None:
        self.output, self._open = output, opener
        self.runs = {run.name: run for run in runs}
        for run in runs:
            found = done(output / run.name)
            if found is not None:
                run.state, run.found = 'done', found

    def run(self, cluster: Cluster, cores: float, gpus: float,
            on_change: Callable[[Run | None], object] = lambda run: None) -> None:
        """
        Do all runs that are not done; a failed run does not stop the others.

        :param cores: that each run occupies; it also occupies `gpus`
        :param on_change: gets each run that has ended, and now and then None
        :raises SpowlError: no machine of the cluster has the resources of one run
        """
        waiting = deque(run for run in self.runs.values() if run.state == 'waiting')
        by_folder = {self.output / name: run for name, run in self.runs.items()}

        def pull() -> Training | Evaluating | None:
            for _ in range(len(waiting)):
                run = waiting.popleft()
                before = self.runs[run.after].state if run.after else 'done'
                if before in ('waiting', 'running'):
                    waiting.append(run)
                    continue
                try:
                    if before == 'failed':
                        raise SpowlError('its training failed')
                    job = self._job(run)
                except (SpowlError, OSError) as error:
                    run.state, run.reason = 'failed', one_line(error)
                    on_change(run)
                else:
                    run.state = 'running'
                    return job
            return None

        for outcome in cluster.run(perform, pull, cores, gpus, lambda: on_change(None)):
            run = by_folder[outcome.job.folder]
            if outcome.failed:
                run.state, run.reason = 'failed', outcome.failed
            else:
                run.state, run.found = 'done', outcome.value
            on_change(run)
            self.write()

    def _job(self, run: Run) -> Training | Evaluating:
        if run.training is not None:
            return run.training
        assert run.evaluations is not None, 'it is a training or an evaluation'
        asked = run.evaluations
        model = self.output / run.after / BEST if run.after else Path(run.of)
        source, details = self._open(absolute(model), run.planner, run.settings, asked.monitors)
        perturbation = None
        if run.perturbation:
            perturbation = changed(Perturbation(), run.perturbation)
            details['perturbation'] = vars(perturbation)
        return Evaluating(self.output / run.name, source, run.planner,
                          range(asked.seed, asked.seed + asked.episodes), perturbation, details)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of COLUMNS for each run, in the order of the plan."""
        return [run.row(self.output) for run in self.runs.values()]

    def write(self) -> None:
        """Write the table of all runs into the sweep's directory."""
        write_csv(self.output / TABLE, self.rows(), COLUMNS)
