# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure how well the cost value ranks what follows: python -m benchmarks.cost_foresight MODEL...

Each bundle drives held-out episodes, of the nominal robot and of the robot `ordinary`. The table
has the rank correlation of the executed actions' cost value with the cost of the next decisions.
`correlation_best` is the greatest that any prediction could have: where most decisions are
followed by no cost, their ties keep it far below 1. `concordance` has no such ceiling: it is the
chance that a decision before a cost is ranked above one before none (area under the ROC curve; 0.5
as chance would, 1 without error). `correlation_closed` is the rank correlation with the discounted
cost, closed by the prediction at its end, as reports of replays have it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from benchmarks import run_command, tables
from spowl_ros.base.seeds import CALIBRATION
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.evaluation.calibration import run_episode
from spowl_ros.replay.foresight import CLOSING, foresight, rank_correlation, ranks, sums_after
from spowl_ros.replay.trace import TraceBuilder
from spowl_ros.sim.environment import make
from spowl_ros.sim.perturbation import PRESETS, Perturbation, preset

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ('model', 'robot', 'episodes', 'decisions', 'cost', 'costly_share', 'correlation',
           'correlation_best', 'concordance', 'correlation_closed')


def measure(model: Path, robot: str, episodes: int) -> dict[str, Any]:
    """Return a row of the table, from the last seeds of calibration, which bundles never saw."""
    loaded = bundle.load(model)
    contract = loaded.contract
    perturbation = (preset(robot, contract.raw_period) if robot in PRESETS else Perturbation())
    environment = make(contract.task, action_repeat=contract.action_repeat,
                       perturbation=perturbation)
    builder = TraceBuilder()
    for seed in tqdm(CALIBRATION[-episodes:], desc=f'{contract.task} {robot}', disable=None):
        episode = run_episode(Controller(loaded, seed=seed), environment, seed)
        for decision, cost in zip(episode.decisions, episode.costs, strict=True):
            builder.add(decision)
            builder.add_outcome('cost', cost)
    trace = builder.build()
    predicted = trace.executed('cost_value')
    followed = sums_after(trace.episode, trace.cost, 1.0, CLOSING)
    known = np.isfinite(predicted) & np.isfinite(followed)
    closed = foresight(trace, 'cost_value', loaded.settings.cost_discount).to_dict()
    return {'model': model.name, 'robot': robot, 'episodes': episodes, 'decisions': len(trace),
            'cost': round(float(trace.cost.sum()) / episodes, 3),
            'costly_share': round(float(np.mean(followed[known] > 0)), 4),
            'correlation': _rounded(rank_correlation(predicted[known], followed[known])),
            'correlation_best': _rounded(best_rank_correlation(followed[known])),
            'concordance': _rounded(concordance(predicted[known], followed[known])),
            'correlation_closed': _rounded(closed['correlation'])}


def best_rank_correlation(followed: NDArray[np.float64]) -> float | None:
    """Return the rank correlation of a prediction without ties in the order of what followed."""
    perfect = np.empty(followed.size)
    perfect[np.argsort(followed, kind='stable')] = np.arange(followed.size)
    return rank_correlation(perfect, followed)


def concordance(predicted: NDArray[np.float64], followed: NDArray[np.float64]) -> float | None:
    """Return how often a decision before a cost is ranked above one before none; ties are half."""
    costly = followed > 0.0
    first, second = int(costly.sum()), int((~costly).sum())
    if not first or not second:
        return None
    above = ranks(predicted)[costly].sum() - first * (first + 1) / 2
    return float(above / (first * second))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def main() -> None:
    """Measure every bundle with every robot; print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('models', nargs='+', type=Path, metavar='MODEL')
    parser.add_argument('--episodes', type=int, default=64)
    parser.add_argument('--robots', nargs='*', default=['nominal', *PRESETS],
                        choices=['nominal', *PRESETS])
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results'))
    args = parser.parse_args()
    rows = [measure(model, robot, args.episodes)
            for model in args.models for robot in args.robots]
    for row in rows:
        print(', '.join(f'{name} {value}' for name, value in row.items()))
    tables.write(args.output / 'cost_foresight.csv', COLUMNS, rows)


if __name__ == '__main__':
    run_command(main)
