# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Draw learning curves of the committed runs: python -m benchmarks.learning_curves.

`--add RUN...` first copies progress.csv and the configuration of runs (directories that
`spowl train` wrote) to RESULTS/<task>/seed_<seed>.csv and .yaml. The figure also shows other
methods: the curve.csv of a run of `benchmarks.baselines`, copied there as METHOD_SEED.csv, and
papers' figures.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
import itertools
import json
from pathlib import Path
import shutil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray

from benchmarks import run_command
from spowl_ros.base import yaml
from spowl_ros.base.statistics import BETTER
from spowl_ros.replay.plots import SOURCE_HEX
from spowl_ros.training import checkpoint
from spowl_ros.training.trainer import CHECKPOINT

RESULTS = Path('benchmarks/results/learning_curves')
COST_LIMIT = 25.0
"""Of the published methods, per episode."""
SEEDS = (SOURCE_HEX['policy'], '#7a6a5a', '#5aa9a0', '#9a7fc0')
"""Colours of seeds; what acts is a policy."""
LABEL = 0.055
"""Least distance between two labels, as a share of the axis."""


@dataclass(frozen=True)
class Published:
    """Figures of another method, and its number of raw steps."""

    method: str
    raw_steps: float
    episode_return: float
    cost: float


PUBLISHED = {
    'SafetyPointGoal1-v0': (
        Published('PPO-Lagrangian', 10e6, 13.0, 25.8), Published('CPO', 10e6, 20.5, 28.8),
        Published('SAC-Lagrangian', 3e6, 21.5, 19.2), Published('LAMBDA', 1e6, 18.8, 11.2)),
    'SafetyCarGoal1-v0': (
        Published('PPO-Lagrangian', 10e6, 13.3, 21.7), Published('CPO', 10e6, 25.5, 43.3),
        Published('SAC-Lagrangian', 3e6, 10.8, 22.7)),
    'SafetyDoggoGoal1-v0': (
        Published('PPO-Lagrangian', 50e6, -0.2, 33.0), Published('CPO', 50e6, 22.6, 77.8),
        Published('LAMBDA', 2e6, 5.9, 11.4)),
}


@dataclass(frozen=True)
class Curve:
    """One run."""

    name: str
    """Name of its file: a seed of ours, or another method."""
    raw_steps: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]


def add(run: Path) -> Path:
    """Copy a run's progress and configuration to the results; return the place."""
    config = checkpoint.load(run / CHECKPOINT)['config']
    folder = RESULTS / config['task']
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"seed_{config['seed']}.csv"
    shutil.copyfile(run / 'progress.csv', target)
    plain = json.loads(json.dumps(config))  # lists instead of tuples
    target.with_suffix('.yaml').write_text(yaml.dump(plain))
    return target


def read(path: Path) -> Curve:
    """Read one run's progress."""
    with path.open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    columns = {name: np.array([float(row[name] or 'nan') for row in rows]) for name in rows[0]}
    name = path.stem.removeprefix('seed_').replace('_', ', seed ')
    return Curve(name, columns['raw_steps'], columns)


def draw(task: str, curves: list[Curve], others: list[Curve]) -> Figure:
    """Draw return and cost over raw steps, of training episodes and of validations."""
    result = Figure((10.0, 3.4), layout='constrained')
    axes = result.subplots(1, 2)
    for axis, name in zip(axes, ('return', 'cost'), strict=True):
        for number, curve in enumerate(curves):
            colour = SEEDS[number % len(SEEDS)]
            axis.plot(curve.raw_steps, curve.columns[name], color=colour, alpha=0.45, lw=1,
                      label=f'seed {curve.name}, training (exploring)')
            validated = curve.columns[f'evaluation_{name}']
            fresh = np.flatnonzero(np.diff(validated, prepend=np.nan) != 0)
            fresh = fresh[np.isfinite(validated[fresh])]
            axis.plot(curve.raw_steps[fresh], validated[fresh], 'o-', color=colour, ms=3,
                      label=f'seed {curve.name}, validation (policy)')
        for curve, style in zip(others, itertools.cycle(('-', '--', ':'))):
            axis.plot(curve.raw_steps, curve.columns[name], color='black', lw=1, ls=style,
                      label=f'{curve.name}, training (OmniSafe)')
        _published(axis, task, name)
        axis.set_xlabel('raw environment steps, millions')
        axis.xaxis.set_major_formatter(lambda steps, _: f'{steps / 1e6:g}')
        axis.set_title(f'{task}: {name} per episode ({BETTER[name]})', loc='left', fontsize=9)
        axis.spines[['top', 'right']].set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    return result


def _published(axis: Axes, task: str, name: str) -> None:
    """Draw what papers report, and their limit of the cost, as lines with labels at the right."""
    lines = [(other.cost if name == 'cost' else other.episode_return,
              f'{other.method}, {other.raw_steps / 1e6:g} M', '--')
             for other in PUBLISHED.get(task, ())]
    if lines and name == 'cost':
        lines.append((COST_LIMIT, 'their limit', ':'))
    lines.sort()
    axis.autoscale_view()
    bottom, top = axis.get_ylim()
    bottom = min([bottom, *(value for value, *_ in lines)])
    top = max([top, *(value for value, *_ in lines)])
    axis.set_ylim(bottom, top)
    lowest = bottom
    for value, label, style in lines:
        axis.axhline(value, color='grey', lw=0.6, ls=style)
        lowest = max(value, lowest)  # labels of near lines stand one above the other
        axis.annotate(label, (1.0, value), (1.03, lowest), fontsize=6, va='center',
                      xycoords=('axes fraction', 'data'), textcoords=('axes fraction', 'data'),
                      arrowprops={'arrowstyle': '-', 'color': 'grey', 'lw': 0.4, 'shrinkA': 0.0,
                                  'shrinkB': 0.0, 'relpos': (0.0, 0.5)})
        lowest += LABEL * (top - bottom)


def main() -> None:
    """Add the given runs, then draw every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--add', nargs='*', type=Path, default=[], metavar='RUN')
    args = parser.parse_args()
    for run in args.add:
        print(add(run))
    for folder in sorted(path for path in RESULTS.glob('*') if path.is_dir()):
        files = sorted(folder.glob('seed_*.csv'))
        others = sorted(set(folder.glob('*.csv')) - set(files))
        draw(folder.name, *([read(file) for file in group] for group in (files, others))
             ).savefig(RESULTS / f'{folder.name}.svg')
        print(RESULTS / f'{folder.name}.svg', f'{len(files)} seeds')


if __name__ == '__main__':
    run_command(main)
