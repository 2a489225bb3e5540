# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Run many trainings and evaluations, on this machine or on a Ray cluster.

SWEEP is a YAML file; docs/scale.md describes it. After an interrupt the same command continues: it
skips finished runs and resumes trainings from their last checkpoint.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

from spowl_ros.base.files import absolute
from spowl_ros.cli._extras import installed, require_extra
from spowl_ros.cli._numbers import between

if TYPE_CHECKING:
    from rich.table import Table

    from spowl_ros.evaluation.episodes import AgentSource
    from spowl_ros.scale.sweep import Run, Sweep

HELP = 'make many trainings and evaluations, on one machine or several'
FAILED = 1
"""Exit code if some runs failed; the output gives the reasons."""
_SHOWN = 20
"""Rows of the live table; further runs are not shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('sweep', type=Path, metavar='SWEEP', help='YAML file of what to run')
    parser.add_argument('--address', default='local', metavar='ADDRESS',
                        help="Ray cluster to join: 'auto' for the one of this machine, or "
                        'HOST:PORT (default: %(default)s, this machine alone)')
    parser.add_argument('--cores', type=between(int, 1), metavar='N',
                        help='cores of this machine to use, without a cluster (default: all)')
    parser.add_argument('--dry-run', action='store_true', help='list the runs, and make none')


def run(args: argparse.Namespace) -> int:
    """Do the runs and write table and figure."""
    from rich.console import Console
    from rich.live import Live

    from spowl_ros.scale import sweep as sweeps
    from spowl_ros.scale.cluster import Cluster

    settings = sweeps.load(args.sweep)
    if settings.trainings:
        require_extra('train')
    output = absolute(settings.output or Path('runs') / args.sweep.stem)
    sweep = sweeps.Sweep(sweeps.plan(settings, output), output, _open)
    if args.dry_run:
        for run in sweep.runs.values():
            print(f'{run.state:8}  {run.name}  {run.changes}')
        return 0
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)

    with Cluster(args.address, args.cores) as cluster, Live(
            console=console, auto_refresh=False, transient=True) as live:
        def show(ended: Run | None) -> None:
            if ended is not None and not console.is_terminal:
                print(_line(ended), file=sys.stderr)
            if console.is_terminal:
                live.update(_table(sweep), refresh=True)

        try:
            sweep.run(cluster, settings.cores, settings.gpus, show)
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(
                f'; the same command goes on: {_counted(sweep)}') from interrupt
        finally:
            sweep.write()
    if installed('report'):
        from spowl_ros.scale.picture import draw

        draw(sweep.rows(), output / 'sweep.png')
    failed = [run for run in sweep.runs.values() if run.state == 'failed']
    for run in failed:
        print(f'spowl: error: {run.name}: {run.reason}', file=sys.stderr)
    print(f'{output / sweeps.TABLE}: {_counted(sweep)}')
    return FAILED if failed else 0


def _open(model: Path, planner: str, values: dict[str, Any], monitors: bool
          ) -> tuple[AgentSource, dict[str, Any]]:
    from spowl_ros.cli.evaluate import open_model, settings_of
    from spowl_ros.scale.sweep import assignments

    return open_model(model, planner, settings_of(assignments(values)), monitors=monitors)


def _counted(sweep: Sweep) -> str:
    counts = Counter(run.state for run in sweep.runs.values())
    return ', '.join(f'{counts[name]} {name}' for name in ('done', 'failed', 'running', 'waiting')
                     if counts[name]) or 'nothing to do'


def _line(run: Run) -> str:
    """Return the line printed when a run ends."""
    found = '  '.join(f'{name} {run.found[name]:.2f}' for name in ('return', 'cost')
                      if name in run.found)
    return f'{run.state}  {run.name}  {found or run.reason}'


def _table(sweep: Sweep) -> Table:
    """Return the live table: running and failed runs first, then the others."""
    from rich.table import Table

    from spowl_ros.scale.run import last_row

    order = ('running', 'failed', 'done', 'waiting')
    table = Table(title=f'{sweep.output.name}: {_counted(sweep)}')
    for column in ('run', 'changes', 'state', 'decisions', 'return', 'cost'):
        table.add_column(column, overflow='fold')
    for run in sorted(sweep.runs.values(), key=lambda run: order.index(run.state))[:_SHOWN]:
        found: dict[str, Any] = dict(run.found)
        if run.state == 'running' and run.training is not None:
            found = dict(last_row(run.training.folder))
        table.add_row(run.name, run.changes, run.reason or run.state,
                      str(found.get('decisions', '')),
                      *(f'{found[name]:.2f}' if isinstance(found.get(name), float) else ''
                        for name in ('return', 'cost')))
    return table
