# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Provoke every fault many times on running nodes, and record what the robot got and when.

    python -m benchmarks.fault_table models/SafetyPointGoal1-v0 --repetitions 20

With `--only` the other rows of an existing table do not change. With `--missing --minutes 8` the
table is made in pieces.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
import tempfile
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import run_command, tables
from benchmarks.bad_starts import BadStart, Refusal, bad_starts, try_to_start
from benchmarks.faults import WORLDS, Fault, Outcome, all_faults, put_through, running
from benchmarks.robot_stand import PRIORITY
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle
from spowl_ros.ros.process import keep_time

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract

COLUMNS = ('fault', 'repetitions', 'right', 'robot_gets', 'safe_ms_p50', 'safe_ms_p99',
           'safe_ms_max', 'limit_ms', 'recover_s_p50', 'recover_s_max', 'operator_reads')


def row(fault: Fault, outcomes: list[Outcome], limit_s: float) -> dict[str, object]:
    """Summarise the repetitions of one fault."""
    safe = np.array([outcome.seconds_to_safe for outcome in outcomes]) * 1e3
    recover = np.array([outcome.seconds_to_recover for outcome in outcomes])
    timed = not np.isnan(safe).any()
    p50, p99, most = np.percentile(safe, (50, 99, 100)).round(1).tolist() if timed else [''] * 3
    return dict(zip(COLUMNS, (
        fault.name, len(outcomes),
        sum(fault.is_right(outcome.robot_gets) for outcome in outcomes),
        outcomes[-1].robot_gets, p50, p99, most,
        round(limit_s * 1e3) if timed else '', round(float(np.median(recover)), 2),
        round(float(recover.max()), 2), outcomes[-1].says), strict=True))


def row_of_start(bad: BadStart, refusals: list[Refusal]) -> dict[str, object]:
    """Summarise the repetitions of one bad start, which needs no stop."""
    right = sum(refusal.code == SpowlError.EXIT_CODE and bad.words in refusal.says
                and refusal.robot_gets != 'commands' for refusal in refusals)
    says = refusals[-1].says.replace(str(Path(tempfile.gettempdir())), '').splitlines()
    return {**dict.fromkeys(COLUMNS, ''), 'fault': bad.name, 'repetitions': len(refusals),
            'right': right, 'robot_gets': refusals[-1].robot_gets,
            'operator_reads': ' '.join(says)}


def names(contract: Contract) -> list[str]:
    """Return the names of all rows, in their order."""
    return [fault.name for world in WORLDS for fault in all_faults(contract)
            if fault.world == world] + [bad.name for bad in bad_starts()]


def main() -> int:
    """Run everything and write the table; fail if a fault had a wrong outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--repetitions', type=int, default=20)
    parser.add_argument('--only', default='', help='part of the names of the faults to provoke')
    parser.add_argument('--missing', action='store_true',
                        help='provoke only faults of which the table lacks repetitions')
    parser.add_argument('--minutes', type=float, default=math.inf,
                        help='begin no fault after so many minutes')
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/faults.csv'))
    arguments = parser.parse_args()
    keep_time(PRIORITY)
    contract = bundle.read_contract(arguments.model)
    limit_s = 2.0 * contract.control_period + 0.02
    random = np.random.default_rng(0)
    table = tables.Growing(arguments.output, COLUMNS, names(contract))
    end, failures = time.monotonic() + 60.0 * arguments.minutes, 0

    def wanted(name: str) -> bool:
        return arguments.only in name and not (
            arguments.missing and not table.lacks(name, arguments.repetitions))

    for world in WORLDS:
        chosen = [fault for fault in all_faults(contract)
                  if fault.world == world and wanted(fault.name) and time.monotonic() < end]
        if not chosen:
            continue
        with running(arguments.model, contract, world) as system:
            for fault in chosen:
                if time.monotonic() > end:
                    break
                outcomes = []
                for left in reversed(range(arguments.repetitions)):
                    time.sleep(random.uniform(0.0, contract.control_period))
                    outcomes.append(put_through(system, fault, listen=not left))
                added = row(fault, outcomes, limit_s + fault.within_s)
                table.put(added)
                late = [outcome for outcome in outcomes
                        if outcome.seconds_to_safe > limit_s + fault.within_s]
                wrong = [outcome for outcome in outcomes if not fault.is_right(outcome.robot_gets)]
                failures += bool(wrong) or len(late) > arguments.repetitions / 100
                print({name: added[name] for name in COLUMNS[:-1]}, flush=True)
                for outcome in wrong:
                    print(f'  not as it must be: {dataclasses.asdict(outcome)}', flush=True)
    chosen_starts = [bad for bad in bad_starts() if wanted(bad.name)]
    if chosen_starts and time.monotonic() < end:
        with running(arguments.model, contract) as system:
            system.nodes.pop('controller').end()
            for bad in chosen_starts:
                if time.monotonic() > end:
                    break
                refusals = [try_to_start(system, bad) for _ in range(arguments.repetitions)]
                added = row_of_start(bad, refusals)
                table.put(added)
                failures += added['right'] != arguments.repetitions
                print(added, flush=True)
    return min(failures, 1)


if __name__ == '__main__':
    run_command(main)
