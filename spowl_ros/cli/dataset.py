# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write the episodes of bags as a training dataset: Parquet in the layout of LeRobotDataset v3.0.

Each recorded decision becomes a frame: observation, command, its source, and the reward and cost
that followed. The command leaves out what a bag lacks, and counts it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'write the episodes of bags as a dataset to learn from'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('bundle', metavar='BUNDLE', type=Path,
                        help='whose contract says what an observation is')
    parser.add_argument('directory', metavar='DIRECTORY', type=Path, help='dataset to write')
    parser.add_argument('bags', metavar='BAG', nargs='+', type=Path, help='directory of a bag')
    parser.add_argument('--robot', metavar='FILE', default='',
                        help="YAML file of the robot's topics and units")
    parser.add_argument('--namespace', metavar='NAME', help="of the robot's topics in the bags")


def run(args: argparse.Namespace) -> int:
    """Write the dataset and print what it holds."""
    from spowl_ros.control.bundle import read_contract
    from spowl_ros.replay import dataset

    written = dataset.write(args.bags, read_contract(args.bundle), args.directory, args.robot,
                            args.namespace)
    for line in written.damage:
        print(f'NOTE {line}')
    print(f'{written.directory}: {written.episodes} episodes, {written.frames} frames'
          + ''.join(f'; left out: {count} {why}' for why, count in written.left_out.items()))
    return 0
