# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""``spowl train``: learn a controller for a task."""
from __future__ import annotations

import argparse
import os
from pathlib import Path
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spowl_ros.training.config import TrainConfig

INTERRUPTED = 130
SAME_REQUEST_S = 1.0
"""Within this time a second signal is the first one again: `timeout` and others send two."""
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


def run(args: argparse.Namespace) -> int:
    """Train until done or interrupted; a checkpoint is written either way."""
    from spowl_ros.training import config as configuration
    from spowl_ros.training.trainer import Trainer

    path = configuration.find(args.config)
    if args.resume:
        config = configuration.load(path, [])
        output = args.output or default_output(config)
        trainer = Trainer.resume(output, args.overrides)
    else:
        config = configuration.load(path, args.overrides)
        output = args.output or default_output(config)
        trainer = Trainer(config, output)

    asked = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not trainer.stop_requested:
            trainer.stop_requested, asked = True, time.monotonic()
            os.write(2, b'\nstopping: the current step ends, then a checkpoint is written\n')
        elif time.monotonic() - asked > SAME_REQUEST_S:
            signal.default_int_handler(number, frame)  # whoever asks again does not wait

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    trainer.run()
    print(f'{output}: {trainer.decisions} decisions, {trainer.updates} updates; '
          f'checkpoint written' + (' (interrupted)' if trainer.stop_requested else ''))
    return INTERRUPTED if trainer.stop_requested else 0


def default_output(config: TrainConfig) -> Path:
    """Return where a run goes that is not told."""
    return Path('runs') / f'{config.task}-{config.seed}'
