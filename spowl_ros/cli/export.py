# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Write the bundle that a robot runs from a training checkpoint, or from another bundle.

Planner settings that you do not give come from the checkpoint's configuration, or from the other
bundle; `spowl inspect` lists all of them. With `--set kind=policy` the robot does not plan until
the parameter `planner.kind` says otherwise. With --untrained, CHECKPOINT is a task or its training
configuration, and the bundle holds random networks of a compact size, which decide at the rate of
that configuration. Use it to try a machine before training.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from spowl_ros.cli._numbers import between

HELP = 'write a bundle from a training checkpoint or from another bundle'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument('checkpoint', metavar='CHECKPOINT',
                        help='file written by spowl train, or directory of a bundle')
    parser.add_argument('directory', metavar='DIRECTORY', type=Path,
                        help='bundle to write; one that is there is replaced')
    parser.add_argument('--seed', type=between(int, 0), metavar='K',
                        help='CHECKPOINT is the directory of a run of many learners; the one with '
                        'this seed, at its best')
    parser.add_argument('--untrained', action='store_true',
                        help='CHECKPOINT is a task or its configuration; use random networks')
    parser.add_argument('--set', metavar='SETTING=VALUE', action='append', default=[],
                        help='planner setting that differs, as iterations=3; may be repeated')


def run(args: argparse.Namespace) -> int:
    """Export and print what was written."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # more PyTorch threads wait for one another
    from spowl_ros.base.names import BEST
    from spowl_ros.base.settings import assigned, declared
    from spowl_ros.control.bundle import MANIFEST
    from spowl_ros.control.planner_settings import PlannerSettings
    from spowl_ros.sim.environment import contract
    from spowl_ros.training.config import of_task
    from spowl_ros.training.export import export_bundle, export_checkpoint
    from spowl_ros.training.population import folder_of
    from spowl_ros.training.untrained import export_untrained

    changes = assigned(declared(PlannerSettings()), args.set)
    if args.untrained:
        config = of_task(args.checkpoint)
        bundle = export_untrained(
            args.directory, contract(config.task, config.collect.action_repeat),
            settings=PlannerSettings.compact(**changes))
    else:
        path = Path(args.checkpoint)
        if args.seed is not None:
            path = folder_of(path, args.seed) / BEST
        write = export_bundle if (path / MANIFEST).is_file() else export_checkpoint
        bundle = write(path, args.directory, changes)
    size = sum(path.stat().st_size for path in args.directory.iterdir())
    print(f'{args.directory}: {bundle.contract.task}, {size / 2**20:.1f} MB, verified')
    calibrated = '' if bundle.calibration else f'spowl calibrate {args.directory}, '
    print(f'next: {calibrated}spowl evaluate {args.directory}, spowl sim '
          f'task:={bundle.contract.task} model:={args.directory}')
    return 0
