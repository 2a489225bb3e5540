# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure what each part of our search is worth: python -m benchmarks.planner_search MODEL.

The networks of a bundle drive the evaluation episodes with the bundle's search, with ours at the
authors' sizes, with the authors' search, and with ours with one option as in the authors'. Each is
exported and run as on a robot, monitors off. Each result goes into OUTPUT/<task>/<search>.json at
once, so an interrupted run can continue. Then all results become planner_search.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import tempfile
from typing import Any

import torch

from benchmarks import run_command, tables
from benchmarks.ablation import drive, is_measured
from spowl_ros.base.seeds import EVALUATION
from spowl_ros.cli.evaluate import open_model
from spowl_ros.control import bundle
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.evaluation.latency import measure
from spowl_ros.sim.perturbation import Perturbation
from spowl_ros.training.checkpoint import bundle_networks
from spowl_ros.training.export import export

SIZES = ('iterations', 'samples', 'policy_candidates', 'elites')
LEARNED_WITH = ('horizon', 'discount', 'cost_discount')
"""Settings that belong to the networks."""
OPTIONS = (('head_choice',), ('first_std', 'warm_std'), ('fill',), ('keep_elites',),
           ('terminal_noise',), ('interval',), ('interval_width',), ('cost_weight',),
           ('fallback',), ('choose',))
"""Settings put back to the authors' values, one group at a time."""
TIMED_DECISIONS = 100
COLUMNS = ('task', 'search', *SIZES, 'episodes', *tables.INTERVALS, 'p50_ms')


def searches(shipped: PlannerSettings) -> dict[str, dict[str, Any]]:
    """Return the settings of each search, the shipped one first."""
    authors = PlannerSettings().to_dict()
    ours = shipped.to_dict()

    def with_theirs(names: tuple[str, ...]) -> dict[str, Any]:
        return {**ours, **{name: authors[name] for name in names}}

    single = {', '.join(f'{name} {authors[name]}' for name in names): with_theirs(names)
              for names in OPTIONS if any(ours[name] != authors[name] for name in names)}
    return {'shipped': ours, **single, "ours at the authors' sizes": with_theirs(SIZES),
            "the authors'": {**authors, **{name: ours[name] for name in LEARNED_WITH}}}


def file_name(search: str) -> str:
    """Return the name of a search's file."""
    return re.sub(r'\W+', '_', search.replace("'", '')) + '.json'


def main() -> None:
    """Measure missing searches, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('model', type=Path, metavar='MODEL', help='directory of the bundle')
    parser.add_argument('--only', nargs='+', metavar='SEARCH', help='names of searches; all')
    parser.add_argument('--episodes', type=int, default=50)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/planner_search'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    shipped = bundle.load(args.model)
    rows = []
    networks, chosen = bundle_networks(shipped), searches(shipped.settings)
    for search in args.only or chosen:
        settings = chosen[search]
        file = args.output / shipped.contract.task / file_name(search)
        origin = {'model': str(args.model), 'networks': shipped.networks_digest}
        if not is_measured(file, origin, args.episodes):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / 'model'
                export(networks, shipped.contract, PlannerSettings(**settings), model)
                source, details = open_model(model, settings['kind'], {}, monitors=False)
                latency = measure(model, threads=1, decisions=TIMED_DECISIONS)['latency_ms']
                drive(source, settings['kind'], EVALUATION[:args.episodes], Perturbation(),
                      args.workers, file, search, {**details, **origin, 'p50_ms': latency['p50']})
        figures = tables.read_figures(file)
        rows.append({'task': shipped.contract.task, 'search': search,
                     **{name: settings[name] for name in SIZES},
                     'episodes': figures['episodes'], **tables.intervals(figures),
                     'p50_ms': round(figures['p50_ms'], 2)})
        print(rows[-1], flush=True)
    tables.write(args.output / 'planner_search.csv', COLUMNS, rows)


if __name__ == '__main__':
    run_command(main)
