# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""``spowl train``: learn a controller for a task."""
from __future__ import annotations

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from spowl_ros.base.environment import signals_to_end
from spowl_ros.base.errors import INTERRUPTED, SpowlError
from spowl_ros.cli._interrupt import INTERRUPTS, SAME_REQUEST_S
from spowl_ros.cli._numbers import between

if TYPE_CHECKING:
    from spowl_ros.training.choice import Lineage
    from spowl_ros.training.config import TrainConfig
    from spowl_ros.training.population import Population
    from spowl_ros.training.trainer import Trainer

HELP = 'learn world model, policy and values for a task'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument('config', type=Path, metavar='TASK_OR_CONFIG',
                        help='a task id with a file in config/training/, or a YAML file')
    parser.add_argument('overrides', nargs='*', metavar='section.key=value',
                        help='overrides of the configuration')
    parser.add_argument('--output', type=Path, default=None,
                        help='directory of the run (default: runs/<task>-<seed>)')
    parser.add_argument('--resume', action='store_true',
                        help='continue the run in the output directory')
    parser.add_argument('--seeds', metavar='0-7', help='train a learner for each seed: on CPUs '
                        'in a process for each core, on a GPU all at once')
    parser.add_argument('--processes', type=between(int, 1), metavar='N',
                        help='of --seeds and --vary on CPUs: learners at a time (default: one '
                        'for each core)')
    parser.add_argument('--vary', action='append', default=[], metavar='section.key=V1,V2',
                        help='train a learner for each value of a number, with each seed; '
                        'repeatable: every combination')
    parser.add_argument('--choose', type=between(int, 1), metavar='DECISIONS',
                        help='after each so many decisions of a learner the worst by validation '
                        'copies the best and changes its settings of --vary (default: never)')


def run(args: argparse.Namespace) -> int:
    """Train until done or interrupted; write a checkpoint either way."""
    from spowl_ros.training import choice
    from spowl_ros.training import config as configuration

    config = configuration.load(configuration.find(args.config),
                                [] if args.resume else args.overrides)
    output = args.output or Path('runs') / f'{config.task}-{args.seeds or config.seed}'
    trainer, proceed, lineage = _begun(args, config, output)
    parts = choice.parts(trainer, proceed, lineage)
    asked = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not trainer.stop_requested:
            trainer.stop_requested, asked = True, time.monotonic()
            os.write(2, b'\nstopping: the current step ends, then a checkpoint is written\n')
        elif time.monotonic() - asked > SAME_REQUEST_S:
            INTERRUPTS.interrupt(number, frame)  # a second request ends at once

    for number in signals_to_end():
        signal.signal(number, stop)
    for trainer in parts:
        trainer.run()
    print(f'{output}: checkpoint written' + (' (interrupted)' if trainer.stop_requested else ''))
    for line in trainer.summary():
        print(line)
    if lineage:
        print(f'{len(lineage.choices)} copies, see {output / choice.LINEAGE}')
    return INTERRUPTED if trainer.stop_requested else 0


def _begun(args: argparse.Namespace, config: TrainConfig, output: Path) -> tuple[
        Trainer | Population, Callable[[], Trainer | Population], Lineage | None]:
    """
    Return what trains one learner, a stack on a GPU, or a population of processes.

    Then come a function that returns the same as its checkpoints have it, and the lineage of a
    population that chooses.
    """
    from spowl_ros.training import choice, population
    from spowl_ros.training.trainer import LEARNERS, Trainer

    def proceed() -> Trainer | Population:
        mine = args.overrides if args.resume else []  # a run that began with them has them
        if (output / LEARNERS).exists():
            return population.Population(None, output, overrides=mine,
                                         processes=args.processes)
        return Trainer.resume(output, mine)

    lineage = None
    if args.resume:
        if args.vary or args.seeds or args.choose:
            raise SpowlError('--resume continues the learners that the directory holds; leave '
                             '--seeds, --vary and --choose out')
        lineage = choice.read(output, args.overrides)
        first = proceed()
    elif args.seeds or args.vary:
        seeds = population.parse_seeds(args.seeds) if args.seeds else [config.seed]
        configs = population.members(config, seeds, args.vary)
        lineage = choice.begin(config, args.choose, args.vary) if args.choose else None
        first = (population.Population(configs, output, processes=args.processes)
                 if config.device == 'cpu' else Trainer(configs, output))
    elif args.choose:
        raise SpowlError('--choose needs several learners; give --seeds or --vary')
    else:
        first = Trainer(config, output)
    return first, proceed, lineage
