# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Compare the learners of populations on the nominal and on the ordinary robot.

    python -m benchmarks.robustness RUN... --episodes 128 --output benchmarks/results/robustness

Each learner's policy drives the same validation episodes on both robots. Each result goes into
OUTPUT at once, so an interrupted run can continue. Then all of OUTPUT becomes robustness.csv, with
a row for each learner and robot.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import run_command, tables
from benchmarks.ablation import drive, is_measured
from benchmarks.seeds import best_networks
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.cli.evaluate import open_model
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import Perturbation, preset
from spowl_ros.training import checkpoint

ROBOTS = ('nominal', 'ordinary')
COLUMNS = ('window', 'randomisation_scale', 'seed', 'updates', 'robot', 'episodes',
           *tables.INTERVALS)


def measure(model: Path, robot: str, episodes: int, workers: int, file: Path) -> None:
    """Drive a learner's policy on one robot, unless its figures exist."""
    counters, config = checkpoint.describe(model)
    about = {'window': config.networks.window, 'seed': config.seed, 'robot': robot,
             'randomisation_scale': (config.randomisation.scale
                                     if config.randomisation.active else 0.0),
             'updates': counters['updates']}
    source, details = open_model(model, 'policy', {})
    if is_measured(file, details, episodes):
        return
    raw_period = environment.contract(source.task, source.action_repeat).raw_period
    perturbation = Perturbation() if robot == 'nominal' else preset(robot, raw_period)
    drive(source, 'policy', VALIDATION[:episodes], perturbation, workers, file,
          f'{model.parent.name} {robot}', {**details, **about})


def table(output: Path) -> list[dict[str, Any]]:
    """Return a row for every learner and robot."""
    rows = [row for _, _, row in tables.read_all(output, COLUMNS)]
    return sorted(rows, key=lambda row: [row[name] for name in COLUMNS[:3]] + [row['robot']])


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='*', type=Path, metavar='RUN')
    parser.add_argument('--episodes', type=int, default=128)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/robustness'))
    args = parser.parse_args()
    for run in args.runs:
        for model in best_networks(run):
            for robot in ROBOTS:
                measure(model, robot, args.episodes, args.workers,
                        args.output / run.name / f'{model.parent.name}_{robot}.json')
    rows = table(args.output)
    tables.write(args.output / 'robustness.csv', COLUMNS, rows)
    print(f'{args.output}/robustness.csv: {len(rows)} rows')


if __name__ == '__main__':
    run_command(main)
