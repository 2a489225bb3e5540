# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Test whether bodies at rest may sleep: python -m benchmarks.sleep_agreement TASK... > FILE.csv.

Drives the same episodes by the same random actions, awake and asleep, and compares return and cost
by cause: means with their 95 % intervals, and the share of 2,000 random exchanges between the two
samples after which their means differ at least as much.
Needs MuJoCo 3.17 or newer.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.seeds import VALIDATION
from spowl_ros.base.statistics import bootstrap
from spowl_ros.sim import environment

COLUMNS = ('task', 'episodes', 'measure', 'awake', 'awake_low', 'awake_high', 'asleep',
           'asleep_low', 'asleep_high', 'largest_difference', 'p_same', 'awake_raw_steps_per_s',
           'asleep_raw_steps_per_s')
EXCHANGES = 2_000
HELD = 4
"""Decisions for which a random action is held; otherwise the robot gets nowhere."""


def drive(task: str, episodes: int, sleep: bool) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return each measure of each episode, and raw steps a second of the processor."""
    env = environment.make(task, action_repeat=5, sleep=sleep)
    rows: list[dict[str, float]] = []
    raw, began = 0, time.process_time()
    for seed in VALIDATION[:episodes]:
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        row = {'return': 0.0, 'cost': 0.0}
        for step in range(10_000):
            if step % HELD == 0:
                action = rng.uniform(-1.0, 1.0, env.contract.action.size)
            result = env.step(action)
            raw += result.info['raw_steps']
            row['return'] += result.reward
            row['cost'] += result.cost
            for name, value in result.info['cost_parts'].items():
                row[f'cost of {name}'] = row.get(f'cost of {name}', 0.0) + value
            if result.terminated or result.truncated:
                break
        rows.append(row)
    names = {name: None for row in rows for name in row}
    return ({name: np.array([row.get(name, 0.0) for row in rows]) for name in names},
            raw / (time.process_time() - began))


def interval(values: NDArray[np.float64]) -> list[str]:
    """Return mean, and low and high end of its 95 % bootstrap interval."""
    found = bootstrap(values)
    return [f'{x:.3f}' for x in (found.mean, found.low, found.high)]


def p_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of random mixtures whose means differ at least as much."""
    rng = np.random.default_rng(0)
    both = np.concatenate([one, other])
    mixed = rng.permuted(np.tile(both, (EXCHANGES, 1)), axis=1)
    apart = mixed[:, :len(one)].mean(axis=1) - mixed[:, len(one):].mean(axis=1)
    return float((np.abs(apart) >= abs(one.mean() - other.mean()) - 1e-12).mean())


def main() -> None:
    """Compare each task and write a line of CSV for each measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('tasks', nargs='+', metavar='TASK')
    parser.add_argument('--episodes', type=int, default=200)
    args = parser.parse_args()
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for task in args.tasks:
        (awake, slow), (asleep, fast) = (drive(task, args.episodes, sleep)
                                         for sleep in (False, True))
        for name, values in awake.items():
            p = p_same(values, asleep[name])
            writer.writerow([task, args.episodes, name, *interval(values),
                             *interval(asleep[name]),
                             f'{np.abs(values - asleep[name]).max():.3f}', f'{p:.3f}',
                             f'{slow:.0f}', f'{fast:.0f}'])
        sys.stdout.flush()


if __name__ == '__main__':
    main()
