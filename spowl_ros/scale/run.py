# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
One run of a sweep, a training or an evaluation, in its own folder.

Two workers may get the same run if a live machine is taken for dead. The folder's lock lets one of
them work; the other then finds `done.json` and does nothing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
import fcntl
import json
import os
from pathlib import Path
import socket
import time
from typing import Any

from spowl_ros.base.files import write_json
from spowl_ros.evaluation.episodes import AgentSource, evaluate
from spowl_ros.sim.perturbation import Perturbation

DONE = 'done.json'
"""Result of a run; the file exists only when the run is complete, and is then whole."""
RESULT = 'result.json'
"""Output of an evaluation, as `spowl evaluate --json` writes it."""
ATTEMPTS = 'attempts.csv'
"""One line for each start of the run: when, where, by which process, from which decision."""
PROGRESS = 'progress.csv'


@dataclass(frozen=True)
class Training:
    """A training to do in a folder."""

    folder: Path
    config: dict[str, Any]
    """Result of `TrainConfig.to_dict`."""


@dataclass(frozen=True)
class Evaluating:
    """An evaluation to do in a folder."""

    folder: Path
    source: AgentSource
    planner: str
    seeds: range
    perturbation: Perturbation | None
    details: dict[str, Any]


def perform(run: Training | Evaluating) -> dict[str, Any]:
    """
    Do a run unless it is done, and return its result; a training resumes where it was.

    :raises SpowlError: the run fails
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until no other process works here; ends with its holder
        found = done(run.folder)
        if found is None:
            begin = time.perf_counter()
            found = _train(run) if isinstance(run, Training) else _evaluate(run)
            found |= {'seconds': time.perf_counter() - begin, 'node': socket.gethostname(),
                      'attempts': attempts(run.folder)}
            write_json(run.folder / DONE, found)
        return found


def done(folder: Path) -> dict[str, Any] | None:
    """Return the result of the run in a folder; None: not complete."""
    try:
        return json.loads((folder / DONE).read_bytes())
    except (OSError, ValueError):
        return None


def attempts(folder: Path) -> int:
    """Return the number of starts of the run in a folder."""
    file = folder / ATTEMPTS
    return len(file.read_text().splitlines()) if file.exists() else 0


def last_row(folder: Path) -> dict[str, str]:
    """Return the last row of a training's progress, by column; empty before the first."""
    try:
        with (folder / PROGRESS).open(newline='') as stream:
            return max(csv.DictReader(stream), key=lambda row: int(row['decisions']), default={})
    except (OSError, ValueError, KeyError, TypeError):  # the file is being written
        return {}


def _note_attempt(folder: Path, decisions: int) -> None:
    with (folder / ATTEMPTS).open('a') as stream:
        stream.write(f'{time.time():.3f},{socket.gethostname()},{os.getpid()},{decisions}\n')


def _train(run: Training) -> dict[str, Any]:
    from spowl_ros.training import config as configuration
    from spowl_ros.training.trainer import CHECKPOINT, Trainer

    if (run.folder / CHECKPOINT).exists():
        trainer = Trainer.resume(run.folder, [])
    else:
        trainer = Trainer(configuration.from_dict(run.config), run.folder)
    _note_attempt(run.folder, trainer.decisions)
    trainer.run(quiet=True)
    evaluation = trainer.members[0].evaluation
    return {'decisions': trainer.decisions, 'updates': trainer.updates,
            **{name: evaluation[f'evaluation_{name}'] for name in ('return', 'cost')
               if f'evaluation_{name}' in evaluation}}


def _evaluate(run: Evaluating) -> dict[str, Any]:
    _note_attempt(run.folder, 0)
    figures = evaluate(run.source, run.planner, run.seeds, perturbation=run.perturbation,
                       details=run.details).to_dict()
    write_json(run.folder / RESULT, figures)
    return {'episodes': figures['episodes'],
            **{f'{name}{suffix}': figures[name][part] for name in ('return', 'cost')
               for suffix, part in (('', 'mean'), ('_low', 'low'), ('_high', 'high'))},
            'cost_free_fraction': figures['cost_free_fraction']}
