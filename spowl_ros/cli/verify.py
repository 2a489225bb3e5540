# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Check a bundle: hashes, schema, shapes and golden vectors.

Ends with an error that names the file and the difference, or says how long loading took.
"""

from __future__ import annotations

import argparse
import time

HELP = 'check that a bundle is whole and computes what it should'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('directory', metavar='BUNDLE', help='directory of the bundle')


def run(args: argparse.Namespace) -> int:
    """Load the bundle, which verifies it."""
    from spowl_ros.control import bundle

    start = time.perf_counter()
    bundle.load(args.directory)
    print(f'{args.directory}: hashes, schema, shapes and golden vectors agree '
          f'({time.perf_counter() - start:.2f} s)')
    return 0
