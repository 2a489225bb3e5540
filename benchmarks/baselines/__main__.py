# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Train and evaluate other methods: python -m benchmarks.baselines TASK METHOD --steps N --limit L.

Each seed is a run with a folder in RUNS. A run that is done is skipped; one that was interrupted
goes on from its last checkpoint. RUNS/baselines.csv has a row for each run that is done. A method
rounds N up to its own schedule, which is stretched to that length. `make baselines` installs what
OmniSafe's methods need.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import signal
import sys

from benchmarks import run_command
from benchmarks.baselines.methods import METHODS, complete
from benchmarks.baselines.runs import RESULT, Run, table
from spowl_ros.base.children import pool
from spowl_ros.base.errors import SpowlError, crash, to_line
from spowl_ros.base.tasks import task_id
from spowl_ros.training.population import parse_seeds


def main() -> int:
    """Complete each run in a process of its own, since OmniSafe changes its process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('task', type=task_id)
    parser.add_argument('method', choices=METHODS)
    parser.add_argument('--seeds', default='0', metavar='0-2')
    parser.add_argument('--steps', type=int, default=1_000_000, metavar='N', help='raw steps')
    parser.add_argument('--limit', type=float, default=25.0, metavar='L', help='cost limit')
    parser.add_argument('--episodes', type=int, default=512, help='of the evaluation')
    parser.add_argument('--workers', type=int, default=1, help='processes of the evaluation')
    parser.add_argument('--runs', type=Path, default=Path('runs/baselines'))
    args = parser.parse_args()
    failed = []
    args.runs.mkdir(parents=True, exist_ok=True)
    for seed in parse_seeds(args.seeds):
        run = Run(args.task, args.method, seed, args.steps, args.limit)
        folder = run.folder(args.runs)
        if (folder / RESULT).exists():
            known = json.loads((folder / RESULT).read_text())['episodes']
            if known != args.episodes:
                raise SpowlError(f'{folder} is evaluated over {known} episodes, not over '
                                 f'{args.episodes}. Choose other --runs, or remove it')
            print(f'{folder}: done before')
            continue
        try:
            with pool(1) as process:  # it ends with this one
                process.submit(complete, run, folder, args.episodes, args.workers).result()
        except KeyboardInterrupt:
            print(f'{folder}: interrupted; the same command continues it', file=sys.stderr)
            return 128 + signal.SIGINT
        except Exception as error:
            print(to_line(error if isinstance(error, SpowlError) else crash(error)),
                  file=sys.stderr)
            failed.append(folder)
        table(args.runs)
    for row in table(args.runs):
        print(' '.join(f'{name}={value}' for name, value in row.items()))
    for folder in failed:
        print(f'{folder}: failed; the same command continues it', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    run_command(main)
