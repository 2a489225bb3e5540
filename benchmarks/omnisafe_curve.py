# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure a learning curve of OmniSafe's methods: python -m benchmarks.omnisafe_curve.

Trains with OmniSafe's default hyper-parameters for as many raw steps as our run of the same task,
and writes RESULTS/<task>/<algorithm>.csv for `benchmarks.learning_curves`. It uses
our environment: same numbers as the plain package, but faster. OmniSafe pins packages that do not
install beside ours, so it needs its own virtual environment: `pip install --no-deps
omnisafe==0.5.0 moviepy==1.0.3` and the packages that its import then reports missing, with ours
(PyTorch, SafetyGymnasium) on the path.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
import tempfile
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.learning_curves import RESULTS
from spowl_ros.evaluation.episodes import RAW_STEPS
from spowl_ros.sim import environment
from spowl_ros.sim.compat import import_safety_gymnasium

EPOCH = 20_000
"""Raw steps between two updates of OmniSafe's on-policy methods, their default."""


class AsSafetyGymnasium:
    """Our environment with the part of SafetyGymnasium's interface that OmniSafe uses."""

    def __init__(self, id: str, **_: Any) -> None:  # noqa: A002  its name is theirs
        self.metadata: dict[str, Any] = {}
        self._inner = environment.make(id)
        contract = self._inner.contract
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (contract.action.size,))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (contract.size,))
        self.env = self
        self.spec = SimpleNamespace(max_episode_steps=RAW_STEPS)

    def reset(self, seed: int | None = None, options: object = None
              ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        return self._inner.reset(seed=seed), {}

    def step(self, action: NDArray[np.float32]
             ) -> tuple[NDArray[np.float32], float, float, bool, bool, dict[str, Any]]:
        """Make one raw step."""
        result = self._inner.step(action)
        return (result.observation, result.reward, result.cost, result.terminated,
                result.truncated, {})

    def close(self) -> None:
        """Do nothing: nothing is open."""


def train(task: str, algorithm: str, raw_steps: int, seed: int, log: Path) -> Path:
    """Train; return OmniSafe's progress.csv."""
    import_safety_gymnasium().make = AsSafetyGymnasium
    import omnisafe  # type: ignore[import-not-found]

    settings: dict[str, Any] = {
        'seed': seed,
        'train_cfgs': {'total_steps': -(-raw_steps // EPOCH) * EPOCH, 'vector_env_nums': 1,
                       'torch_threads': 1, 'device': 'cpu'},
        'algo_cfgs': {'steps_per_epoch': EPOCH},
        'logger_cfgs': {'use_wandb': False, 'use_tensorboard': False, 'log_dir': str(log),
                        'save_model_freq': 1_000_000}}
    omnisafe.Agent(algorithm, task, custom_cfgs=settings).learn()
    (progress,) = log.glob('**/progress.csv')
    return progress


def main() -> None:
    """Train, and keep steps, return and cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('task', nargs='?', default='SafetyCarGoal1-v0')
    parser.add_argument('--algorithm', default='PPOLag')
    parser.add_argument('--raw-steps', type=int, default=570_000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as log:
        progress = train(args.task, args.algorithm, args.raw_steps, args.seed, Path(log))
        with progress.open(newline='') as stream:
            rows = list(csv.DictReader(stream))
    target = RESULTS / args.task / f'{args.algorithm}.csv'
    with target.open('w', newline='') as stream:
        writer = csv.writer(stream, lineterminator='\n')
        writer.writerow(['raw_steps', 'return', 'cost'])
        writer.writerows([row['TotalEnvSteps'], row['Metrics/EpRet'], row['Metrics/EpCost']]
                         for row in rows)
    print(f'{target}: {len(rows)} points')


if __name__ == '__main__':
    main()
