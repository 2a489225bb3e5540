# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure the running system: time from the last sensor message to the command, and its jitter.

    python -m benchmarks.end_to_end_latency models/SafetyPointGoal1-v0 --decisions 1000

A robot on a stand publishes sensors at the control rate and receives the commands. The controller
records when the middleware received the last sensor and when it had published the command. The
measurement runs with and without real-time priority, and both again while other programs keep
every core busy.

With --period the robot has that control period instead of the bundle's, and with --kind another
planner, as 'policy'. So a robot of 200 Hz is measured with the networks of a slower one:

    python -m benchmarks.end_to_end_latency models/SafetyPointGoal1-v0 --period 0.005

With --prompt commands leave as soon as they are ready, instead of all after the same time.
"""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace
import itertools
from pathlib import Path
import shutil
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks import run_command, tables
from benchmarks.faults import System, relieve, running, saturate, wait_until_driving
from benchmarks.robot_stand import PRIORITY
from spowl_ros.control import bundle
from spowl_ros.control.planner_settings import KINDS
from spowl_ros.ros.process import keep_time
from spowl_ros.training.onnx_graphs import write_bundle

QUANTILES = (50.0, 95.0, 99.0, 100.0)
CORES = ('free', 'busy')
PRIORITIES = ('real-time', 'ordinary')
COLUMNS = ('period_ms', 'planner', 'cores', 'priority', 'quantity',
           *(f'p{quantile:g}' for quantile in QUANTILES))


def measure(system: System, decisions: int) -> dict[str, np.ndarray]:
    """Return milliseconds by quantity, one number per decision."""
    stand = system.stand
    sent: list[float] = []
    wait_until_driving(system)
    stand.commands, stand.decisions = [], []
    last = 0.0
    while len(sent) < decisions:
        if stand.last_sent != last:
            last = stand.last_sent
            sent.append(last)
        time.sleep(0.001)
    time.sleep(0.5)
    commands = np.array([when for when, _ in stand.commands])
    made = [decision.seconds for _, decision in stand.decisions if 'response' in decision.seconds]
    total = np.array([seconds['total'] for seconds in made]) * 1e3
    response = np.array([seconds['response'] for seconds in made]) * 1e3
    answers = []
    for when in sent:
        index = int(np.searchsorted(commands, when))
        if index < len(commands):
            answers.append((commands[index] - when) * 1e3)
    period = system.stand.contract.control_period * 1e3
    return {
        'arrival of the last sensor to publication of the command': response,
        'the decision itself': total,
        'added by the node': response - total,
        'sensor sent to command received, through the supervisor': np.array(answers),
        'jitter of the period of commands': np.abs(np.diff(commands) * 1e3 - period),
        'jitter of the period of sensors': np.abs(np.diff(sent) * 1e3 - period),
    }


def varied(model: Path, period: float | None, kind: str | None, directory: Path) -> None:
    """Write a bundle with the same graphs, perhaps of another control period (s) and planner."""
    loaded = bundle.load(model)
    contract, settings = loaded.contract, loaded.settings
    if period:
        contract = replace(contract, raw_period=period / contract.action_repeat)
    if kind:
        settings = loaded.accept(replace(settings, kind=kind))

    def make(building: Path) -> bundle.Bundle:
        for name in bundle.listed(loaded.graphs) - {bundle.MODEL_CARD}:
            shutil.copyfile(model / name, building / name)
        return replace(loaded, directory=building, contract=contract, settings=settings)

    write_bundle(directory, make)


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--decisions', type=int, default=1000)
    parser.add_argument('--period', type=float, help="control period, seconds; the bundle's")
    parser.add_argument('--kind', choices=KINDS, help="kind of planner; the bundle's")
    parser.add_argument('--prompt', action='store_true', help='with steady_latency:=false')
    parser.add_argument('--cores', nargs='+', choices=CORES, default=CORES)
    parser.add_argument('--priorities', nargs='+', choices=PRIORITIES, default=PRIORITIES)
    parser.add_argument('--output', type=Path,
                        default=Path('benchmarks/results/end_to_end_latency.csv'))
    arguments = parser.parse_args()
    if not keep_time(PRIORITY) and 'real-time' in arguments.priorities:
        parser.error('this system grants no real-time priority; run as root, raise `ulimit -r`, '
                     'or measure with --priorities ordinary')
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / 'model'
        varied(arguments.model, arguments.period, arguments.kind, model)
        loaded = bundle.load(model)
        contract, kind = loaded.contract, loaded.settings.kind
        for cores, priority in itertools.product(arguments.cores, arguments.priorities):
            parameters: dict[str, Any] = {} if priority == 'real-time' else {'priority': 0}
            with running(model, contract,
                         controller={'steady_latency': not arguments.prompt},
                         **parameters) as system, contextlib.ExitStack() as stack:
                if cores == 'busy':
                    saturate(system)
                    stack.callback(relieve, system)
                measured = measure(system, arguments.decisions)
            for name, values in measured.items():
                row = [round(contract.control_period * 1e3, 3), kind, cores, priority, name,
                       *np.percentile(values, QUANTILES).round(3)]
                rows.append(dict(zip(COLUMNS, row, strict=True)))
                print(', '.join(map(str, row)) + ' ms', flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    tables.write(arguments.output, COLUMNS, rows)
    return 0


if __name__ == '__main__':
    run_command(main)
