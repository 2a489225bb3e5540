# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Many learners in one run: several seeds, and varied settings.

On CPUs each learner has its own trainer and process, one per core; its results then equal those of
a run alone, bit for bit. On a GPU one trainer trains all learners as a stack. In both cases the
run's directory has a directory for each learner and one progress.csv for all.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
from dataclasses import replace
import itertools
import json
import logging
from multiprocessing.connection import Connection, wait
import os
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spowl_ros.base.children import child
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import write_csv, write_whole
from spowl_ros.base.settings import swept
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.progress import FILE, STEP, read_rows, resumable
from spowl_ros.training.trainer import CHECKPOINT, LEARNERS, Trainer, refuse_a_run, written_to

log = logging.getLogger(__name__)

LEARNER = 'learner'
"""Column of the common progress.csv that names the learner."""
_TABLE_S = 10.0
"""How often the common progress.csv is written."""
_MOST = 1000


def parse_seeds(text: str) -> list[int]:
    """
    Return the seeds of a text like ``0-7`` or ``0,3,8-11``, in order.

    :raises SpowlError: malformed text, a repeated seed, or too many seeds
    """
    seeds: list[int] = []
    for part in text.split(','):
        first, dash, last = part.strip().partition('-')
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise SpowlError(f"the seeds '{text}' are not of the form 0-7 or 0,3,8-11")
        seeds += range(int(first), int(last or first) + 1)
        if len(seeds) > _MOST:
            raise SpowlError(f"the seeds '{text}' are more than {_MOST}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise SpowlError(f"the seeds '{text}' name none, or one twice")
    return seeds


def members(config: TrainConfig, seeds: Sequence[int], varied: Sequence[str] = ()
            ) -> dict[str, TrainConfig]:
    """
    Return the configurations of a population by the learners' names.

    :param varied: texts ``section.key=value1,value2``; a learner for each combination and seed
    :raises SpowlError: an unknown setting, a wrong value, or a setting that is no number
    """
    values = swept(configuration.settings(), varied)
    for name, choices in values.items():
        if not all(type(value) in (int, float) for value in choices):
            raise SpowlError(f"'{name}' cannot vary, because it is no number")
    result = {}
    for seed, *choice in itertools.product(seeds, *values.values()):
        texts = [f'{name}={value!r}' for name, value in zip(values, choice, strict=True)]
        result[','.join([f'seed_{seed}', *texts])] = configuration.overridden(
            replace(config, seed=seed), texts)
    return result


def folder_of(run: Path, seed: int) -> Path:
    """
    Return the directory of the learner with a seed.

    :raises SpowlError: no such learner, or several
    """
    found = sorted([*run.glob(f'seed_{seed}'), *run.glob(f'seed_{seed},*')])
    if len(found) == 1:
        return found[0]
    there = ', '.join(path.name for path in found or sorted(run.glob('seed_*'))) or 'none'
    raise SpowlError(f'{run} has {"several learners" if found else "no learner"} with seed '
                     f'{seed}: {there}; name the file best.pt of one')


def write_table(run: Path) -> None:
    """
    Write one progress.csv for all learners: each row has the learner, its seed and its figures.

    :raises SpowlError: the file cannot be written
    """
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {LEARNER: None, 'seed': None}
    for path in sorted(run.glob(f'seed_*/{FILE}')):
        name = path.parent.name
        seed = int(name.removeprefix('seed_').partition(',')[0])
        for row in read_rows(path):
            rows.append({LEARNER: name, 'seed': seed, **row})
            columns.update(dict.fromkeys(row))
    rows.sort(key=lambda row: (int(row[STEP]), row['seed'], row[LEARNER]))
    with resumable(str(run / FILE)):
        write_csv(run / FILE, rows, list(columns))


def _stored(directory: Path) -> dict[str, TrainConfig]:
    path = directory / LEARNERS
    try:
        data = json.loads(path.read_text())
        return {str(name): configuration.from_dict(config) for name, config in data.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise SpowlError(f'cannot read the population {path}: {error}') from error


class Population:
    """
    A population in processes.

    :param configs: by the learners' names; None: continue what the directory holds
    :param overrides: for a continued run, as for `Trainer.resume`
    :param processes: number at a time; None: one per core
    :raises SpowlError: the directory already holds a run, or holds none to continue, or cannot be
        written to
    """

    def __init__(self, configs: Mapping[str, TrainConfig] | None, directory: Path, *,
                 overrides: Sequence[str] = (), processes: int | None = None) -> None:
        self._resume, self._overrides = configs is None, list(overrides)
        if configs is None:
            configs = {name: configuration.resumed(config, overrides)
                       for name, config in _stored(directory).items()}
        else:
            refuse_a_run(directory)
        with written_to(directory):  # on a resume too: some learners may begin later
            directory.mkdir(parents=True, exist_ok=True)
            write_whole(directory / LEARNERS, json.dumps(
                {name: config.to_dict() for name, config in configs.items()}, indent=1).encode())
        self.directory, self._configs = directory, dict(configs)
        self.config = next(iter(self._configs.values()))
        """Of the first learner."""
        self._processes = processes or os.cpu_count() or 1
        self.stop_requested = False
        self.until: int | None = None
        """Decisions of each learner at which `run` returns before the configured number."""
        self.rows: dict[str, dict[str, Any]] = {}
        """The last row of each learner, by name."""
        self.failed: dict[str, str] = {}
        """Reason for a learner's end, by name."""

    def run(self) -> None:
        """
        Train all learners; report those that fail, and continue with the others.

        :raises SpowlError: all learners failed
        """
        waiting = list(self._configs)
        running: dict[Connection, tuple[str, Any]] = {}
        total = sum(config.collect.decisions for config in self._configs.values())
        written, stopping = time.monotonic(), False
        try:
            with logging_redirect_tqdm(), tqdm(total=total, unit='decision', desc=self.config.task,
                                               dynamic_ncols=True, mininterval=1.0) as bar:
                while running or (waiting and not self.stop_requested):
                    while waiting and len(running) < self._processes and not self.stop_requested:
                        name = waiting.pop(0)
                        pipe, process = self._start(name)
                        running[pipe] = name, process
                    if self.stop_requested and not stopping:
                        stopping = True
                        for pipe in running:
                            _send(pipe, 'stop')
                    for ready in wait(list(running), timeout=0.5):
                        assert isinstance(ready, Connection)
                        if not self._hear(ready, running[ready][0]):
                            running.pop(ready)[1].join()
                    bar.n = sum(row['decisions'] for row in self.rows.values())
                    bar.set_postfix_str(self._postfix(len(running)))
                    if time.monotonic() - written > _TABLE_S:
                        write_table(self.directory)
                        written = time.monotonic()
        finally:
            for pipe, (_, process) in running.items():
                pipe.close()  # the signal makes it end with a checkpoint
                process.join()
        write_table(self.directory)
        if self.failed and len(self.failed) == len(self._configs):
            raise SpowlError(': '.join(next(iter(self.failed.items()))))

    def _start(self, name: str) -> tuple[Connection, Any]:
        return child(_train, self._configs[name], self.directory / name, self._resume,
                     self._overrides, self.until)

    def _hear(self, pipe: Connection, name: str) -> bool:
        """Handle a learner's message; return whether the learner continues."""
        try:
            row, failure = pipe.recv()
        except (EOFError, OSError):
            row, failure = None, 'its process was killed; continue with --resume'
        if row:
            self.rows[name] = row
        elif failure:
            self.failed[name] = failure
            log.error('%s has failed, the other learners go on: %s', name, failure)
        return row is not None

    def _postfix(self, running: int) -> str:
        rows = list(self.rows.values())
        if not rows:
            return f'{running} learners'
        mean = {key: float(np.nanmean([row[key] for row in rows]))
                for key in ('return', 'cost') if any(row[key] == row[key] for row in rows)}
        figures = ' '.join(f'{key} {value:.1f}' for key, value in mean.items())
        rate = sum(row['updates_per_second'] for row in rows) * running / len(rows)
        return f'{running} of {len(self._configs)} learners, {figures} {rate:.0f} updates/s'

    def summary(self) -> list[str]:
        """Return a line for each learner: its progress, or why it failed."""
        lines = []
        for name in self._configs:
            row = self.rows.get(name)
            text = self.failed.get(name) or (
                'nothing new' if row is None else
                f"{row['decisions']} decisions, {row['updates']} updates, validation "
                f"{row['evaluation_return']:.1f} at cost {row['evaluation_cost']:.1f}")
            lines.append(f'{name}: {text}')
        return lines


def _train(pipe: Connection, config: TrainConfig, directory: Path, resume: bool,
           overrides: list[str], until: int | None) -> None:
    """Train one learner in this process; send each row of its progress, and at last a failure."""
    try:
        if resume and (directory / CHECKPOINT).exists():
            trainer = Trainer.resume(directory, overrides)
        else:
            trainer = Trainer(config, directory)
        trainer.until = until or trainer.until

        def listen() -> None:
            with contextlib.suppress(EOFError, OSError):  # the parent has ended
                pipe.recv()
            trainer.stop_requested = True

        threading.Thread(target=listen, daemon=True).start()
        trainer.run(lambda row: _send(pipe, (row, '')), quiet=True)
        failure = ''
    except SpowlError as error:
        failure = str(error)
    except Exception as error:  # report any failure in one line; the others continue
        failure = f'{type(error).__name__}: {error}'
    _send(pipe, (None, failure))


def _send(pipe: Connection, message: object) -> None:
    with contextlib.suppress(OSError):  # the other process has ended
        pipe.send(message)
