# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what each monitor is worth: return, cost and interventions with and without it.

    python -m benchmarks.monitor_table models/SafetyPointGoal1-v0 --episodes 50 --workers 2

The bundle must be calibrated (`spowl calibrate`). Every row uses the same episodes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from benchmarks import run_command
from spowl_ros.base.seeds import EVALUATION
from spowl_ros.base.statistics import bootstrap
from spowl_ros.control import bundle
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.evaluation.agents import BundleAgents
from spowl_ros.evaluation.episodes import evaluate
from spowl_ros.sim.perturbation import Perturbation

OFF: dict[str, object] = {
    f'{name}.rule.level': 'off' for name in ('sensor_margin', 'model_error', 'cost_value')}
MONITORS: dict[str, dict[str, object]] = {
    'none': OFF,
    'model_error': {**OFF, 'model_error.rule.level': 'policy'},
    'cost_value': {**OFF, 'cost_value.rule.level': 'policy'},
    'sensor_margin': {**OFF, 'sensor_margin.rule.level': 'monitor'},
    'sensor_margin, policy only': {**OFF, 'sensor_margin.rule.level': 'policy'},
}
"""Name to the changed settings; every row monitors stale and invalid sensors."""

CONDITIONS: dict[str, Perturbation] = {
    'nominal': Perturbation(),
    'sensor noise': Perturbation(observation_noise=1.0),
    'commands 1 step late': Perturbation(command_delay=1),
    'twice the mass': Perturbation(mass=2.0),
    'actuators 1.5 times as strong': Perturbation(strength=1.5),
}
COLUMNS = ('condition', 'monitor', 'episodes', 'return', 'return_low', 'return_high', 'cost',
           'cost_low', 'cost_high', 'cost_free', 'plan', 'policy', 'monitor_led', 'stop')


def main() -> int:
    """Evaluate every combination and write the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--episodes', type=int, default=50)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--conditions', nargs='*', default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument('--monitors', nargs='*', default=list(MONITORS), choices=MONITORS)
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/monitors.csv'))
    arguments = parser.parse_args()
    loaded = bundle.load(arguments.model)
    contract, seeds = loaded.contract, EVALUATION[:arguments.episodes]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for condition in arguments.conditions:
            for monitor in arguments.monitors:
                settings = ControllerSettings(planner=loaded.settings).change(MONITORS[monitor])
                agents = BundleAgents(arguments.model, settings, contract.task,
                                      contract.action_repeat)
                result = evaluate(agents, monitor, seeds, workers=arguments.workers,
                                  perturbation=CONDITIONS[condition])
                reward, cost = bootstrap(result.returns), bootstrap(result.costs)
                sources = result.source_fraction
                row = (condition, monitor, len(seeds),
                       *(round(value, 2) for value in (
                           reward.mean, reward.low, reward.high, cost.mean, cost.low, cost.high,
                           result.cost_free_fraction)),
                       *(round(sources.get(source, 0.0), 4)
                         for source in ('plan', 'policy', 'monitor', 'stop')))
                writer.writerow(row)
                file.flush()
                print(row, flush=True)
    return 0


if __name__ == '__main__':
    run_command(main)
