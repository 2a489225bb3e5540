# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Replay recorded decisions, compare them with those of other settings, and evaluate them.

BAG is a rosbag2 directory, one of its files, or a folder of bags. The recorded sensors go through
the same controller and monitors as on the robot. With the bundle and settings that made the bag,
every decision equals the recorded one, bit for bit. With --live the bag is played onto topics
instead, and a controller decides in shadow.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import INTERRUPTED, SpowlError
from spowl_ros.base.files import check_writable, write_csv, write_json
from spowl_ros.base.settings import changed, declared, swept
from spowl_ros.cli import _scaled
from spowl_ros.cli._nodes import follow, watch_signals
from spowl_ros.cli._numbers import between
from spowl_ros.cli.evaluate import settings_of
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.planner_settings import KINDS
from spowl_ros.control.run_record import RunRecord
from spowl_ros.system import nodes as system

if TYPE_CHECKING:
    from spowl_ros.replay.replay import Changes, Replay

HELP = 'replay recorded decisions, compare and evaluate them'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('bag', type=_scaled.place, metavar='BAG',
                        help='bag, or folder of bags; with --address also a URL, as s3://bucket')
    parser.add_argument('bundle', type=Path, metavar='BUNDLE', help='directory of the bundle')
    parser.add_argument('--successor', action='append', default=[], type=Path, metavar='BUNDLE',
                        help='a bundle to which the model was changed while the bag was recorded; '
                        'may be repeated')
    parser.add_argument('--planner', choices=KINDS,
                        help='decide with another planner (--set planner.kind=...)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='decide with another setting; NAME is a controller parameter or its '
                        'unmistakable end; may be repeated')
    parser.add_argument('--sweep', action='append', default=[], metavar='NAME=V1,V2,...',
                        help='replay once for each value; repeated: for each combination')
    parser.add_argument('--namespace', help="the robot's in the bag; found where there is one")
    parser.add_argument('--robot', default='', metavar='FILE',
                        help='YAML file of a robot of your own, as for `spowl robot`')
    parser.add_argument('--jobs', type=between(int, 1), default=os.cpu_count() or 1, metavar='N',
                        help='replays at a time (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures as JSON')
    parser.add_argument('--report', type=Path, metavar='FILE.html',
                        help='write a report with plots, one file for any browser')
    parser.add_argument('--csv', type=Path, metavar='FILE', help='write the rows of a sweep')
    _scaled.add_arguments(parser, 'bags.parquet')
    live = parser.add_argument_group('live')
    live.add_argument('--live', action='store_true',
                      help='play the bag onto topics, with a controller that commands '
                      'shadow/command only')
    live.add_argument('--rate', type=between(float, 0.01, 100.0), default=1.0, metavar='FACTOR',
                      help='how much faster than recorded to play (default: %(default)s)')
    live.add_argument('--loop', action='store_true', help='play again and again')


def run(args: argparse.Namespace) -> int:
    """Replay, then print and write the results."""
    values = settings_of(args.set)
    if args.planner:
        values = {'planner.kind': args.planner, **values}
    if args.live:
        _refuse_outputs(args, '--live', 'which only plays')
        return _run_live(args, values)
    from spowl_ros.replay.replay import Changes, replay

    changes = Changes(values, args.namespace, args.robot)
    if args.address:
        _refuse_outputs(args, '--address', 'which writes a row for each bag (--table)')
        return _run_scaled(args, changes)
    (place,) = _scaled.local(args, [args.bag])
    check_writable(args.json, args.report, args.csv)

    from tqdm import tqdm

    from spowl_ros.control import bundle as bundles
    from spowl_ros.control.settings import ControllerSettings
    from spowl_ros.replay.measures import measure
    from spowl_ros.replay.sweep import sweep, text_of

    if args.csv and not args.sweep:
        raise SpowlError('--csv holds the rows of a --sweep, and there is none')
    if args.successor and args.sweep:
        raise SpowlError('--successor cannot go with --sweep, which decides with one bundle; run '
                         'once more without --sweep')
    paths = find_bags(place)
    sweeps = swept(declared(ControllerSettings()), args.sweep, home='planner.')
    bundle = bundles.load(args.bundle)
    successors = [bundles.load(path) for path in args.successor]
    replays: list[tuple[Replay, dict[str, Any]]] = []
    left_out: dict[Path, SpowlError] = {}
    with tqdm(unit=' decisions', disable=None, leave=False) as bar:
        for path in paths:
            bar.set_description(path.name)
            try:
                found = replay(path, bundle, changes, successors, bar.update)
            except SpowlError as error:
                left_out[path] = error
            else:
                replays.append((found, measure(found)))
    if not replays:
        raise next(iter(left_out.values()))
    good = [path for path in paths if path not in left_out]
    rows = sweep(good, args.bundle, sweeps, changes, args.jobs) if sweeps else []
    # Files first: the reader of the lines may leave.
    if rows and args.csv:
        write_csv(args.csv, rows)
    if args.json:
        figures = [measured for _, measured in replays]
        write_json(args.json, {**(figures[0] if len(figures) == 1 else {'bags': figures}),
                               **({'sweep': rows} if rows else {})})
    if args.report:
        from spowl_ros.replay.report import write_report

        write_report(args.report, replays, rows, list(sweeps))
    if rows:
        print(text_of(rows, list(sweeps)))
    for _, measured in replays:
        print(summary(measured))
    for reason in left_out.values():
        print(f'spowl: error: left out: {reason}', file=sys.stderr)
    return SpowlError.EXIT_CODE if left_out else 0


def _refuse_outputs(args: argparse.Namespace, option: str, why: str) -> None:
    """
    Make sure that nothing is asked for that an option cannot give.

    :raises SpowlError: something is
    """
    given = [f'--{name}' for name in ('json', 'report', 'csv', 'sweep', 'successor')
             if getattr(args, name)]
    if given:
        raise SpowlError(f'{" and ".join(given)} cannot go with {option}, {why}; run once more '
                         f'without {option}')


def _run_live(args: argparse.Namespace, changes: dict[str, Any]) -> int:
    """
    Play the bag with the nodes of replay.launch.py, and print a summary of the decisions.

    :param changes: dotted names and values of the controller's settings
    """
    controller, player = system.replay(changed(system.ReplayArguments(), {
        'bag': str(args.bag), 'model': str(args.bundle), 'robot': args.robot,
        'namespace': args.namespace or '', 'rate': args.rate, 'loop': args.loop}))
    controller = replace(controller, parameters={**changes, **controller.parameters})

    from tqdm import tqdm

    from spowl_ros.system.running import RunningSystem

    record = RunRecord(read_contract(args.bundle).task)
    nodes = RunningSystem((controller, player))
    interrupted = watch_signals(nodes)
    with nodes, tqdm(unit=' decisions', disable=None) as bar:
        from spowl_ros.clients.listener import listening

        def show() -> None:
            bar.update(record.decisions - bar.n)
            bar.set_postfix_str(', '.join(
                f'{source} {fraction:.0%}'
                for source, fraction in record.source_fraction().items() if fraction))

        with listening(record, controller.namespace) as listener:
            follow(nodes, listener, interrupted, tqdm.write, show)
        for line in nodes.stop():
            tqdm.write(line)
    if not record.decisions and not interrupted.is_set():
        raise SpowlError(f'the controller has decided on nothing of {args.bag}; play it more '
                         'slowly with --rate, or see what it said above')
    print(record.table())
    return INTERRUPTED if interrupted.is_set() and not args.loop else 0


def _run_scaled(args: argparse.Namespace, changes: Changes) -> int:
    """Replay the bags on a cluster, and print how many were as recorded."""
    from spowl_ros.control import bundle
    from spowl_ros.scale.work import Replaying

    counts: Counter[str] = Counter()

    def count(row: dict[str, Any]) -> None:
        counts['decisions'] += row['decisions']
        counts['identical'] += row['identical'] is True
        counts['different'] += row['identical'] is False

    work = Replaying.of([bundle.load(args.bundle)], changes)
    unreadable = _scaled.run(args, [args.bag], work, count)
    print(f'  decisions    {counts["decisions"]}; all identical in {counts["identical"]} bags, '
          f'different in {counts["different"]}')
    return SpowlError.EXIT_CODE if unreadable else 0


def find_bags(path: Path) -> list[Path]:
    """
    Return the bag itself, or the bags in a folder, sorted by name.

    :raises SpowlError: no such path, or no bag in it
    """
    from spowl_ros.bags.reader import is_bag

    if not path.exists():
        raise SpowlError(f'no such bag: {path}')
    if path.is_file() or is_bag(os.listdir(path)):
        return [path]
    bags = sorted(entry for entry in path.iterdir()
                  if entry.is_dir() and is_bag(os.listdir(entry)))
    if not bags:
        raise SpowlError(f'{path} is not a bag: no .mcap or .db3 file in it, nor in its folders')
    return bags


def summary(measured: dict[str, Any]) -> str:
    """Return the figures of a replay as text for a terminal."""
    from spowl_ros.replay.measures import remarks

    def text(value: float | None) -> str:
        return '-' if value is None else f'{value:.4g}'

    compared = {None: 'nothing to compare with', True: 'all identical, bit for bit',
                False: f'different from decision {measured["diverged_at"]} on'}
    latency, alarm = measured['latency_ms'], measured['alarm']
    cost_value = measured['cost_value_calibration']
    sources = ', '.join(f'{source} {fraction:.0%}' for source, fraction
                        in measured['source_fraction'].items())
    lines = [
        str(measured['bag']),
        *(f'  NOTE         {line}' for line in remarks(measured)),
        f'  decisions    {measured["decisions"]}, {compared[measured["identical"]]}',
        f'  episodes     {len(measured["episodes"])}, return {text(measured["return"])}, '
        f'cost {text(measured["cost"])} (return: more is better; cost: 0 is best)']
    if measured['identical'] is False:
        found = measured['divergence']
        changed = ', '.join(f'{name} {count}' for name, count in found['sources'].items())
        action = found['action']
        acts = ('action the same' if action['first'] is None
                else f'action of {action["decisions"]} from {action["first"]} on by '
                     f'{text(action["max"])} at most')
        lines.append(f'  differences  {found["decisions"]} decisions, {acts}, source '
                     f'{changed or "the same"}')
    lines += [
        f'  acted        {sources}',
        f'  cost value   bias {text(cost_value["bias"])}, RMS error {text(cost_value["rmse"])}, '
        f'rank correlation {text(cost_value["correlation"])} (1 is best)']
    if budget := measured['budget']:
        lines.append(f'  budget       {budget["limit"]:g} an episode, {text(budget["spent"])} '
                     f'spent, {text(budget["left"])} left, {budget["exceeded"]} episodes over it; '
                     f'bound held in {text(budget["coverage"])} of the windows, wanted '
                     f'{budget["wanted"]:g}')
    lines += [
        f'  alarms       {alarm["hits"]} hits, {alarm["misses"]} misses, '
        f'{alarm["false_alarms"]} false, lead {text(alarm["lead_seconds"])} s',
        f'  latency      p50 {text(latency["p50"])} ms, p99 {text(latency["p99"])} ms, '
        f'{latency["deadline_misses"]} deadlines missed']
    return '\n'.join(lines)
