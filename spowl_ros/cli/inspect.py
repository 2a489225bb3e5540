# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Show what a bundle is: contract, measured performance, origin.

One screen; --all adds planner settings, networks, calibration and the whole provenance.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle
    from spowl_ros.control.contract import Contract

HELP = "show a bundle's contract, performance and origin"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('directory', metavar='BUNDLE', help='directory of the bundle')
    parser.add_argument('--all', action='store_true', help='show every setting and figure')


def run(args: argparse.Namespace) -> int:
    """Verify the bundle and print its parts as tables, the contract first."""
    from spowl_ros.control import bundle as bundles

    bundle = bundles.load(args.directory)
    contract = bundle.contract
    size = sum(path.stat().st_size for path in bundle.directory.iterdir())
    print(f'{contract.task} on {contract.robot}: a decision every {contract.control_period:g} s '
          f'({contract.action_repeat} x {contract.raw_period:g} s), {size / 2**20:.1f} MB\n')
    _table(('observation', 'sensor', 'values', 'unit', 'low', 'high'), _fields(contract))
    _table(('action', 'kind', 'low', 'high', 'stop'), _actions(contract))
    _table(('measured', 'episodes', 'return (more is better)', 'cost (0 is best)',
            'free of cost'), _measured(bundle))
    if args.all:
        _everything(bundle)
    else:
        _table(('origin', ''), _origin(bundle))
        print(f'--all shows every setting. Does it fit a robot? '
              f'spowl check ROBOT.yaml {args.directory}')
    return 0


def _fields(contract: Contract) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each field; neighbours that differ only in name share one."""
    alike = groupby(contract.fields, lambda f: (f.sensor, f.size, f.unit, f.low, f.high))
    for (sensor, size, unit, low, high), fields in alike:
        yield _named([f.name for f in fields]), sensor, size, unit, f'{low:g}', f'{high:g}'


def _actions(contract: Contract) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each actuator; neighbours that differ only in name share one."""
    action = contract.action
    for limits, rows in groupby(zip(action.low, action.high, action.stop, action.names),
                                lambda row: row[:3]):
        yield _named([row[3] for row in rows]), action.kind, *limits


def _named(names: list[str]) -> str:
    """Return names in short form."""
    return ', '.join(names) if len(names) < 4 else f'{names[0]} … {names[-1]} ({len(names)})'


def _measured(bundle: Bundle) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each evaluation, with 95 % intervals."""
    evaluations = (bundle.measured or {}).get('evaluations')
    if not evaluations:
        yield 'nothing yet: spowl evaluate', '', '', '', ''
        return
    for name, found in evaluations.items():
        yield (name, found['episodes'], _interval(found['return']), _interval(found['cost']),
               f'{found["cost_free_fraction"]:.0%}')


def _interval(found: dict[str, float]) -> str:
    return f'{found["mean"]:.1f} [{found["low"]:.1f}, {found["high"]:.1f}]'


def _origin(bundle: Bundle) -> Iterator[tuple[str, Any]]:
    """Yield a few rows on a bundle's origin, planner, monitors and signature."""
    from spowl_ros.control.signature import SIGNATURE

    made, latency = bundle.provenance, (bundle.measured or {}).get('latency_ms', {})
    for name in ('task', 'trained_with', 'seed', 'decisions', 'updates'):
        if name in made:
            yield name, made[name]
    if {'p50', 'p99'} <= set(latency):
        yield 'one decision takes', f'{latency["p50"]:.1f} ms, p99 {latency["p99"]:.1f} ms'
    settings = bundle.settings
    kind = 'off (planner.kind turns it on)' if settings.kind == 'policy' else settings.kind
    yield 'planner', (f'{kind}, {settings.iterations} iterations of {settings.samples} + '
                      f'{settings.policy_candidates} candidates, horizon {settings.horizon}, '
                      f'switch {"on" if settings.switch else "off"}' if bundle.plans else
                      'none: a policy of another library')
    yield 'monitors', ('calibrated' if bundle.calibration else 'not calibrated: spowl calibrate')
    yield 'signed', 'yes' if (bundle.directory / SIGNATURE).is_file() else 'no'


def _everything(bundle: Bundle) -> None:
    """Print every setting and figure."""
    from spowl_ros.base.settings import declared

    if bundle.plans:
        _table(('planner setting', 'value', 'at run time', ''), (
            (entry.name, entry.default, 'fixed' if entry.read_only else entry.wanted(),
             entry.description) for entry in declared(bundle.settings)))
        _table(('network', ''), bundle.networks.items())
    _table(('provenance', ''), _flat(bundle.provenance))
    for title, values in (('measured', bundle.measured), ('calibration', bundle.calibration)):
        _table((title, ''), _flat(values) if values else [('nothing yet', '')])


def _flat(values: dict[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    """Return the leaves of nested dicts by dotted name; a long list gives its length."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{name}.')
        elif isinstance(value, list) and len(value) > 8:
            yield prefix + name, f'{len(value)} values'
        else:
            yield prefix + name, value


def _table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows in aligned columns under a header."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for row in cells:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
