# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Draw the learning curve of a population: python -m benchmarks.population_curve RUN --output FILE.

Of all seeds in RUN/progress.csv it takes, at each number of decisions, the interquartile mean (the
mean without the lowest and the highest quarter; Agarwal et al., 2108.13264) with the 95 % interval
of 2,000 bootstraps over seeds. Writes FILE.csv (a row per point), FILE_seeds.csv (a row per
seed with its last figures), and FILE.svg.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
import csv
from pathlib import Path

from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray

from benchmarks import run_command
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.statistics import BETTER
from spowl_ros.replay.plots import SOURCE_HEX
from spowl_ros.training.population import LEARNER, write_table

MEASURES = ('return', 'cost', 'evaluation_return', 'evaluation_cost')
RESAMPLES = 2_000
LINE = SOURCE_HEX['policy']


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis without a quarter at each end; n // 4 values are cut."""
    cut = values.shape[-1] // 4
    kept: NDArray[np.float64] = np.sort(values, axis=-1)[..., cut:values.shape[-1] - cut]
    return np.asarray(kept.mean(axis=-1))


def point(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the interquartile mean of seeds (n,), and low and high end of its interval."""
    rng = np.random.default_rng(0)
    again = interquartile_mean(rng.choice(values, (RESAMPLES, len(values))))
    low, high = np.quantile(again, [0.025, 0.975])
    return float(interquartile_mean(values)), float(low), float(high)


def of_one_variation(rows: list[dict[str, str]], wanted: str | None) -> list[dict[str, str]]:
    """
    Return the rows of learners that differ by nothing but the seed.

    :param wanted: what their names say after the seed; None: the only one that there is
    :raises SpowlError: there are several, or not the wanted one
    """
    found = {row[LEARNER].partition(',')[2] for row in rows}
    if wanted is None and len(found) == 1:
        return rows
    if wanted not in found:
        raise SpowlError('the learners differ by more than the seed; choose some with --vary: '
                         + ', '.join(sorted(found)))
    return [row for row in rows if row[LEARNER].partition(',')[2] == wanted]


def curve(rows: list[dict[str, str]]) -> list[dict[str, float]]:
    """Return a row for each number of decisions that at least two seeds have reached."""
    at: dict[int, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        at[int(row['decisions'])].append(row)
    result = []
    for decisions, there in sorted(at.items()):
        if len(there) < 2:
            continue
        line: dict[str, float] = {'decisions': decisions, 'seeds': len(there),
                                  'raw_steps': float(there[0]['raw_steps'])}
        for name in MEASURES:
            values = np.array([float(row[name] or 'nan') for row in there])
            if np.isfinite(values).all():
                line |= dict(zip((name, f'{name}_low', f'{name}_high'), point(values),
                                 strict=True))
        result.append(line)
    return result


def draw(points: list[dict[str, float]], rows: list[dict[str, str]], title: str) -> Figure:
    """Draw the interquartile mean with its band, and each seed thinly."""
    figure = Figure((9.0, 3.4), layout='constrained')
    for axis, name in zip(figure.subplots(1, 2), ('return', 'cost'), strict=True):
        for learner in sorted({row[LEARNER] for row in rows}):
            mine = [row for row in rows if row[LEARNER] == learner]
            axis.plot([float(row['raw_steps']) for row in mine],
                      [float(row[name] or 'nan') for row in mine], color='grey', lw=0.6, alpha=0.6,
                      label='each seed' if not axis.lines else None)
        there = [row for row in points if name in row]
        steps = [row['raw_steps'] for row in there]
        axis.plot(steps, [row[name] for row in there], color=LINE,
                  label='interquartile mean')
        axis.fill_between(steps, [row[f'{name}_low'] for row in there],
                          [row[f'{name}_high'] for row in there], color=LINE, alpha=0.25,
                          linewidth=0, label='95 % interval')
        axis.set_title(f'{title}: {name} per episode of training ({BETTER[name]})', loc='left',
                       fontsize=9)
        axis.set_xlabel('raw environment steps of a seed, thousands')
        axis.xaxis.set_major_formatter(lambda steps, _: f'{steps / 1e3:g}')
        axis.spines[['top', 'right']].set_visible(False)
        axis.legend(fontsize=7, frameon=False)
    return figure


def main() -> None:
    """Write the tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('run', type=Path, metavar='RUN')
    parser.add_argument('--output', type=Path, required=True, metavar='FILE',
                        help='without a suffix')
    parser.add_argument('--vary', metavar='NAME=VALUE,...',
                        help='of a run with --vary: the learners whose names end so')
    args = parser.parse_args()
    write_table(args.run)
    with (args.run / 'progress.csv').open(newline='') as stream:
        rows = of_one_variation(list(csv.DictReader(stream)), args.vary)
    points = curve(rows)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for line in points for name in line))
    with args.output.with_suffix('.csv').open('w', newline='') as stream:
        table = csv.DictWriter(stream, columns, restval='')
        table.writeheader()
        table.writerows({name: f'{value:.6g}' for name, value in line.items()}
                        for line in points)
    last = {row[LEARNER]: row for row in rows}
    with args.output.with_name(f'{args.output.name}_seeds.csv').open('w', newline='') as stream:
        seeds = csv.DictWriter(stream, [LEARNER, 'seed', 'decisions', 'raw_steps', 'updates',
                                        'seconds', *MEASURES], extrasaction='ignore')
        seeds.writeheader()
        seeds.writerows(last[name] for name in sorted(last))
    draw(points, rows, args.output.name).savefig(args.output.with_suffix('.svg'))


if __name__ == '__main__':
    run_command(main)
