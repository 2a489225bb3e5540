# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The options of verbs that share many bags out over a Ray cluster."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser, table: str) -> None:
    """
    Declare where to work, where the rows go, and where they are kept.

    :param table: the default of --table
    """
    scaled = parser.add_argument_group('many bags')
    scaled.add_argument('--address', metavar='ADDRESS',
                        help="work on a Ray cluster, one row a bag: 'auto', HOST:PORT, or "
                        "'local' for all cores of this machine")
    scaled.add_argument('--table', type=Path, metavar='FILE', help='where the rows go, as Parquet '
                        f'or, named *.csv, as CSV (default: {table})')
    scaled.add_argument('--cache', type=Path, metavar='DIR', help='where rows are kept, so that '
                        "only what is new is computed (default: in the user's cache)")
