# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
One run: a method, a task and a seed, trained for so many raw steps and then evaluated.

A run's folder has curve.csv (return and cost of recent training episodes), state.pickle until the
run is done, policy.pt, evaluation.json (every episode) and result.json: the run's row of the
table, and the sign that it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
from dataclasses import asdict, dataclass
import json
import logging
import os
from pathlib import Path
import pickle
import resource
import time
from typing import Any, Protocol

import torch

from spowl_ros.base.seeds import EVALUATION
from spowl_ros.evaluation.episodes import (
    Agent,
    AgentSource,
    EvaluatedEpisode,
    evaluate,
    side_by_side,
)
from spowl_ros.sim.perturbation import Perturbation

log = logging.getLogger(__name__)

COLUMNS = ('task', 'method', 'seed', 'raw_steps', 'cost_limit', 'observation', 'episodes',
           'return', 'return_low', 'return_high', 'cost', 'cost_low', 'cost_high',
           'cost_free_fraction', 'core_hours', 'memory_mib')
SCANS, COORDINATES = 'scans', 'coordinates'
CHECKPOINT_S = 300.0
LANES = 64
RESULT, STATE, POLICY, CURVE = 'result.json', 'state.pickle', 'policy.pt', 'curve.csv'


@dataclass(frozen=True)
class Run:
    """What defines a run."""

    task: str
    method: str
    seed: int
    raw_steps: int
    """At least so many; a method rounds up to its own schedule."""
    cost_limit: float

    def folder(self, runs: Path) -> Path:
        """Return the run's folder."""
        return runs / self.task / (f'{self.method}_limit_{self.cost_limit:g}_steps_'
                                   f'{self.raw_steps}_seed_{self.seed}')


class Training(Protocol):
    """A method in training."""

    observation: str
    """SCANS or COORDINATES."""
    action_repeat: int
    total_steps: int
    """Raw steps of the whole run."""

    @property
    def raw_steps(self) -> int:
        """Return the raw steps so far."""

    def advance(self) -> tuple[float, float]:
        """Train a little; return the means of return and cost of recent training episodes."""

    def state(self) -> bytes:
        """Return all that `restore` needs."""

    def restore(self, state: bytes) -> None:
        """Go back to a state."""

    def policy(self) -> Agent:
        """Return what acts in an evaluation; it can be pickled."""


@dataclass(frozen=True)
class SavedPolicy:
    """Makes agents from a run's policy.pt."""

    path: Path
    task: str
    action_repeat: int
    lanes: int

    def open(self) -> Agent:
        """Return the agent. The file is this run's own: only this program wrote it."""
        torch.set_num_threads(1)
        agent: Agent = torch.load(self.path, weights_only=False)
        return agent


def train(run: Run, folder: Path, start: Callable[[Run, Path], Training],
          on_steps: Callable[[int, int], object] = lambda done, total: None,
          checkpoint_s: float = CHECKPOINT_S) -> Training:
    """
    Train, or go on from the last checkpoint; afterwards policy.pt is there.

    :param on_steps: gets the raw steps so far and all of them
    """
    folder.mkdir(parents=True, exist_ok=True)
    training = start(run, folder)
    rows: list[dict[str, float]] = []
    core_s = 0.0
    path = folder / STATE
    if path.exists():
        kept = pickle.loads(path.read_bytes())
        training.restore(kept['training'])
        rows, core_s = kept['rows'], kept['core_s']
        log.info('%s goes on at %d raw steps', folder.name, training.raw_steps)
    began, saved = time.process_time(), time.monotonic()
    while training.raw_steps < training.total_steps:
        mean_return, mean_cost = training.advance()
        rows.append({'raw_steps': training.raw_steps, 'return': mean_return, 'cost': mean_cost,
                     'core_hours': (core_s + time.process_time() - began) / 3600})
        on_steps(training.raw_steps, training.total_steps)
        if (time.monotonic() - saved >= checkpoint_s
                or training.raw_steps >= training.total_steps):
            _write(path, pickle.dumps({'training': training.state(), 'rows': rows,
                                       'core_s': core_s + time.process_time() - began}))
            _write_rows(folder / CURVE, rows)
            saved = time.monotonic()
    torch.save(training.policy(), folder / POLICY)
    return training


def measure(run: Run, folder: Path, training: Training, episodes: int, workers: int
            ) -> dict[str, Any]:
    """Evaluate a trained run on the evaluation seeds; write and return its row."""
    kept = pickle.loads((folder / STATE).read_bytes())
    lanes = LANES if training.observation == SCANS else 1
    source = SavedPolicy(folder / POLICY, run.task, training.action_repeat, lanes)
    found = evaluate(source, run.method, EVALUATION[:episodes], workers=workers,
                     elsewhere=_with_coordinates if training.observation == COORDINATES else None)
    figures = found.to_dict()
    row = {'task': run.task, 'method': run.method, 'seed': run.seed,
           'raw_steps': training.raw_steps, 'cost_limit': run.cost_limit,
           'observation': training.observation, 'episodes': episodes,
           **{f'{name}{end}': round(figures[name][key], 3) for name in ('return', 'cost')
              for end, key in (('', 'mean'), ('_low', 'low'), ('_high', 'high'))},
           'cost_free_fraction': round(found.cost_free_fraction, 3),
           'core_hours': round(kept['core_s'] / 3600, 3),
           'memory_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    _write(folder / 'evaluation.json', json.dumps({**figures, 'run': asdict(run)}).encode())
    _write(folder / RESULT, json.dumps(row).encode())
    (folder / STATE).unlink()  # may be hundreds of megabytes of replay
    return row


def table(runs: Path) -> list[dict[str, Any]]:
    """Return the rows of all finished runs, and write them to baselines.csv."""
    rows = [json.loads(path.read_text()) for path in sorted(runs.glob(f'*/*/{RESULT}'))]
    _write_rows(runs / 'baselines.csv', rows, COLUMNS)
    return rows


def _with_coordinates(source: AgentSource, chunks: list[list[int]],
                      perturbation: Perturbation | None,
                      add: Callable[[list[EvaluatedEpisode]], object]) -> None:
    """Run episodes whose agent sees coordinates."""
    from benchmarks.baselines.coordinates import CoordinateEnvironment

    agent = source.open()
    environments: Sequence[Any] = [
        CoordinateEnvironment(source.task, source.action_repeat) for _ in chunks[0]]
    for chunk in chunks:
        add(side_by_side(agent, environments, chunk))


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole."""
    part = path.with_name(f'{path.name}.part')
    with part.open('wb') as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def _write_rows(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> None:
    with path.open('w', newline='') as stream:
        writer = csv.DictWriter(stream, list(columns or rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


