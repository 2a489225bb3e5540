# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure how fast a device trains many learners: python -m benchmarks.population --device cuda.

First times one update of all learners, with and without a CUDA graph, for several numbers of
learners of the compact and of the authors' networks; with --compiled also with compiled losses.
Times the environments alone. Then trains a population on PointGoal1 for the remaining time, and
prints its curve. With the defaults, a GPU with 16 CPU cores needs less than eight minutes. Files
go into OUTPUT as they are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import csv
from dataclasses import replace
import itertools
from pathlib import Path
import sys
import time

import numpy as np
import torch

from benchmarks import run_command
from spowl_ros.training import config as configuration
from spowl_ros.training import population
from spowl_ros.training.acceleration import WARM_UP, Captured
from spowl_ros.training.buffer import ReplayBuffer
from spowl_ros.training.collect import Collector
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.learner import Learners
from spowl_ros.training.networks import Networks
from spowl_ros.training.trainer import Trainer

TASK = 'SafetyPointGoal1-v0'
OBSERVATION, ACTION = 60, 2
SCANS = ((12, 28), (28, 44), (44, 60))
STREAMS = 8
COLUMNS = ('networks', 'device', 'learners', 'batch', 'ms', 'learner_updates_per_s',
           'eager_ms', 'finite')


def learners_of(config: TrainConfig, count: int, device: torch.device) -> Learners:
    """Return new learners for random experience."""
    sizes = replace(config.networks, obs_dim=OBSERVATION, action_dim=ACTION, scan_slices=SCANS)
    networks = []
    for seed in range(count):
        torch.manual_seed(seed)
        networks.append(Networks(sizes).to(device))
    return Learners(networks, [replace(config, seed=seed) for seed in range(count)])


def buffer_of(count: int, capacity: int, device: torch.device, fused: bool) -> ReplayBuffer:
    """Return a replay buffer of random experience."""
    buffer = ReplayBuffer(capacity, STREAMS, OBSERVATION, ACTION, count, device, fused=fused)
    for name, array in buffer.arrays.items():
        if name in ('obs', 'next_obs'):
            array.uniform_()
        elif name == 'action':
            array.uniform_(-1, 1)
        elif name == 'reward':
            array.normal_(std=0.1)
        elif name == 'cost':
            array.copy_((torch.rand_like(array) < 0.05).float())
    rows = {name: array[:, 0].flatten(0, 1).cpu().numpy() for name, array in buffer.arrays.items()}
    buffer.filled = buffer.length - 1
    buffer.position = buffer.length - 1
    buffer.add(**rows)  # tells the device where the ring ends
    buffer.count_costly()
    return buffer


def seconds_of(step: Captured, seconds: float, device: torch.device) -> float:
    """Return the mean seconds of a call, measured for about this many seconds."""
    def done() -> None:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

    step()
    done()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(10 if device.type == 'cuda' else 1):
            step()
            calls += 1
        done()
    return (time.perf_counter() - began) / calls


def measure(name: str, config: TrainConfig, count: int, capacity: int, seconds: float
            ) -> dict[str, object]:
    """Return one row."""
    device = torch.device(config.device)
    learners = learners_of(config, count, device)
    buffer = buffer_of(count, capacity, device, config.optimiser.fuses(device))
    costly = config.collect.costly_share
    share = torch.full((count, 1), costly, dtype=torch.float64, device=device) if costly else None

    def update() -> dict[str, torch.Tensor]:
        batch = buffer.sample(config.batch_size, config.horizon, learners.generators, share)
        return learners.update(batch)

    step = Captured(update, device, learners.generators)
    step()
    began = time.perf_counter()
    step()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    eager = time.perf_counter() - began
    for _ in range(WARM_UP):
        figures = step()
    took = seconds_of(step, seconds, device)
    where = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'cpu'
    return {'networks': name, 'device': where, 'learners': count, 'batch': config.batch_size,
            'ms': f'{took * 1e3:.2f}', 'learner_updates_per_s': f'{count / took:.0f}',
            'eager_ms': f'{eager * 1e3:.1f}',
            'finite': bool(torch.isfinite(figures['loss']).all())}


def environments_alone(config: TrainConfig, seeds: int, seconds: float) -> str:
    """Step a population's environments by random actions; return a line with their rate."""
    collector = Collector(list(population.members(config, range(seeds)).values()))
    try:
        rng = np.random.default_rng(0)
        shape = len(collector.observations), ACTION
        began, steps = 0.0, -3  # the first ones warm up
        while steps < 1 or time.perf_counter() - began < seconds:
            if steps == 0:
                began = time.perf_counter()
            collector.start(rng.uniform(-1, 1, shape).astype(np.float32))
            collector.finish()
            steps += 1
        took = time.perf_counter() - began
    finally:
        collector.close()
    rate = steps * shape[0] * config.collect.action_repeat / took
    return (f'{shape[0]} environments alone in {config.collect.workers} processes: '
            f'{rate:.0f} raw steps/s')


def train(config: TrainConfig, seeds: int, seconds: float, output: Path) -> list[str]:
    """Train a population for about this many seconds; return lines about it."""
    began = time.perf_counter()
    configs = population.members(config, range(seeds))
    trainer = Trainer(configs, output)

    def watch(row: dict[str, object]) -> None:
        trainer.stop_requested = time.perf_counter() - began > seconds

    trainer.run(watch, quiet=True)
    population.write_table(output)
    took = time.perf_counter() - began
    lines = [f'{seeds} learners in {took:.0f} s: {trainer.decisions} decisions and '
             f'{trainer.updates} updates each, {seeds * trainer.updates / took:.0f} '
             f'learner-updates/s, {seeds * trainer.raw_steps / took:.0f} raw steps/s']
    shares = {member.name: member.figures() for member in trainer.members}
    for column in ('return', 'cost', 'evaluation_return', 'evaluation_cost'):
        values = np.array([figures[column] for figures in shares.values()])
        if np.isfinite(values).any():
            lines.append(f'{column}: mean {np.nanmean(values):.2f}, from {np.nanmin(values):.2f} '
                         f'to {np.nanmax(values):.2f}')
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--compact', type=int, nargs='*', default=[1, 4, 16, 64, 128])
    parser.add_argument('--authors', type=int, nargs='*', default=[1, 4, 8])
    parser.add_argument('--compiled', action='store_true',
                        help='measure compiled losses too; a minute for each row')
    parser.add_argument('--capacity', type=int, default=40_000, help='of each measured replay')
    parser.add_argument('--seconds', type=float, default=3.0, help='for each measurement')
    parser.add_argument('--seeds', type=int, default=16)
    parser.add_argument('--workers', type=int, default=16)
    parser.add_argument('--train-seconds', type=float, default=240.0)
    parser.add_argument('--set', action='append', default=[], metavar='section.key=value',
                        help='override of the trained configuration; repeatable')
    parser.add_argument('--output', type=Path, default=Path('runs/population'))
    args = parser.parse_args(arguments)
    torch.set_float32_matmul_precision('high')
    args.output.mkdir(parents=True, exist_ok=True)
    device = [f'device={args.device}', 'optimiser.compile=false']
    compact = configuration.load(configuration.find(Path(TASK)), device)
    authors = configuration.load(Path('config/training/authors.yaml'), device)
    authors = replace(authors, networks=replace(authors.networks, dropout=0.0))
    with (args.output / 'updates.csv').open('w', newline='') as stream:
        table = csv.DictWriter(stream, COLUMNS)
        shown = csv.DictWriter(sys.stdout, COLUMNS)
        for writer in (table, shown):
            writer.writeheader()
        for name, config, counts in (('compact', compact, args.compact),
                                     ('authors', authors, args.authors)):
            for count, compiled in itertools.product(counts, (False, True)[:1 + args.compiled]):
                row = measure(f'{name}, compiled' if compiled else name, replace(
                    config, optimiser=replace(config.optimiser, compile=compiled)), count,
                    args.capacity, args.seconds)
                for writer in (table, shown):
                    writer.writerow(row)
                stream.flush()
                sys.stdout.flush()
                if args.device != 'cpu':
                    torch.cuda.empty_cache()
    config = configuration.overridden(compact, [
        f'collect.workers={args.workers}', 'schedule.log=400', 'schedule.evaluate=10000000',
        'schedule.checkpoint=10000000', *args.set])
    alone = environments_alone(config, args.seeds, args.seconds)
    print(alone)
    lines = [alone, *train(config, args.seeds, args.train_seconds, args.output / TASK)]
    (args.output / 'training.txt').write_text('\n'.join(lines) + '\n')
    print('\n'.join(lines[1:]))


if __name__ == '__main__':
    run_command(main)
