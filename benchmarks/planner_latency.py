# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what each change to the planner gains: python -m benchmarks.planner_latency > FILE.csv.

Starts from the authors' sizes and order of work, makes one change after another until the planner
is the shipped one, then makes its search smaller. Every step runs in a separate process with
untrained networks. Latency is wall-clock time. cpu_ms is the processor time of a decision on all
its threads, which is also valid on a busy machine.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path
import sys
import tempfile

import torch

from benchmarks import run_command
from spowl_ros.control import bundle
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.evaluation.latency import measure
from spowl_ros.training.checkpoint import bundle_networks
from spowl_ros.training.networks import BinConfig, NetworkConfig
from spowl_ros.training.untrained import export_untrained

COLUMNS = ('step', 'threads', 'p50_ms', 'p99_ms', 'cpu_ms', 'policy_p50_ms', 'mflop', 'gflops',
           'peak_gflops', 'rss_mb')


@dataclass(frozen=True)
class Step:
    """One intermediate state of the planner."""

    name: str
    networks: NetworkConfig
    settings: PlannerSettings
    exportable: bool = True
    threads: int = 1


def steps(shipped: Bundle) -> list[Step]:
    """Return all states, from the authors' to the shipped one."""
    networks, settings = NetworkConfig(), PlannerSettings()
    every_time = replace(settings, samples=settings.samples + settings.policy_candidates)
    found = [
        Step("authors' sizes, the policy's candidates evaluated in every iteration", networks,
             every_time, exportable=False),
        Step("the policy's candidates evaluated once", networks, settings, exportable=False),
        Step('Mish with exponentials', networks, settings)]
    settings = replace(settings, head_choice='first', cost_heads=2)
    found.append(Step('two heads of each ensemble, the same for all candidates', networks,
                      settings))
    networks = replace(networks, activation='silu')
    found.append(Step('SiLU', networks, settings))
    bins = BinConfig(41)
    networks = replace(networks, reward_bins=bins, cost_bins=bins, reward_value_bins=bins,
                       cost_value_bins=bins)
    found.append(Step('41 bins', networks, settings))
    networks = bundle_networks(shipped).config
    found.append(Step('compact networks', networks, settings))
    ours = shipped.settings
    settings = replace(settings, samples=ours.samples, policy_candidates=ours.policy_candidates,
                       elites=ours.elites)
    found.append(Step(f'{ours.samples} samples, {ours.policy_candidates} of the policy', networks,
                      settings))
    settings = replace(settings, iterations=ours.iterations)
    found.append(Step(f'{ours.iterations} iterations', networks, settings))
    found.append(Step('shipped settings', networks, ours))
    found.append(Step('shipped settings, 1 iteration', networks, replace(ours, iterations=1)))
    small = replace(ours, iterations=1, samples=32, policy_candidates=8, elites=8)
    found.append(Step('1 iteration of 32 samples, 8 of the policy, 8 elites', networks, small))
    found.append(Step('two threads', networks, ours, threads=2))
    return found


def main() -> int:
    """Measure every step and write CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, default='models/SafetyPointGoal1-v0')
    parser.add_argument('--last', type=int, metavar='STEPS', help='only so many, the last ones')
    parser.add_argument('--seconds', type=float, default=5.0, help='about how long to time each')
    args = parser.parse_args()
    torch.set_num_threads(1)
    shipped = bundle.load(args.model)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator='\n')
    writer.writeheader()
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(steps(shipped)[-(args.last or 0):]):
            path = Path(folder) / str(number)
            # one iteration exports quickly and can be repeated any number of times
            export_untrained(path, shipped.contract, step.networks,
                             replace(step.settings, iterations=1), cases=1,
                             exportable=step.exportable)
            iterations = step.settings.iterations
            first = measure(path, threads=step.threads, decisions=1, iterations=iterations)
            decisions = int(min(1000, max(3, 1e3 * args.seconds / first['latency_ms']['p50'])))
            result = measure(path, threads=step.threads, decisions=decisions,
                             iterations=iterations)
            latency = result['latency_ms']
            writer.writerow({
                'step': step.name, 'threads': step.threads, 'p50_ms': latency['p50'],
                'p99_ms': latency['p99'], 'policy_p50_ms': result['policy_ms']['p50'],
                **{key: result[key] for key in ('cpu_ms', 'mflop', 'gflops', 'peak_gflops',
                                                'rss_mb')}})
            sys.stdout.flush()
    return 0


if __name__ == '__main__':
    run_command(main)
