# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Compare the environments' speed with the plain package's: python -m benchmarks.environment_speed.

Both hold each random action for the same number of raw steps and restart after an episode, for the
same processor time on the same core. The plain package runs without its checker, which its users
can switch off too; everything else is as `safety_gymnasium.make` returns it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import csv
import sys
import time
from typing import Any

import numpy as np

from benchmarks import run_command
from spowl_ros.sim import environment, tasks
from spowl_ros.sim.compat import import_safety_gymnasium

COLUMNS = ('task', 'action_repeat', 'plain_decisions_per_s', 'decisions_per_s', 'factor',
           'raw_steps_per_s', 'plain_reset_ms', 'reset_ms')
WARM_UP = 20


class Plain:
    """The plain package with an action repeat, as a user writes it around `make`."""

    def __init__(self, task: str, repeat: int) -> None:
        self._env = import_safety_gymnasium().make(task, disable_env_checker=True)
        self._repeat = repeat
        self.actions: int = self._env.action_space.shape[0]

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode."""
        self._env.reset(seed=seed)

    def step(self, action: Any) -> tuple[bool, int]:
        """Return whether the episode ended, and the raw steps made."""
        for made in range(1, self._repeat + 1):
            _, _, _, terminated, truncated, _ = self._env.step(action)
            if terminated or truncated:
                return True, made
        return False, self._repeat


class Ours:
    """The environment of this package."""

    def __init__(self, task: str, repeat: int, sleep: bool = False) -> None:
        self._env = environment.make(task, action_repeat=repeat, sleep=sleep)
        self.actions = self._env.contract.action.size

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode."""
        self._env.reset(seed)

    def step(self, action: Any) -> tuple[bool, int]:
        """Return whether the episode ended, and the raw steps made."""
        result = self._env.step(action)
        return result.terminated or result.truncated, int(result.info['raw_steps'])


def measure(env: Plain | Ours, seconds: float, seed: int = 0) -> tuple[float, float, float]:
    """
    Return decisions per second, raw steps per second, and milliseconds per reset.

    Seconds are processor time, so other work on the machine disturbs little.
    """
    rng = np.random.default_rng(seed)
    act: Callable[[], Any] = lambda: rng.uniform(-1.0, 1.0, env.actions)  # noqa: E731
    env.reset(seed)
    for _ in range(WARM_UP):
        if env.step(act())[0]:
            env.reset()
    env.reset(seed)
    decisions = raw = 0
    began = time.process_time()
    while (elapsed := time.process_time() - began) < seconds or raw < 1000:
        ended, made = env.step(act())
        decisions += 1
        raw += made
        if ended:
            env.reset()
    began, resets = time.process_time(), 0
    while time.process_time() - began < seconds / 5 or resets < 3:
        env.reset()
        resets += 1
    return decisions / elapsed, raw / elapsed, (time.process_time() - began) / resets * 1e3


def main() -> None:
    """Measure each task and write a line of CSV for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('tasks', nargs='*', default=list(tasks.TASKS), metavar='TASK')
    parser.add_argument('--repeat', type=int, default=5, help='raw steps of a decision')
    parser.add_argument('--seconds', type=float, default=5.0, help='for each measurement')
    parser.add_argument('--sleep', action='store_true',
                        help='let bodies at rest sleep in ours; MuJoCo 3.17 or newer')
    args = parser.parse_args()
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for task in args.tasks:
        plain, _, plain_reset = measure(Plain(task, args.repeat), args.seconds)
        ours, raw, reset = measure(Ours(task, args.repeat, args.sleep), args.seconds)
        writer.writerow([task, args.repeat, f'{plain:.1f}', f'{ours:.1f}', f'{ours / plain:.1f}',
                         f'{raw:.0f}', f'{plain_reset:.1f}', f'{reset:.2f}'])
        sys.stdout.flush()


if __name__ == '__main__':
    run_command(main)
