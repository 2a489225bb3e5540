# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Test whether bodies at rest may sleep: python -m benchmarks.sleep_agreement TASK... > FILE.csv.

Drives the same episodes by the same random actions, awake and asleep, and compares return and cost
by cause: means with their 95 % intervals, the mean of the paired differences with its own, and the
share of random sign flips of the differences after which their mean is at least as far from 0.
Needs MuJoCo 3.17 or newer.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks import run_command
from spowl_ros.base.seeds import VALIDATION
from spowl_ros.base.statistics import bootstrap
from spowl_ros.sim import environment

COLUMNS = ('task', 'episodes', 'measure', 'awake', 'awake_low', 'awake_high', 'asleep',
           'asleep_low', 'asleep_high', 'difference', 'difference_low', 'difference_high',
           'largest_difference', 'p', 'awake_raw_steps_per_s', 'asleep_raw_steps_per_s')
FLIPS = 20_000
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


def p_paired(differences: NDArray[np.float64]) -> float:
    """Return the share of random sign flips with a mean at least as far from 0, itself counted."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (FLIPS, len(differences)))
    as_far = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9
    return float((1 + as_far.sum()) / (1 + FLIPS))


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
            differences = asleep[name] - values
            writer.writerow([task, args.episodes, name, *interval(values),
                             *interval(asleep[name]), *interval(differences),
                             f'{np.abs(differences).max():.3f}', f'{p_paired(differences):.5f}',
                             f'{slow:.0f}', f'{fast:.0f}'])
        sys.stdout.flush()


if __name__ == '__main__':
    run_command(main)
