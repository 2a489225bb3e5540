# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
r"""
Read bags from ROS 2's own recorder, and compare the result with other readers.

Takes folders with such bags, for instance clones of github.com/ros2/rosbag2, which tests its
recorder with some, and of github.com/Extelligence-ai/bagel, which has compressed ones of Kilted.
Each storage file is read by `spowl_ros.bags` and, message by message, by MCAP's own library or
by plain SQL. One row for each goes to standard output or to a CSV file::

    python -m benchmarks.foreign_bags rosbag2 bagel/data/sample/ros2 \
        --csv benchmarks/results/foreign_bags.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
import re
import sqlite3
import sys
import tempfile
from typing import NamedTuple

from backports import zstd
from mcap.reader import make_reader

from benchmarks import run_command
from spowl_ros.bags.reader import ZSTD_MAGIC, Bag
from spowl_ros.base.errors import SpowlError

STORAGE = re.compile(r'\.(mcap|db3)(\.zstd)?$')
Message = tuple[str, int, bytes]


class Row(NamedTuple):
    """Result for one storage file."""

    file: str
    storage: str
    compressed: bool
    messages: int
    same: bool
    """Whether topic, time and bytes of all messages equal those of the other reader."""
    decoded: int
    """Messages whose type the bag or rosbags defines; the others are passed on as bytes."""
    damage: str


def by_others(file: Path) -> list[Message]:
    """Return topic, time and bytes of every message from another reader."""
    if file.suffix == '.zstd':
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / file.stem
            unpacked.write_bytes(zstd.decompress(file.read_bytes()))
            return by_others(unpacked)
    if file.suffix == '.mcap':
        with file.open('rb') as stream:
            return [(channel.topic, message.log_time, message.data)
                    for _, channel, message in make_reader(stream).iter_messages()]
    with sqlite3.connect(f'file:{file}?mode=ro', uri=True) as database:
        return list(database.execute(
            'SELECT name, timestamp, data FROM messages JOIN topics ON topics.id = topic_id'))


def check(file: Path, folder: Path) -> Row:
    """Read one storage file with both readers."""
    messages, decoded = [], 0
    with Bag(file) as bag:
        for message in bag.messages():
            messages.append((message.topic, message.time_ns, message.data))
            try:
                bag.decode(message)
                decoded += 1
            except SpowlError:
                pass  # a type that only its own package defines
        damage = '; '.join(bag.damage)
    storage = STORAGE.search(file.name)
    assert storage is not None  # it was found by it
    return Row(str(file.relative_to(folder.parent)), storage[1],
               file.read_bytes()[:4] == ZSTD_MAGIC, len(messages),
               sorted(messages) == sorted(by_others(file)), decoded, damage)


def main() -> int:
    """Check all storage files below the folders; exit code 1 if readers disagree on one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('folders', type=Path, nargs='+')
    parser.add_argument('--csv', type=Path, help='write the rows to this file')
    args = parser.parse_args()
    rows = [check(file, folder) for folder in args.folders for file in sorted(folder.rglob('*'))
            if file.is_file() and STORAGE.search(file.name)]
    if not rows:
        raise SpowlError(f'no bag below {", ".join(map(str, args.folders))}; name a folder that '
                         'has one')
    with (args.csv.open('w', newline='', encoding='utf-8') if args.csv else sys.stdout) as stream:
        writer = csv.writer(stream)
        writer.writerow(Row._fields)
        writer.writerows(rows)
    return 0 if all(row.same for row in rows) else 1


if __name__ == '__main__':
    run_command(main)
