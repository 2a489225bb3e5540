# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure a bundle's planner on this machine: total latency, latency by stage, memory, and rates.

Where PyTorch is installed, the command measures the same for the authors' network and search
sizes on the bundle's task. With --soak it plans that many times instead and shows whether memory
grows or latency drifts.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
import os
from pathlib import Path
import tempfile
from typing import Any

from spowl_ros.base.files import check_writable, write_csv, write_json
from spowl_ros.cli._extras import installed
from spowl_ros.cli._numbers import between

HELP = "measure the latency of a bundle's planner"

THREADS = (1, 2)
DEFAULT_THREADS = 1
SOAK_BLOCKS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('bundle', metavar='BUNDLE', type=Path, help='directory of the bundle')
    parser.add_argument('--decisions', type=between(int, 1), default=2000,
                        help='decisions to time')
    parser.add_argument('--json', metavar='FILE', type=Path, help='write everything measured')
    parser.add_argument('--no-paper-size', action='store_true',
                        help="leave out the authors' sizes (they take a minute)")
    parser.add_argument('--soak', metavar='DECISIONS', type=between(int, 1),
                        help='plan that many times and watch memory and latency')
    parser.add_argument('--csv', metavar='FILE', type=Path, help='write the blocks of --soak')


def run(args: argparse.Namespace) -> int:
    """Measure and print a table."""
    from spowl_ros.control import bundle
    from spowl_ros.evaluation.latency import measure

    check_writable(args.json, args.csv)
    bundle.load(args.bundle)
    if args.soak:
        blocks = measure(args.bundle, threads=DEFAULT_THREADS, decisions=args.soak,
                         every=max(args.soak // SOAK_BLOCKS, 1))['blocks']
        if args.csv:
            write_csv(args.csv, blocks)
        _show_soak(blocks)
        return 0
    by_threads = {str(n): measure(args.bundle, threads=n, decisions=args.decisions)
                  for n in THREADS}
    result = {'bundle': str(args.bundle), 'decisions': args.decisions,
              'default_threads': DEFAULT_THREADS, **by_threads[str(DEFAULT_THREADS)],
              'threads': by_threads,
              'paper_size': None if args.no_paper_size else _paper_size(args.bundle)}
    if args.json:
        write_json(args.json, result)
    _show(result)
    return 0


def _paper_size(directory: Path) -> dict[str, Any] | None:
    """Measure the authors' sizes, or return None without PyTorch."""
    if not installed('train'):
        return None
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # more PyTorch threads wait for one another
    from spowl_ros.control import bundle
    from spowl_ros.evaluation.latency import measure
    from spowl_ros.training.untrained import PAPER, PAPER_PLANNER, export_untrained

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / 'paper_size'
        # one iteration exports quickly and can be repeated any number of times
        export_untrained(path, bundle.load(directory).contract, PAPER,
                         replace(PAPER_PLANNER, iterations=1), cases=1)
        return measure(path, threads=max(THREADS), decisions=5,
                       iterations=PAPER_PLANNER.iterations)


def _show(result: dict[str, Any]) -> None:
    columns = ('p50', 'p95', 'p99', 'p99.9', 'max')
    print(f'{"milliseconds":24}' + ''.join(f'{name:>9}' for name in columns))
    rows = [(f'{n} thread{"s" * (n != "1")}', measured['latency_ms'])
            for n, measured in result['threads'].items()]
    rows += [(f'  {name}', values) for name, values in result['stages'].items()]
    rows.append(('policy alone', result['policy_ms']))
    if result['paper_size']:
        rows.append(("the authors' sizes", result['paper_size']['latency_ms']))
    for name, values in rows:
        print(f'{name:24}' + ''.join(f'{values[column]:9.2f}' for column in columns))
    print(f"{result['mflop']:.0f} MFLOP a decision at {result['gflops']:.0f} GFLOP/s; matrix "
          f"products reach {result['peak_gflops']:.0f}. Loading takes "
          f"{result['load_seconds']:.2f} s, memory is {result['rss_mb']:.0f} MB.")


def _show_soak(blocks: list[dict[str, Any]]) -> None:
    first, last = blocks[len(blocks) // 10], blocks[-1]
    print(f"{last['decisions']} decisions: resident memory {first['rss_mb']:.1f} MB after "
          f"{first['decisions']}, {last['rss_mb']:.1f} MB at the end; median latency "
          f"{first['p50']:.2f} ms, then {last['p50']:.2f} ms")
