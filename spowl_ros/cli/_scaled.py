# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The option --address of verbs that take bags: any number of bags on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError

if TYPE_CHECKING:
    from spowl_ros.scale.work import Work

_LISTED = 20
"""At most this many unreadable bags are printed; the table holds all of them."""


def add_arguments(parser: argparse.ArgumentParser, table: str) -> None:
    """
    Declare where to compute, where the rows go, and where they are kept.

    :param table: the default of --table
    """
    scaled = parser.add_argument_group('many bags')
    scaled.add_argument('--address', metavar='ADDRESS',
                        help="compute on a Ray cluster, one row a bag: 'auto', HOST:PORT, or "
                        "'local' for all cores of this machine")
    scaled.add_argument('--table', type=Path, metavar='FILE', help='where the rows go, as Parquet '
                        f'or, named *.csv, as CSV (default: {table})')
    scaled.add_argument('--cache', type=Path, metavar='DIR', help='where rows are kept, so that '
                        "only what is new is computed (default: in the user's cache)")
    parser.set_defaults(default_table=Path(table))


def place(text: str) -> Path | str:
    """Return a path, or a URL as it is."""
    return text if '://' in text else Path(text)


def local(args: argparse.Namespace, bags: Sequence[Path | str]) -> list[Path]:
    """
    Return the places of bags as paths, for a verb without --address.

    :raises SpowlError: an option or a URL needs --address
    """
    if args.table or args.cache:
        raise SpowlError('--table and --cache are for many bags; add --address local')
    for bag in bags:
        if isinstance(bag, str):
            raise SpowlError(f'{bag} is a URL; read what is there with --address local')
    return [Path(bag) for bag in bags]


def run(args: argparse.Namespace, bags: Sequence[Path | str], work: Work,
        on_row: Callable[[dict[str, Any]], object]) -> int:
    """
    Compute the rows of all bags, write the table, and print what was done.

    Returns the number of bags that cannot be read; prints which.

    :param on_row: gets each readable bag's row
    :raises SpowlError: no such place, no bag there, no cluster, or the table cannot be written
    """
    from tqdm import tqdm

    from spowl_ros.scale import bags as scaled
    from spowl_ros.scale import store
    from spowl_ros.scale.cluster import Cluster
    from spowl_ros.scale.table import writing

    file = args.table or args.default_table
    cache = (args.cache or scaled.default_cache()).resolve()
    places = chain.from_iterable(
        store.find(bag if isinstance(bag, str) else str(bag.resolve())) for bag in bags)
    total = computed = unreadable = 0

    def count(was_computed: bool) -> None:
        nonlocal computed
        computed += was_computed
        bar.update()

    with writing(file, work.columns) as add, Cluster(args.address) as cluster, tqdm(
            unit=' bags', disable=None, leave=False) as bar:
        for row in scaled.rows(cluster, places, work, cache, on_row=count):
            add(row)
            total += 1
            if not row.get('error'):
                on_row(row)
                continue
            unreadable += 1
            if unreadable <= _LISTED:
                tqdm.write(f'spowl: error: left out: {row["error"]}', file=sys.stderr)
    print(f'{file}: {total} bags, {computed} computed now, {unreadable} unreadable')
    return unreadable
