# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`spowl replay --live`: run the nodes of replay.launch.py and follow them in the terminal."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from spowl_ros.base.errors import INTERRUPTED
from spowl_ros.base.settings import changed
from spowl_ros.cli._nodes import follow, watch_signals
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.run_record import RunRecord
from spowl_ros.system import nodes as system


def run(args: argparse.Namespace, changes: dict[str, Any]) -> int:
    """
    Play the bag, follow the decisions, and print a summary.

    :param changes: dotted names and values of the controller's settings
    """
    controller, player = system.replay(changed(system.ReplayArguments(), {
        'bag': str(args.bag), 'model': str(args.bundle), 'robot': args.robot,
        'namespace': args.namespace or '', 'rate': args.rate, 'loop': args.loop}))
    controller = replace(controller, parameters={**changes, **controller.parameters})

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
    print(record.table())
    return INTERRUPTED if interrupted.is_set() and not args.loop else 0
