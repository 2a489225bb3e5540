# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure where training time goes: python -m benchmarks.training_speed > FILE.csv.

For each configuration (a file in config/training/, by default the authors' and the compact one)
it times single steps of the real trainer: environments, acting by the policy and by planning,
updates. Shares are those of one decision as the configuration schedules it, with the given share
of the environments planning.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import csv
from dataclasses import replace
from pathlib import Path
import sys
import tempfile
import time

import numpy as np
import torch

from benchmarks import run_command
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.trainer import Trainer

CONFIGURATIONS = ('config/training/authors.yaml', 'config/training/SafetyPointGoal1-v0.yaml')
COLUMNS = ('configuration', 'device', 'threads', 'batch', 'latent', 'hidden', 'environments',
           'workers', 'raw_steps_per_s', 'policy_decisions_per_s', 'plans_per_s', 'updates_per_s',
           'environment_share', 'acting_share', 'update_share')


def seconds_of(work: Callable[[], object], seconds: float, device: torch.device,
               clock: Callable[[], float]) -> float:
    """Return the least seconds of one call of `work`, repeated for about `seconds`."""
    work()  # warms up, compiles
    best, total = float('inf'), 0.0
    while total < seconds:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        began = clock()
        work()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        took = max(clock() - began, 1e-9)
        best, total = min(best, took), total + took
    return best


def measure(name: str, config: TrainConfig, seconds: float) -> dict[str, object]:
    """Return one row."""
    collect = config.collect
    # a processor gains nothing by planning for many at once
    planned = 1 if torch.device(config.device).type == 'cpu' else collect.environments
    planning = replace(config, collect=replace(
        collect, planning_share=planned / collect.environments,
        random_decisions=collect.environments))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(planning, Path(folder))
        device = trainer.learners.device
        # processor time, undisturbed by other work, if this process does all the work
        alone = device.type == 'cpu' and not collect.workers and config.threads == 1
        clock = time.process_time if alone else time.perf_counter
        rng = np.random.default_rng(0)
        size = collect.environments, trainer.config.networks.action_dim

        def step() -> None:
            trainer.collector.start(rng.uniform(-1, 1, size).astype(np.float32))
            trainer.buffer.add(**trainer.collector.finish().decisions)

        def act_by_policy() -> None:
            seen = torch.from_numpy(trainer.collector.observations).to(device)
            noise = trainer.members[0].exploration().to(device)
            trainer.learners.act(seen.unsqueeze(0), noise.unsqueeze(0)).cpu()

        def act_by_planning() -> None:
            trainer.decisions = collect.environments
            trainer._act(trainer.collector.observations)

        try:
            for _ in range(20):
                step()
            environment = seconds_of(step, seconds, device, clock)
            policy = seconds_of(act_by_policy, seconds, device, clock)
            plan = seconds_of(act_by_planning, seconds, device, clock)
            trainer.buffer.count_costly()
            updating = seconds_of(trainer._step, seconds, device, clock)
        finally:
            trainer.collector.close()
    n = collect.environments
    acting = policy + collect.planning_share * n * plan / planned
    learning = updating * collect.updates_per_decision * n
    whole = environment + acting + learning
    values = (name, _device(device), config.threads, config.batch_size,
              config.networks.latent_dim, config.networks.mlp_dim, n, collect.workers,
              round(n * collect.action_repeat / environment), round(n / policy),
              f'{planned / plan:.4g}', f'{1 / updating:.4g}', f'{environment / whole:.3f}',
              f'{acting / whole:.3f}', f'{learning / whole:.3f}')
    return dict(zip(COLUMNS, values, strict=True))


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'


def main() -> None:
    """Measure each configuration and write a line of CSV for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('configurations', nargs='*', default=CONFIGURATIONS, metavar='FILE')
    parser.add_argument('--set', action='append', default=[], metavar='section.key=value',
                        help='override of every configuration')
    parser.add_argument('--seconds', type=float, default=5.0, help='for each measurement')
    args = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    for file in args.configurations:
        config = configuration.load(Path(file), args.set)
        writer.writerow(measure(Path(file).stem, config, args.seconds))
        sys.stdout.flush()


if __name__ == '__main__':
    run_command(main)
