# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write measured figures into a bundle and its card: python -m benchmarks.model_card BUNDLE.

Reads evaluations that `benchmarks.ablation` wrote for the bundle's task, those over many episodes
if there are any, and the figures of `spowl bench --json`; without these the bundle keeps the
latency that it has. It names the learning curve of `--curve`; without it, the one that it names
already, or that of `benchmarks.learning_curves`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import run_command, tables
from benchmarks.ablation import VARIANTS, file_name
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.training.model_card import model_card

KEPT = ('episodes', 'returns', 'costs', 'seeds', 'return', 'cost', 'cost_free_fraction',
        'source_fraction', 'action_change')
"""Of each evaluation."""
FOLDERS = ('ablation_many_episodes', 'ablation')
"""Where evaluations of a task are looked for; the first that has some."""


def gather(task: str, results: Path, latency: Path | None,
           curve: str | Path | None = None, networks: str = '') -> dict[str, Any]:
    """
    Return the measured figures of a task.

    :param curve: picture of the learning curve; None: that of `benchmarks.learning_curves`
    :param networks: digest of the bundle's networks, which figures must be of if they say
    :raises SpowlError: no evaluation, one of other networks, or no such picture
    """
    evaluations = {}
    folders = [results / name / task for name in FOLDERS]
    folder = next((there for there in folders if there.is_dir()), results)
    for variant in VARIANTS:
        file = folder / file_name(variant)
        if file.exists():
            figures = tables.read_figures(file)
            if figures.get('networks', networks) != networks:
                raise SpowlError(f'{file} holds figures of other networks; measure this bundle')
            evaluations[variant] = {name: figures[name] for name in KEPT if name in figures}
    if not evaluations:
        raise SpowlError(f'no evaluations of {task} in {results}/ablation; make them with '
                         "'python -m benchmarks.ablation'")
    measured: dict[str, Any] = {'evaluations': evaluations}
    if latency:
        measured['latency_ms'] = json.loads(latency.read_text())['latency_ms']
    usual = results / 'learning_curves' / f'{task}.svg'
    if curve and not Path(curve).exists():
        raise SpowlError(f'no learning curve {curve}; name one that is there with --curve')
    if curve or usual.exists():
        measured['learning_curve'] = str(curve or usual)
    return measured


def main() -> None:
    """Write the card of a bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('bundle', type=Path, metavar='BUNDLE')
    parser.add_argument('--results', type=Path, default=Path('benchmarks/results'))
    parser.add_argument('--latency', type=Path, help='what spowl bench --json wrote')
    parser.add_argument('--curve', type=Path, help='picture of the learning curve')
    args = parser.parse_args()
    bundle = bundles.load(args.bundle)
    had = bundle.measured or {}
    kept = {'latency_ms': had['latency_ms']} if 'latency_ms' in had else {}
    curve = args.curve or had.get('learning_curve')
    measured = kept | gather(bundle.contract.task, args.results, args.latency, curve,
                             bundle.networks_digest)
    bundles.amend(args.bundle, measured=measured, card=model_card)
    print(args.bundle / bundles.MODEL_CARD)


if __name__ == '__main__':
    run_command(main)
