# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what planning, switching and thresholds are worth: python -m benchmarks.ablation MODEL...

Each model (a bundle or a checkpoint) drives the evaluation episodes in every variant. Each result
goes into OUTPUT/<task>/<variant>.json at once, so an interrupted run can continue. Then all of
OUTPUT becomes ablation.csv and ablation.svg.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
import numpy as np
from tqdm import tqdm

from benchmarks import run_command, tables
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import EVALUATION
from spowl_ros.base.statistics import TOWARDS, bootstrap
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.cli.evaluate import open_model
from spowl_ros.evaluation.episodes import AgentSource, evaluate
from spowl_ros.replay.plots import SOURCE_HEX
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import Perturbation, preset


@dataclass(frozen=True)
class Variant:
    """A planner, with changes to its settings and to the robot."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    perturbation: Perturbation = Perturbation()
    late: float = 0.0
    """Delay of commands, seconds."""
    robot: str = ''
    """A perturbation's preset, instead of the two above."""


VARIANTS = {
    'plan and switch': Variant('adaptive'),
    'plan, no switch': Variant('adaptive', {'switch': False}),
    'policy': Variant('policy'),
    'static threshold': Variant('threshold'),
    'static threshold and switch': Variant('threshold', {'switch': True}),
    'no threshold': Variant('unsafe'),
    'with sensor noise': Variant('adaptive', perturbation=Perturbation(observation_noise=1.0)),
    'with late commands': Variant('adaptive', late=0.02),
    'ordinary robot': Variant('adaptive', robot='ordinary'),
    'policy, ordinary robot': Variant('policy', robot='ordinary'),
}
"""
The first variant ships. The last four are perturbed: by noise, by 20 ms delay, and by both with a
heavier robot and weaker motors.
"""
OVER_POLICY = tuple(f'{name}_over_policy{end}' for name in ('return', 'cost')
                    for end in ('', '_low', '_high'))
"""Columns of differences to the policy alone in the same episodes."""
COLUMNS = ('task', 'variant', 'episodes', *tables.INTERVALS, 'plan_fraction', *OVER_POLICY)
COLOURS = (SOURCE_HEX['plan'], '#7db898', SOURCE_HEX['policy'], '#b79b78', '#8c6d4a', '#3a3530',
           '#8a8a8a', '#b5b5b5', '#5a6a8a', '#a8b8d8')
"""Colour of each variant; a source's colour is of that source only."""


def file_name(variant: str) -> str:
    """Return the name of a variant's file."""
    return variant.replace(' ', '_').replace(',', '') + '.json'


def measure(model: Path, variant: str, episodes: int, workers: int, monitors: bool,
            device: str | None, output: Path) -> None:
    """Evaluate one variant, unless its figures exist."""
    what = VARIANTS[variant]
    source, details = open_model(model, what.kind, what.settings, monitors=monitors,
                                 device=device)
    file = output / source.task / file_name(variant)
    if is_measured(file, details, episodes):
        return
    raw_period = environment.contract(source.task, source.action_repeat).raw_period
    perturbation = (preset(what.robot, raw_period) if what.robot else
                    replace(what.perturbation, command_delay=what.late / raw_period))
    drive(source, what.kind, EVALUATION[:episodes], perturbation, workers, file,
          f'{source.task} {variant}', {'variant': variant, **details})


def is_measured(file: Path, details: dict[str, Any], episodes: int) -> bool:
    """
    Return whether a file holds the figures that are wanted.

    :param details: of the model, as `open_model` returns them
    :raises SpowlError: it holds figures of another model or of another number of episodes
    """
    if not file.exists():
        return False
    known = tables.read_figures(file)
    for name, wanted in (('model', details['model']), ('networks', details.get('networks')),
                         ('counters', details.get('counters')), ('episodes', episodes)):
        if known.get(name, wanted) != wanted:
            raise SpowlError(f'{file} holds figures of another {name}, {known[name]}; wanted is '
                             f'{wanted}. Choose another --output, or remove the file')
    return True


def drive(source: AgentSource, kind: str, seeds: Sequence[int], perturbation: Perturbation,
          workers: int, file: Path, title: str, details: dict[str, Any]) -> None:
    """Evaluate an agent and write its figures into a file, with the details."""
    with tqdm(total=len(seeds) * RAW_STEPS, unit=' steps', desc=title, dynamic_ncols=True) as bar:
        result = evaluate(source, kind, seeds, workers=workers, perturbation=perturbation,
                          details=details, on_steps=lambda steps: bar.update(steps - bar.n))
    file.parent.mkdir(parents=True, exist_ok=True)
    tables.write_figures(file, result.to_dict())


def over_policy(figures: dict[str, Any], policy: dict[str, Any]) -> dict[str, float]:
    """
    Return the columns `OVER_POLICY`: means and intervals of the differences, episode by episode.

    Both drove the same layouts, so the differences vary less than either figure.

    :param figures: of a variant and of the policy, as `Evaluation.to_dict`; episodes that only
        one of them has are left out
    """
    row: dict[str, float] = {}
    for name, values in (('return', 'returns'), ('cost', 'costs')):
        alone = dict(zip(policy['seeds'], policy[values], strict=True))
        interval = bootstrap([value - alone[seed] for seed, value in zip(
            figures['seeds'], figures[values], strict=True) if seed in alone])
        row |= {f'{name}_over_policy': interval.mean, f'{name}_over_policy_low': interval.low,
                f'{name}_over_policy_high': interval.high}
    return {name: round(value, 3) for name, value in row.items()}


def table(output: Path) -> list[dict[str, Any]]:
    """Return a row for every measured variant, with tasks and variants in order."""
    rows = []
    for file in output.glob('*/*.json'):
        figures = tables.read_figures(file)
        rows.append({
            'task': figures['task'], 'variant': figures['variant'],
            'episodes': figures['episodes'], **tables.intervals(figures),
            'plan_fraction': round(figures['source_fraction'].get('plan', 0.0), 3)})
        policy = file.with_name(file_name('policy'))
        if policy.exists() and policy != file:
            rows[-1] |= over_policy(figures, tables.read_figures(policy))
    order = list(VARIANTS)
    return sorted(rows, key=lambda row: (row['task'], order.index(row['variant'])))


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Draw return and cost of every variant with their intervals, a row for each task."""
    tasks = sorted({row['task'] for row in rows})
    result = Figure((9.0, 0.9 + 2.2 * len(tasks)), layout='constrained')
    axes = result.subplots(len(tasks), 2, squeeze=False)
    for line, task in zip(axes, tasks, strict=True):
        mine = [row for row in rows if row['task'] == task]
        for axis, name in zip(line, ('return', 'cost'), strict=True):
            mean = np.array([row[name] for row in mine])
            error = np.array([mean - [row[f'{name}_low'] for row in mine],
                              [row[f'{name}_high'] for row in mine] - mean])
            axis.barh(range(len(mine)), mean, xerr=error.clip(0.0), capsize=2, color=[
                COLOURS[list(VARIANTS).index(row['variant'])] for row in mine])
            axis.set_title(f'{task}: {name} per episode', loc='left', fontsize=9)
            axis.set_yticks(range(len(mine)), [row['variant'] for row in mine], fontsize=8)
            axis.set_xlabel(TOWARDS[name], fontsize=8)
            axis.tick_params(axis='x', labelsize=8)
            axis.invert_yaxis()
            axis.spines[['top', 'right']].set_visible(False)
    return result


def main() -> None:
    """Measure what is missing, then write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('models', nargs='*', type=Path, metavar='MODEL')
    parser.add_argument('--episodes', type=int, default=50)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--variants', nargs='*', default=list(VARIANTS), choices=VARIANTS,
                        metavar='VARIANT', help='only these (default: all)')
    parser.add_argument('--monitors', action='store_true', help="with a bundle's monitors")
    parser.add_argument('--device', help="compute with PyTorch on this device, as 'cuda'")
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/ablation'))
    args = parser.parse_args()
    for model in args.models:
        for variant in args.variants:
            measure(model, variant, args.episodes, args.workers, args.monitors, args.device,
                    args.output)
    rows = table(args.output)
    tables.write(args.output / 'ablation.csv', COLUMNS, rows)
    figure(rows).savefig(args.output / 'ablation.svg')
    print(f'{args.output}/ablation.csv, ablation.svg: {len(rows)} variants')


if __name__ == '__main__':
    run_command(main)
