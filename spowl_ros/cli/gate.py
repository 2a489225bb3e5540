# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Judge by rules whether bundle B may replace bundle A, from their decisions on recordings.

Both decide on the same recorded observations. The rules compare their actions, sources, predicted
cost, cost that followed, alarms and latency; config/gate.yaml lists all rules. Exit code 0: pass,
1: fail, 2: wrong input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spowl_ros.cli._output import check_writable, write_json
from spowl_ros.cli._scaled import add_arguments as add_scaled_arguments

HELP = 'say whether a new bundle may follow an old one, from recordings'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('first', type=Path, metavar='BUNDLE_A', help='bundle that drives now')
    parser.add_argument('second', type=Path, metavar='BUNDLE_B', help='bundle that is to follow')
    parser.add_argument('bags', type=Path, nargs='+', metavar='BAG', help='bag, or folder of bags')
    parser.add_argument('--rules', type=Path, metavar='FILE',
                        help='YAML file of rules (default: those of config/gate.yaml)')
    parser.add_argument('--robot', default='', metavar='FILE',
                        help='YAML file of a robot of your own, as for `spowl robot`')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the findings as JSON')
    add_scaled_arguments(parser, 'gate.parquet')


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return 0 if B passes, else 1."""
    from tqdm import tqdm

    from spowl_ros.cli.replay import find_bags
    from spowl_ros.control import bundle
    from spowl_ros.replay.gate import GateRules, compare, rules_from
    from spowl_ros.replay.replay import Changes

    if args.json:
        check_writable(args.json)
    rules = rules_from(args.rules) if args.rules else GateRules()
    bags = [bag for path in args.bags for bag in find_bags(path)]
    with tqdm(unit=' decisions', disable=None, leave=False) as bar:
        findings = compare(bags, bundle.load(args.first), bundle.load(args.second), rules,
                           Changes(robot=args.robot), bar.update)
    for finding in findings:
        figure = 'not known' if finding.figure is None else f'{finding.figure:.4g}'
        print(f'{"pass" if finding.passed else "FAIL"}  {finding.rule:15} {figure:>9}  '
              f'{"at least" if finding.rule == "decisions" else "at most"} {finding.limit:g}: '
              f'{finding.meaning}')
    failed = [finding.rule for finding in findings if not finding.passed]
    print(f'fails: {", ".join(failed)}' if failed else 'passes')
    if args.json:
        write_json(args.json, {'passed': not failed, 'rules': {
            finding.rule: {'passed': finding.passed, 'figure': finding.figure,
                           'limit': finding.limit} for finding in findings}})
    return 1 if failed else 0
