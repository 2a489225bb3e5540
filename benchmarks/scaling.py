# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
r"""
Measure the cost of distributing work: per task, from one worker to two, and with many bags.

Makes small bags of the first decisions of a given one, which was recorded with the bundle. One
figure a row, to standard output or to a CSV file::

    python -m benchmarks.scaling BAG models/SafetyPointGoal1-v0 --bags 8 \
        --csv benchmarks/results/scaling.csv
"""

from __future__ import annotations

import argparse
import csv
from functools import partial
import os
from pathlib import Path
import shutil
import sys
import tempfile
import time

import psutil

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.control import bundle
from spowl_ros.replay.replay import Changes
from spowl_ros.scale import bags, store
from spowl_ros.scale.cluster import Cluster
from spowl_ros.scale.work import Replaying, Work

SMALL_NS = 1_500_000_000
"""Length of a small bag in nanoseconds of reception."""
TASKS = 300
WINDOWS = 4
"""Number of parts of the many bags with separately reported pace."""


def small_bag(source: Path, target: Path) -> None:
    """Write a bag's first decisions and all that came before them."""
    with Bag(source) as bag:
        writer = BagWriter(target, Settings())
        topics: dict[str, int] = {}
        begin: int | None = None
        for message in bag.messages():
            if begin is None and message.topic.endswith('/decision'):
                begin = message.time_ns
            if begin is not None and message.time_ns - begin > SMALL_NS:
                break
            if message.topic not in topics:
                topics[message.topic] = writer.add_topic(message.topic, message.type)
            writer.write(topics[message.topic], message.time_ns, message.data)
        writer.close()


def overhead(cluster: Cluster) -> float:
    """Return the seconds of an empty task."""
    for _ in range(2):  # workers start in the first call
        jobs = iter(range(TASKS))
        begin = time.perf_counter()
        assert sum(outcome.value for outcome in cluster.run(abs, partial(next, jobs, None))
                   ) == sum(range(TASKS))
        seconds = (time.perf_counter() - begin) / TASKS
    return seconds


def replayed(cluster: Cluster, folder: Path, work: Work, cache: Path
             ) -> list[tuple[float, float]]:
    """Replay all bags of a folder; return seconds since the start and resident MiB, row by row."""
    begin, me, course = time.perf_counter(), psutil.Process(), []
    for row in bags.rows(cluster, store.find(str(folder)), work, cache):
        assert row.get('identical'), row
        course.append((time.perf_counter() - begin, me.memory_info().rss / 2**20))
    return course


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bag', type=Path)
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--bags', type=int, default=10_000)
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    rows: list[tuple[str, str, object]] = []

    def tell(what: str, of: str, figure: object) -> None:
        rows.append((what, of, figure))
        print(what, of, figure, file=sys.stderr, flush=True)

    load = os.getloadavg()[0]
    tell('load of the machine before', f'{os.cpu_count()} cores', round(load, 1))
    work = Replaying.of([bundle.load(args.bundle)], Changes())
    with tempfile.TemporaryDirectory() as scratch:
        folder, warm = Path(scratch) / 'bags', Path(scratch) / 'warm'
        small_bag(args.bag, Path(scratch) / 'small')
        (file,) = (Path(scratch) / 'small').glob('*.mcap')
        for home, count in ((folder, args.bags), (warm, 4)):
            for number in range(count):
                (home / f'{number:06d}').mkdir(parents=True)
                shutil.copy(file, home / f'{number:06d}' / f'{home.name}_{number:06d}.mcap')
        for workers in (1, 2):
            with Cluster(cores=workers) as cluster:
                tell('seconds per empty task', f'{workers} workers', round(overhead(cluster), 5))
                cache = Path(scratch) / f'cache_{workers}'
                replayed(cluster, warm, work, cache)
                course = replayed(cluster, folder, work, cache)
                seconds = course[-1][0]
                tell('bags', f'{workers} workers', len(course))
                tell('bags per second', f'{workers} workers', round(len(course) / seconds, 2))
                for part in range(WINDOWS):
                    first, last = (len(course) * edge // WINDOWS for edge in (part, part + 1))
                    took = course[last - 1][0] - (course[first - 1][0] if first else 0.0)
                    of = f'{workers} workers, bags {first} to {last - 1}'
                    tell('seconds per bag', of, round(took / (last - first), 4))
                    tell('MiB of the driver', of, round(course[last - 1][1], 1))
                course = replayed(cluster, folder, work, cache)
                tell('seconds per cached bag', f'{workers} workers',
                     round(course[-1][0] / len(course), 5))
    tell('load of the machine after', f'{os.cpu_count()} cores', round(os.getloadavg()[0], 1))
    with (args.csv.open('w', newline='') if args.csv else sys.stdout) as stream:
        writer = csv.writer(stream)
        writer.writerow(('what', 'of', 'figure'))
        writer.writerows(rows)


if __name__ == '__main__':
    main()
