# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Show what a bundle is: contract, planner settings, provenance and measured performance."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

HELP = "show a bundle's contract, settings, provenance and performance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('directory', metavar='BUNDLE', help='directory of the bundle')


def run(args: argparse.Namespace) -> int:
    """Verify the bundle and print its parts as tables."""
    from spowl_ros.base.settings import declared
    from spowl_ros.control import bundle as bundles

    bundle = bundles.load(args.directory)
    contract, settings = bundle.contract, bundle.settings
    files = sorted(bundle.directory.iterdir())
    size = sum(path.stat().st_size for path in files)
    print(f'{contract.task} on {contract.robot}: a decision every {contract.control_period:g} s '
          f'({contract.action_repeat} x {contract.raw_period:g} s), {size / 2**20:.1f} MB\n')
    _table(('observation', 'sensor', 'values', 'unit', 'low', 'high'), (
        (f.name, f.sensor, f.size, f.unit, f'{f.low:g}', f'{f.high:g}') for f in contract.fields))
    action = contract.action
    _table(('action', 'kind', 'low', 'high', 'stop'),
           zip(action.names, [action.kind] * action.size, action.low, action.high, action.stop))
    _table(('planner setting', 'value', 'at run time', ''), (
        (entry.name, entry.default, 'fixed' if entry.read_only else entry.wanted(),
         entry.description) for entry in declared(settings)))
    _table(('network', ''), bundle.networks.items())
    _table(('provenance', ''), _flat(bundle.provenance))
    for title, values in (('measured', bundle.measured), ('calibration', bundle.calibration)):
        _table((title, ''), _flat(values) if values else [('nothing yet', '')])
    return 0


def _flat(values: dict[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    """Return the leaves of nested dicts with dotted names; long lists by their length."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{name}.')
        elif isinstance(value, list) and len(value) > 8:
            yield prefix + name, f'{len(value)} values'
        else:
            yield prefix + name, value


def _table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows in columns of equal width under a head."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
