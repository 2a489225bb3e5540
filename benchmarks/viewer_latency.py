# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure whether a live view delays the commands of a robot.

    python -m benchmarks.viewer_latency models/SafetyPointGoal1-v0 --rounds 20 --csv FILE

A robot on a stand is driven. Each round measures some decisions under every condition, in random
order, so that what else the machine does falls on all alike. The file has a line for each round
and condition: milliseconds from the arrival of the last sensor to the publication of the command,
one for each decision. A file that exists is continued. The summary resamples rounds.

The visitor receives the whole page, as a browser on another machine does, and draws nothing. The
browser is Chromium, which draws on the processor of the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
import contextlib
import csv
import itertools
import multiprocessing
import os
from pathlib import Path
import random
import tempfile
import time
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks import run_command
from benchmarks.end_to_end_latency import measure, varied
from benchmarks.faults import running
from benchmarks.live_view import browsing, viewing
from benchmarks.robot_stand import PRIORITY
from spowl_ros.control import bundle
from spowl_ros.ros.process import keep_time

CONDITIONS = ('no viewer', 'viewer and visitor', 'viewer and browser')
QUANTITY = 'arrival of the last sensor to publication of the command'
SETTLE_S = 4.0
RESAMPLES = 2000
CAMERA = {'type': 'ViewerCameraMessage', 'wxyz': (1.0, 0.0, 0.0, 0.0),
          'position': (0.0, 0.0, 3.0), 'fov': 1.0, 'near': 0.1, 'far': 100.0,
          'image_height': 600, 'image_width': 900, 'look_at': (0.0, 0.0, 0.0),
          'up_direction': (0.0, 0.0, 1.0)}
"""A visitor counts once it has told where it looks from."""
Rounds = dict[str, dict[int, NDArray[np.float64]]]
"""Condition to number of the round to milliseconds, shape (decisions,)."""


def visit(address: str) -> None:
    """Receive a page until killed, at ordinary priority."""
    import viser
    import websockets

    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    async def receive() -> None:
        protocol = websockets.Subprotocol(f'viser-v{viser.__version__}')
        async with websockets.connect(f'ws://{urlsplit(address).netloc}/', max_size=None,
                                      subprotocols=[protocol]) as connection:
            await connection.send(msgspec.msgpack.encode(CAMERA))
            async for _ in connection:
                pass

    asyncio.run(receive())


@contextlib.contextmanager
def visiting(address: str) -> Iterator[None]:
    """Run a visitor in a process of its own."""
    process = multiprocessing.get_context('spawn').Process(
        target=visit, args=(address,), daemon=True)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise RuntimeError('the visitor did not stay')
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def watched(condition: str) -> Iterator[None]:
    """Watch the running robot as a condition says."""
    with contextlib.ExitStack() as stack:
        if condition != CONDITIONS[0]:
            _, address = stack.enter_context(viewing())
            stack.enter_context(
                visiting(address) if condition == CONDITIONS[1] else browsing(address))
            time.sleep(SETTLE_S)
        yield


def read(file: Path) -> Rounds:
    """Return what has been measured."""
    rounds: Rounds = {}
    if file.exists():
        with file.open(newline='', encoding='utf-8') as stream:
            for number, condition, *values in itertools.islice(csv.reader(stream), 1, None):
                rounds.setdefault(condition, {})[int(number)] = np.array(values, np.float64)
    return rounds


def compare(rounds: Rounds, condition: str, percentile: float) -> tuple[float, float, float]:
    """Return how much a condition adds to a percentile, ms, and the ends of its 95 % interval."""
    base, other = rounds[CONDITIONS[0]], rounds[condition]
    numbers = sorted(base.keys() & other.keys())
    generator = np.random.default_rng(0)
    # Rounds are resampled, not decisions: those of one round are alike.
    draws = [numbers, *generator.choice(numbers, (RESAMPLES, len(numbers)))]
    added = [np.percentile(np.concatenate([other[number] for number in draw]), percentile)
             - np.percentile(np.concatenate([base[number] for number in draw]), percentile)
             for draw in draws]
    low, high = np.percentile(added[1:], (2.5, 97.5))
    return float(added[0]), float(low), float(high)


def summarise(rounds: Rounds) -> None:
    """Print the percentiles of every condition, and what each viewer adds."""
    for condition, measured in rounds.items():
        values = np.concatenate(list(measured.values()))
        p50, p99 = np.percentile(values, (50.0, 99.0))
        print(f'{condition}: {len(measured)} rounds, {values.size} decisions, '
              f'p50 {p50:.2f} ms, p99 {p99:.2f} ms')
    for condition in rounds.keys() - {CONDITIONS[0]}:
        for percentile in (50.0, 99.0):
            added, low, high = compare(rounds, condition, percentile)
            print(f'{condition} adds to p{percentile:.0f}: {added:+.2f} ms ({low:+.2f} to '
                  f'{high:+.2f}), 95 % interval')


def measure_rounds(args: argparse.Namespace) -> None:
    """Measure some rounds and append them to the file."""
    keep_time(PRIORITY)
    rounds = read(args.csv)
    first = 1 + max((number for each in rounds.values() for number in each), default=-1)
    with (tempfile.TemporaryDirectory() as folder,
          args.csv.open('a', newline='', encoding='utf-8') as file):
        writer = csv.writer(file, lineterminator='\n')
        if not rounds:
            writer.writerow(('round', 'condition', 'ms of each decision'))
        model = Path(folder) / 'model'
        varied(args.model, args.period, None, model)
        with running(model, bundle.read_contract(model)) as stand:
            for number in range(first, first + args.rounds):
                for condition in random.sample(args.conditions, len(args.conditions)):
                    with watched(condition):
                        values = measure(stand, args.decisions)[QUANTITY].round(2)
                    writer.writerow((number, condition, *values))
                    file.flush()
                    print(number, condition, *np.percentile(values, (50.0, 99.0)).round(2),
                          flush=True)


def main() -> int:
    """Measure, write the file, and print the summary."""
    parser = argparse.ArgumentParser(description='Measure whether a live view delays commands.')
    parser.add_argument('model', type=Path)
    parser.add_argument('--rounds', type=int, default=20, help='0: only the summary')
    parser.add_argument('--decisions', type=int, default=200,
                        help='in each round, of each condition')
    parser.add_argument('--period', type=float, help="control period, seconds; the bundle's")
    parser.add_argument('--conditions', nargs='+', choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument('--csv', type=Path, required=True)
    args = parser.parse_args()
    if args.rounds:
        measure_rounds(args)
    summarise(read(args.csv))
    return 0


if __name__ == '__main__':
    run_command(main)
