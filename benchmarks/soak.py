# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Run controller and supervisor for a long time at the control rate, and watch for growth.

    python -m benchmarks.soak models/SafetyPointGoal1-v0 --seconds 3600

Writes a row per minute: commands missed, decisions late, memory, threads, file descriptors, shared
memory, latency. With --saturated, other programs keep every core busy all the while.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
from dataclasses import asdict, dataclass
from pathlib import Path
import time

import psutil

from benchmarks import run_command
from benchmarks.faults import System, relieve, running, saturate
from benchmarks.robot_stand import PRIORITY
from spowl_ros.base.statistics import latency_ms
from spowl_ros.control import bundle
from spowl_ros.ros.process import keep_time

SETTLE_S = 30.0
"""Warm-up, excluded from growth."""


@dataclass(frozen=True)
class Sample:
    """Measurements since the last sample, and current resources."""

    seconds: float
    measurements: int
    decisions: int
    late: int
    """Decisions that missed their part of the control period."""
    commands: int
    stop_commands: int
    latency_ms_p50: float
    latency_ms_p99: float
    controller_rss_mb: float
    supervisor_rss_mb: float
    controller_threads: int
    supervisor_threads: int
    controller_files: int
    supervisor_files: int
    shared_memory_files: int


def sample(system: System, start: float, measurements: int) -> Sample:
    """Take a sample and clear the received messages."""
    stand = system.stand
    commands, stand.commands = stand.commands, []
    decisions, stand.decisions = stand.decisions, []
    totals = latency_ms([decision.seconds['total'] for _, decision in decisions])
    controller, supervisor = (psutil.Process(system.nodes[name].pid)
                              for name in ('controller', 'supervisor'))
    return Sample(
        seconds=round(time.monotonic() - start, 1),
        measurements=measurements, decisions=len(decisions),
        late=sum(decision.deadline_missed for _, decision in decisions),
        commands=len(commands),
        stop_commands=sum(stand.is_stop(values) for _, values in commands),
        latency_ms_p50=round(totals['p50'], 3),
        latency_ms_p99=round(totals['p99'], 3),
        controller_rss_mb=round(controller.memory_info().rss / 1e6, 1),
        supervisor_rss_mb=round(supervisor.memory_info().rss / 1e6, 1),
        controller_threads=controller.num_threads(), supervisor_threads=supervisor.num_threads(),
        controller_files=controller.num_fds(), supervisor_files=supervisor.num_fds(),
        shared_memory_files=sum(mapping.path.startswith('/dev/shm')
                                for process in (controller, supervisor)
                                for mapping in process.memory_maps()))


def soak(model: Path, seconds: float, every: float, saturated: bool) -> list[Sample]:
    """Run for a time and sample regularly; the first sample is taken after the warm-up."""
    samples = []
    with running(model, bundle.read_contract(model)) as system, contextlib.ExitStack() as stack:
        if saturated:
            saturate(system)
            stack.callback(relieve, system)
        time.sleep(min(SETTLE_S, seconds / 4))
        system.stand.commands, system.stand.decisions = [], []
        start, counted = time.monotonic(), system.stand.measurements
        while (left := start + seconds - time.monotonic()) > 0:
            time.sleep(min(every, left))
            measurements = system.stand.measurements
            samples.append(sample(system, start, measurements - counted))
            counted = measurements
            print(samples[-1], flush=True)
    return samples


def main() -> int:
    """Run the soak, write its table, and print what was missed and what grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--seconds', type=float, default=3600.0)
    parser.add_argument('--every', type=float, default=60.0, help='seconds between samples')
    parser.add_argument('--saturated', action='store_true', help='keep every core busy')
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/soak.csv'))
    arguments = parser.parse_args()
    keep_time(PRIORITY)
    samples = soak(arguments.model, arguments.seconds, arguments.every, arguments.saturated)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(asdict(samples[0])), lineterminator='\n')
        writer.writeheader()
        writer.writerows(asdict(row) for row in samples)
    total = {name: sum(getattr(row, name) for row in samples)
             for name in ('measurements', 'decisions', 'late', 'commands', 'stop_commands')}
    first, last = samples[0], samples[-1]
    print(f'{total}; controller {first.controller_rss_mb} to {last.controller_rss_mb} MB, '
          f'supervisor {first.supervisor_rss_mb} to {last.supervisor_rss_mb} MB')
    return 0


if __name__ == '__main__':
    run_command(main)
