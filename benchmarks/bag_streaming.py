# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure the memory of replaying a long recording: a bag is streamed, never loaded.

Writes a bag of sensors and of a camera that the controller does not use, and replays it with
`spowl replay` in a separate process. One row for each size and storage goes to standard output
or to a CSV file::

    python -m benchmarks.bag_streaming BUNDLE --csv benchmarks/results/bag_streaming.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from tqdm import tqdm

from benchmarks import run_command
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.contract import Contract
from spowl_ros.robot.topics import topics
from spowl_ros.ros.messages import build

FRAME_SIDE = 2000  # pixels of the camera's square picture, one byte each
COLUMNS = ('storage', 'megabytes', 'decisions', 'seconds', 'peak_memory_megabytes')


def write_bag(path: Path, contract: Contract, megabytes: int, storage: str) -> int:
    """Write a bag of about this size and return its number of observations."""
    bag = BagWriter(path, Settings(storage=storage))
    inputs = topics(contract)
    numbers = [bag.add_topic(f'/{entry.topic}', entry.type) for entry in inputs]
    camera = bag.add_topic('/camera', 'sensor_msgs/msg/Image')
    generator = np.random.default_rng(0)
    frame = serialize_message(Image(height=FRAME_SIDE, width=FRAME_SIDE, step=FRAME_SIDE,
                                    encoding='mono8', data=generator.bytes(FRAME_SIDE**2)))
    period_ns = round(contract.control_period * 1e9)
    count = megabytes * 1_000_000 // len(frame)
    for index in tqdm(range(count), 'writing', unit=' observations', disable=None):
        now_ns = (index + 1) * period_ns
        values = {field.name: generator.uniform(0.0, 0.5, field.size) for field in contract.fields}
        for topic, entry in zip(numbers, inputs, strict=True):
            message = build(entry.type, entry.content(values, now_ns))
            bag.write(topic, now_ns, serialize_message(message))
        bag.write(camera, now_ns, frame)
        if index % 100 == 99:
            bag.flush()
    bag.close()
    return count


def measure(path: Path, bundle: Path) -> tuple[float, float]:
    """Replay a bag; return seconds and the peak of resident memory in megabytes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.monotonic()
    subprocess.run([sys.executable, '-m', 'spowl_ros.cli.main', 'replay', str(path), str(bundle)],
                   check=True)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak > before, 'a child before this one took more memory; measure in a new process'
    return seconds, peak * 1024 / 1e6


def main() -> None:
    """Measure one size and storage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--megabytes', type=int, default=2000)
    parser.add_argument('--storage', default='mcap', choices=('mcap', 'sqlite3'))
    parser.add_argument('--csv', type=Path, help='append the row to this file')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'bag'
        count = write_bag(path, read_contract(args.bundle), args.megabytes, args.storage)
        seconds, peak = measure(path, args.bundle)
    row = (args.storage, args.megabytes, count, f'{seconds:.1f}', f'{peak:.0f}')
    print(', '.join(f'{name} {value}' for name, value in zip(COLUMNS, row, strict=True)))
    if args.csv:
        new = not args.csv.exists()
        with args.csv.open('a', newline='', encoding='utf-8') as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(COLUMNS)
            writer.writerow(row)


if __name__ == '__main__':
    run_command(main)
