# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Calibrate a bundle's run-time monitors on episodes that no training saw.

Measures the quantiles of the model error and the conformal offsets of the cost value, and writes
both into the bundle's manifest. This changes the manifest's hash. The offsets are of the cost of
the next 100 decisions, or of half an episode where episodes are shorter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spowl_ros.base.seeds import CALIBRATION, LAST
from spowl_ros.cli._numbers import between

HELP = 'calibrate the run-time monitors of a bundle on held-out episodes'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument('bundle', type=Path, metavar='BUNDLE', help='directory of the bundle')
    parser.add_argument('--episodes', type=between(int, 1), default=20, metavar='N',
                        help='episodes to run (default: %(default)s)')
    parser.add_argument('--seed', type=between(int, 0, LAST), default=CALIBRATION.start,
                        metavar='S', help='seed of the first episode (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Run the episodes, write the tables into the bundle and print them."""
    from tqdm import tqdm

    from spowl_ros.control import bundle
    from spowl_ros.evaluation.calibration import calibrate

    loaded = bundle.load(args.bundle)
    seeds = range(args.seed, args.seed + args.episodes)
    with tqdm(total=args.episodes, unit=' episodes', desc=loaded.contract.task,
              disable=None) as bar:
        tables = calibrate(loaded, seeds, on_episode=lambda: bar.update())
    bundle.amend(args.bundle, calibration=tables.to_dict(), digest=loaded.digest)
    print(f'{tables.decisions} decisions in {tables.episodes} episodes from seed '
          f'{tables.first_seed}, costs summed over {tables.window} decisions; written into '
          f'{args.bundle}, as share of decisions: value')
    for title, table in tables.tables.items():
        print(f'{title:>12}  ' + '  '.join(f'{p:g}: {value:.3g}' for p, value in table))
    return 0
