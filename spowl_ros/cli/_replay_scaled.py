# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`spowl replay --address`: replay any number of bags on a Ray cluster, one row each."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from spowl_ros.base.errors import SpowlError
from spowl_ros.scale import bags, store
from spowl_ros.scale.cluster import Cluster
from spowl_ros.scale.table import Table

if TYPE_CHECKING:
    from spowl_ros.replay.replay import Changes

_LISTED = 20
"""At most this many unreadable bags are printed; the table holds all of them."""


def run(args: argparse.Namespace, changes: Changes) -> int:
    """Replay the bags, write the table, and print which bags cannot be read."""
    file = args.table or Path('bags.parquet')
    wanted = bags.request(args.bundle, changes, args.cache or bags.default_cache())
    bag = args.bag if isinstance(args.bag, str) else str(args.bag.resolve())
    counts: Counter[str] = Counter()

    def count(computed: bool) -> None:
        counts['computed'] += computed
        bar.update()

    with Table(file, bags.COLUMNS) as table, Cluster(args.address) as cluster, tqdm(
            unit=' bags', disable=None, leave=False) as bar:
        for row in bags.replay(cluster, store.find(bag), wanted, on_row=count):
            table.add(row)
            _count(row, counts)
            if row.get('error') and counts['unreadable'] <= _LISTED:
                tqdm.write(f'spowl: error: left out: {row["error"]}', file=sys.stderr)
    print('\n'.join((
        f'{file}: {counts["bags"]} bags, {counts["computed"]} computed now, '
        f'{counts["unreadable"]} unreadable',
        f'  decisions    {counts["decisions"]}; all identical in {counts["identical"]} bags, '
        f'different in {counts["different"]}')))
    return SpowlError.EXIT_CODE if counts['unreadable'] else 0


def _count(row: dict[str, Any], counts: Counter[str]) -> None:
    counts['bags'] += 1
    counts['unreadable'] += bool(row.get('error'))
    counts['decisions'] += row.get('decisions') or 0
    counts['identical'] += row.get('identical') is True
    counts['different'] += row.get('identical') is False
