# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
r"""
Measure the cost of distributing work: per task, from one worker to two, and with many bags.

Makes small bags of the first decisions of a given one, which was recorded with the bundle. One
figure a row, to standard output or to a CSV file::

    python -m benchmarks.scaling BAG models/SafetyPointGoal1-v0 \
        --csv benchmarks/results/scaling.csv

Core-seconds are those that the driver and its cluster used: other programs on the machine change
them little, as opposed to seconds of the clock.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import csv
from dataclasses import dataclass
from functools import partial
import os
from pathlib import Path
import sys
import tempfile
import time

import psutil

from benchmarks import run_command
from spowl_ros.bags.reader import Bag
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.control import bundle
from spowl_ros.replay.replay import Changes
from spowl_ros.scale import bags, store
from spowl_ros.scale.cluster import Cluster
from spowl_ros.scale.work import Replaying, Work

DECISIONS = 3
"""Number of decisions of a small bag."""
TASKS = 300
FEW = 500
"""Number of bags for the comparison of one worker with two."""
EVERY = 20
"""Number of rows from one look at the cluster's processes to the next."""
WINDOWS = 10
"""Number of parts of the many bags with separately reported pace."""


@dataclass(frozen=True)
class Reading:
    """What had been used when a row came."""

    seconds: float
    core_seconds: float
    """Of the driver and of all processes of its cluster."""
    driver_core_seconds: float
    driver_mib: float
    """Resident memory."""


def small_bag(source: Path, target: Path) -> None:
    """Write a bag's first decisions and all that came before them."""
    with Bag(source) as bag:
        writer = BagWriter(target, Settings())
        topics: dict[str, int] = {}
        left = DECISIONS
        for message in bag.messages():
            left -= message.topic.endswith('/decision')
            if left < 0:
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


def replayed(cluster: Cluster, folder: Path, work: Work, cache: Path) -> list[Reading]:
    """Replay all bags of a folder; return a reading before the first row and one for each row."""
    me, begin = psutil.Process(), time.perf_counter()
    course: list[Reading] = []

    def read(cluster_core_seconds: float) -> None:
        own = sum(me.cpu_times()[:2])
        course.append(Reading(time.perf_counter() - begin, own + cluster_core_seconds, own,
                              me.memory_info().rss / 2**20))

    read(used := core_seconds(me))
    for number, row in enumerate(bags.rows(cluster, store.find(str(folder)), work, cache)):
        assert row.get('identical'), row
        if number % EVERY == 0:  # looking at all processes costs time too
            used = core_seconds(me)
        read(used)
    return course


def core_seconds(parent: psutil.Process) -> float:
    """Return the core-seconds that a process's descendants have used."""
    total = 0.0
    for process in parent.children(recursive=True):
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def pace(course: Sequence[Reading], first: int, last: int) -> dict[str, float]:
    """Return figures per bag, of the clock and of the cores, from one row to another."""
    one, other = course[first], course[last]
    return {
        'seconds per bag': round((other.seconds - one.seconds) / (last - first), 4),
        'core-seconds per bag': round(
            (other.core_seconds - one.core_seconds) / (last - first), 4),
        "driver's core-seconds per bag": round(
            (other.driver_core_seconds - one.driver_core_seconds) / (last - first), 5)}


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

    tell('load of the machine before', f'{os.cpu_count()} cores', round(os.getloadavg()[0], 1))
    work = Replaying.of([bundle.load(args.bundle)], Changes())
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        small_bag(args.bag, scratch / 'small')
        (file,) = (scratch / 'small').glob('*.mcap')
        tell('KiB of a bag', f'{DECISIONS} decisions', round(file.stat().st_size / 1024, 1))
        counts = {'warm': 8, 'few': min(FEW, args.bags), 'many': args.bags}
        for home, count in counts.items():
            for number in range(count):
                (scratch / home / f'{number:06d}').mkdir(parents=True)
                # The digest covers the name, so that no bag's row is another's.
                os.link(file, scratch / home / f'{number:06d}' / f'{home}_{number:06d}.mcap')
        for workers, home in ((1, 'few'), (2, 'few'), (2, 'many')):
            of, cache = f'{workers} workers, {counts[home]} bags', scratch / f'{workers}_{home}'
            with Cluster(cores=workers) as cluster:
                if home == 'few':
                    tell('seconds per empty task', f'{workers} workers',
                         round(overhead(cluster), 5))
                replayed(cluster, scratch / 'warm', work, cache)
                course = replayed(cluster, scratch / home, work, cache)
                last = len(course) - 1
                tell('bags per second', of, round(last / course[-1].seconds, 2))
                for what, figure in pace(course, 0, last).items():
                    tell(what, of, figure)
                for part in range(WINDOWS if home == 'many' else 0):
                    begin, end = (last * edge // WINDOWS for edge in (part, part + 1))
                    window = f'{workers} workers, bags {begin} to {end - 1}'
                    for what, figure in pace(course, begin, end).items():
                        tell(what, window, figure)
                    tell('MiB of the driver', window, round(course[end].driver_mib, 1))
                again = replayed(cluster, scratch / home, work, cache)
                tell('seconds per cached bag', of, round(again[-1].seconds / last, 5))
    tell('load of the machine after', f'{os.cpu_count()} cores', round(os.getloadavg()[0], 1))
    with (args.csv.open('w', newline='') if args.csv else sys.stdout) as stream:
        writer = csv.writer(stream)
        writer.writerow(('what', 'of', 'figure'))
        writer.writerows(rows)


if __name__ == '__main__':
    run_command(main)
