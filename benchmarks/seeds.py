# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Compare the seeds of a recipe: python -m benchmarks.seeds RUN... --planners policy adaptive.

Each learner drives the same episodes with each planner. Their layouts are for validation and come
after those by which trainings keep networks. Each result goes into OUTPUT at once, so an
interrupted run can continue. Then all of OUTPUT becomes seeds.csv, with a row for each learner and
planner.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import run_command, tables
from benchmarks.ablation import OVER_POLICY, drive, is_measured, over_policy
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEST
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.cli.evaluate import open_model
from spowl_ros.sim.perturbation import Perturbation
from spowl_ros.training import checkpoint

FIRST = 100
"""Trainings keep networks by the validation episodes before this one."""
COLUMNS = ('task', 'seed', 'planner', 'decisions', 'updates', 'episodes', *tables.INTERVALS,
           *OVER_POLICY)


def measure(model: Path, planner: str, episodes: int, workers: int, device: str | None,
            output: Path) -> None:
    """Drive with one planner, unless its figures exist."""
    counters, config = checkpoint.describe(model)
    learner = model.parent.name
    if not learner.startswith('seed_'):
        learner = f'seed_{config.seed}'
    file = output / config.task / f'{learner}_{planner}.json'
    source, details = open_model(model, planner, {}, device=device)
    if is_measured(file, details, episodes):
        return
    drive(source, planner, VALIDATION[FIRST:FIRST + episodes], Perturbation(), workers, file,
          f'{config.task} {file.stem}',
          {**details, 'seed': config.seed, **{name: counters[name]
                                              for name in ('decisions', 'updates')}})


def best_networks(run: Path) -> list[Path]:
    """
    Return the files of a run's best networks: one for each seed.

    :raises SpowlError: it has none
    """
    found = sorted([*run.glob(BEST), *run.glob(f'seed_*/{BEST}')])
    if not found:
        raise SpowlError(f'no {BEST} in {run}; name the --output of a `spowl train`')
    return found


def table(output: Path) -> list[dict[str, Any]]:
    """Return a row for every learner and planner."""
    rows = []
    for file, figures, row in tables.read_all(output, COLUMNS):
        policy = file.with_name(f'{file.stem.rpartition("_")[0]}_policy.json')
        if policy.exists() and policy != file:
            row |= over_policy(figures, tables.read_figures(policy))
        rows.append(row)
    return sorted(rows, key=lambda row: (row['task'], row['planner'] != 'policy', row['seed']))


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('runs', nargs='*', type=Path, metavar='RUN')
    parser.add_argument('--planners', nargs='*', default=['policy', 'adaptive'],
                        choices=['policy', 'adaptive'])
    parser.add_argument('--episodes', type=int, default=512)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--device', help="compute with PyTorch on this device, as 'cuda'")
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/recipe'))
    args = parser.parse_args()
    for run in args.runs:
        for planner in args.planners:
            for model in best_networks(run):
                measure(model, planner, args.episodes, args.workers, args.device,
                        args.output)
    rows = table(args.output)
    tables.write(args.output / 'seeds.csv', COLUMNS, rows)
    print(f'{args.output}/seeds.csv: {len(rows)} rows')


if __name__ == '__main__':
    run_command(main)
