# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The methods by name. A further one is a line here and a file."""

from __future__ import annotations

from collections.abc import Callable
import importlib
from pathlib import Path

from tqdm import tqdm

from benchmarks.baselines.runs import Run, Training, measure, train

_OMNISAFE = 'omnisafe_methods:OmniSafeTraining'
METHODS = {'PPOLag': _OMNISAFE, 'CPO': _OMNISAFE, 'SACLag': _OMNISAFE, 'RCEPETS': _OMNISAFE,
           'MBPPOL': 'mbppol:MBPPOLTraining', 'SafeDreamer': 'safedreamer:SafeDreamerTraining'}
"""Module and class of each method's `Training`; RCEPETS is the planner of MBRCE."""


def start(run: Run, folder: Path) -> Training:
    """
    Return a method's training before its first step.

    :raises SpowlError: a package that it needs is not installed
    """
    module, _, name = METHODS[run.method].partition(':')
    kind: Callable[[Run, Path], Training] = getattr(
        importlib.import_module(f'benchmarks.baselines.{module}'), name)
    return kind(run, folder)


def complete(run: Run, folder: Path, episodes: int, workers: int) -> None:
    """
    Train and evaluate a run in this process, which is its own.

    :raises SpowlError: see `start`; or the evaluation failed
    """
    with tqdm(unit='raw step', desc=folder.name, dynamic_ncols=True, mininterval=5.0) as bar:
        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        measure(run, folder, train(run, folder, start, show), episodes, workers)
