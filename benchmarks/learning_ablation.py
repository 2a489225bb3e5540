# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what each learning option is worth: python -m benchmarks.learning_ablation.

Runs short trainings of one task, each with one option left out or as in the authors' SPOWL; then
the policy's mean drives validation episodes. Each result goes into OUTPUT/<variant>_<seed>.json at
once, so an interrupted run can continue. Then all results become learning_ablation.csv.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
import csv
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from benchmarks import run_command, tables
from spowl_ros.base.children import end_with_parent
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import write_json
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.cli.evaluate import open_model
from spowl_ros.evaluation.episodes import evaluate
from spowl_ros.training.trainer import CHECKPOINT

VARIANTS: dict[str, list[str]] = {
    'shipped': [],
    'read-out by symlog': ['networks.readout=symlog'],
    'augmented Lagrangian': ['constraint.kind=augmented'],
    'costs weigh ten times': ['loss.cost_imbalance=10'],
    'no margin around obstacles': ['collect.cost_margin=0'],
    'batches without regard to cost': ['collect.costly_share=0'],
    'no environment acts by the mean': ['collect.quiet_share=0'],
    'last networks, not their average': ['optimiser.average_rate=0'],
    'bare scans': ['networks.proximity_scale=0', 'networks.nearest_distances=[]'],
}
"""
Name to the overrides of the task's configuration.

Without proximities the networks also get no nearest distances, and observations are neither
standardised nor clamped: 'bare scans' leaves out all four.
"""
COLUMNS = ('variant', 'seed', 'decisions', 'updates', 'episodes', *tables.INTERVALS,
           'training_return', 'training_cost')


def train(task: str, variant: str, seed: int, decisions: int, run: Path) -> None:
    """Train in a separate process on one thread, unless already done."""
    resume = ['--resume'] if (run / CHECKPOINT).exists() else [*VARIANTS[variant], f'seed={seed}']
    run.mkdir(parents=True, exist_ok=True)
    with (run / 'train.log').open('a') as log:
        subprocess.run(
            [sys.executable, '-m', 'spowl_ros.cli.main', 'train', task, '--output', str(run),
             f'collect.decisions={decisions}', f'schedule.evaluate={decisions + 1}', *resume],
            check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, 'OMP_NUM_THREADS': '1'}, preexec_fn=end_with_parent())


def judge(variant: str, seed: int, episodes: int, run: Path) -> dict[str, Any]:
    """Return the validation figures of a run as a row."""
    source, _ = open_model(run / CHECKPOINT, 'policy', {}, monitors=False)
    figures = evaluate(source, 'policy', VALIDATION[:episodes]).to_dict()
    with (run / 'progress.csv').open() as stream:
        last = list(csv.DictReader(stream))[-1]
    return {'variant': variant, 'seed': seed, 'decisions': int(last['decisions']),
            'updates': int(last['updates']), 'episodes': episodes,
            **tables.intervals(figures, digits=2),
            'training_return': round(float(last['return']), 2),
            'training_cost': round(float(last['cost']), 2)}


def main() -> None:
    """Train and judge missing variants, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--task', default='SafetyPointGoal1-v0')
    parser.add_argument('--variants', nargs='*', default=list(VARIANTS), choices=VARIANTS,
                        metavar='VARIANT', help='only these (default: all)')
    parser.add_argument('--seeds', nargs='*', type=int, default=[0])
    parser.add_argument('--decisions', type=int, default=28_000)
    parser.add_argument('--episodes', type=int, default=32)
    parser.add_argument('--workers', type=int, default=2, help='trainings at a time')
    parser.add_argument('--runs', type=Path, default=Path('runs/learning_ablation'))
    parser.add_argument('--output', type=Path,
                        default=Path('benchmarks/results/learning_ablation'))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    def measure(job: tuple[str, int]) -> None:
        variant, seed = job
        name = f'{variant.replace(" ", "_").replace(",", "")}_{seed}'
        file = args.output / f'{name}.json'
        if file.exists():
            known = json.loads(file.read_text())
            for what in ('task', 'decisions', 'episodes'):
                if known.get(what, getattr(args, what)) != getattr(args, what):
                    raise SpowlError(f'{file} holds a row of another {what}, {known[what]}; '
                                     'choose another --output, or remove the file')
        else:
            train(args.task, variant, seed, args.decisions, args.runs / name)
            write_json(file, {'task': args.task, **judge(
                variant, seed, args.episodes, args.runs / name)})
        print(file.read_text(), flush=True)

    # a child ends with the thread that started it; the pool's threads live until the end
    with ThreadPoolExecutor(args.workers) as pool:
        list(pool.map(measure, [(variant, seed) for seed in args.seeds
                                for variant in args.variants]))
    order = list(VARIANTS)
    found = (json.loads(file.read_text()) for file in args.output.glob('*.json'))
    rows = sorted(({name: row[name] for name in COLUMNS} for row in found),
                  key=lambda row: (order.index(row['variant']), row['seed']))
    tables.write(args.output / 'learning_ablation.csv', COLUMNS, rows)


if __name__ == '__main__':
    run_command(main)
