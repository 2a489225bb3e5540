# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Judge by rules whether bundle B may replace bundle A, from their decisions on recordings.

Both decide on the same recorded observations. The rules compare their actions, sources, predicted
cost, cost that followed, alarms and latency; config/gate.yaml lists all rules. Exit code 0: pass,
1: fail, 2: wrong input, as a bag that cannot be read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import check_writable, write_json
from spowl_ros.cli import _scaled

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle
    from spowl_ros.replay.gate import Tally

HELP = 'say whether a new bundle may follow an old one, from recordings'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('first', type=Path, metavar='BUNDLE_A', help='bundle that drives now')
    parser.add_argument('second', type=Path, metavar='BUNDLE_B', help='bundle that is to follow')
    parser.add_argument('bags', type=_scaled.place, nargs='+', metavar='BAG',
                        help='bag, or folder of bags; with --address also a URL, as s3://bucket')
    parser.add_argument('--rules', type=Path, metavar='FILE',
                        help='YAML file of rules (default: those of config/gate.yaml)')
    parser.add_argument('--robot', default='', metavar='FILE',
                        help='YAML file of a robot of your own, as for `spowl robot`')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the findings as JSON')
    _scaled.add_arguments(parser, 'gate.parquet')


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return 0 if B passes, else 1."""
    from spowl_ros.control import bundle
    from spowl_ros.replay.gate import GateRules, check_contracts, judge, rules_from

    check_writable(args.json)
    rules = rules_from(args.rules) if args.rules else GateRules()
    if not args.address:
        _scaled.local(args, args.bags)
    first, second = bundle.load(args.first), bundle.load(args.second)
    check_contracts(first, second)
    total, unreadable = _decide(args, first, second)
    findings = judge(total, rules, first.contract.control_period)
    failed = [finding.rule for finding in findings if not finding.passed]
    if unreadable:
        failed.append(f'{unreadable} unreadable bags')
    if args.json:  # before the lines, whose reader may leave
        write_json(args.json, {'passed': not failed, 'unreadable': unreadable,
                               'damage': total.damage.splitlines(), 'rules': {
            finding.rule: {'passed': finding.passed, 'figure': finding.figure,
                           'limit': finding.limit} for finding in findings}})
    for damage in total.damage.splitlines():
        print(f'NOTE {damage}')
    for finding in findings:
        figure = 'not known' if finding.figure is None else f'{finding.figure:.4g}'
        print(f'{"pass" if finding.passed else "FAIL"}  {finding.rule:15} {figure:>9}  '
              f'{"at least" if finding.rule == "decisions" else "at most"} {finding.limit:g}: '
              f'{finding.meaning}')
    print(f'fails: {", ".join(failed)}' if failed else 'passes')
    if unreadable:
        return SpowlError.EXIT_CODE
    return 1 if failed else 0


def _decide(args: argparse.Namespace, first: Bundle, second: Bundle) -> tuple[Tally, int]:
    """Let both decide, here or on a cluster; return the sums, and the number of bad bags."""
    from tqdm import tqdm

    from spowl_ros.cli.replay import find_bags
    from spowl_ros.replay.gate import Tally
    from spowl_ros.replay.replay import Changes

    changes, total = Changes(robot=args.robot), Tally()
    if not args.address:
        bags = [bag for path in args.bags for bag in find_bags(path)]
        with tqdm(unit=' decisions', disable=None, leave=False) as bar:
            for bag in bags:
                total += Tally.of(bag, first, second, changes, bar.update)
        return total, 0

    from spowl_ros.scale.work import Judging

    def add(row: dict[str, Any]) -> None:
        nonlocal total
        total += Tally.from_row(row)

    unreadable = _scaled.run(args, args.bags, Judging.of([first, second], changes), add)
    return total, unreadable
