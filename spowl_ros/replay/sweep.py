# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay bags with many settings, to compare thresholds."""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import dataclass, replace
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from spowl_ros.bags.reader import Bag
from spowl_ros.base.children import pool
from spowl_ros.base.statistics import mean, number
from spowl_ros.control import bundle as bundles
from spowl_ros.replay.alarms import foreseeing, judge_alarms
from spowl_ros.replay.measures import driving, source_fraction, switches
from spowl_ros.replay.replay import Changes, Replayer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWEPT = ('decisions', 'hits', 'misses', 'false_alarms', 'lead_seconds', 'alarmed', 'switches')
"""The figures of each row of a sweep, beside its settings."""


@dataclass(frozen=True)
class Job:
    """One bag with one combination of settings."""

    bag: Path
    bundle: Path
    changes: Changes
    monitors: tuple[str, ...]
    """Monitors whose alarms count."""


@dataclass(frozen=True)
class Worth:
    """Result of one job."""

    decisions: int
    diverged: int
    hits: int
    misses: int
    false_alarms: int
    leads: tuple[float, ...]
    alarmed: float
    sources: dict[str, float]
    switches: int
    value: float
    cost_value: float
    """Mean predictions for the actions that the controller would have executed."""


def combinations(sweeps: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of several settings."""
    return [dict(zip(sweeps, values, strict=True))
            for values in itertools.product(*sweeps.values())]


def run_job(job: Job) -> Worth:
    """Replay one bag with one combination of settings."""
    bundle = bundles.load(job.bundle)
    with Bag(job.bag) as bag:
        replay = Replayer(bag, bundle, job.changes).run()
    trace = driving(replay)
    alarms = judge_alarms(trace, job.monitors)
    return Worth(
        decisions=len(trace), diverged=len(replay.differences), hits=alarms.hits,
        misses=alarms.misses, false_alarms=alarms.false_alarms, leads=tuple(alarms.leads),
        alarmed=alarms.alarmed, sources=source_fraction(trace),
        switches=sum(switches(trace).values()),
        value=mean(trace.executed('value')), cost_value=mean(trace.executed('cost_value')))


def sweep(bags: Sequence[Path], bundle: Path, sweeps: Mapping[str, Sequence[Any]],
          base: Changes, jobs: int) -> list[dict[str, Any]]:
    """
    Replay all bags with every combination of settings, several at a time, with a progress bar.

    If the sweep varies monitors' settings, only these monitors' alarms count.

    :param sweeps: dotted name of a setting to its values
    :param base: changes for all combinations
    :param jobs: number of processes
    :return: one row for each combination, in order: settings, and the figures over all bags
    :raises SpowlError: a bag, the bundle or a setting is wrong
    """
    chosen = combinations(sweeps)
    monitors = tuple(name for name in foreseeing() if any(
        setting.startswith(f'{name}.') for setting in sweeps)) or foreseeing()
    tasks = [(index, Job(bag, bundle, replace(base, values={**base.values, **values}), monitors))
             for index, values in enumerate(chosen) for bag in bags]
    found: list[list[Worth]] = [[] for _ in chosen]
    with pool(min(jobs, len(tasks))) as workers:
        running = {workers.submit(run_job, job): index for index, job in tasks}
        for done in tqdm(as_completed(running), 'replaying', len(running), unit=' replays',
                         disable=None):
            found[running[done]].append(done.result())
    return [{**values, **_sum(worths)} for values, worths in zip(chosen, found, strict=True)]


def _sum(worths: list[Worth]) -> dict[str, Any]:
    """Return the combined figures of several bags."""
    decisions = np.array([worth.decisions for worth in worths])
    weights = decisions / decisions.sum()
    leads = [lead for worth in worths for lead in worth.leads]
    return {
        'decisions': int(decisions.sum()),
        **{name: sum(getattr(worth, name) for worth in worths)
           for name in ('diverged', 'hits', 'misses', 'false_alarms', 'switches')},
        'lead_seconds': float(np.median(leads)) if leads else None,
        'alarmed': float(weights @ [worth.alarmed for worth in worths]),
        **{f'source_{source}': float(weights @ [worth.sources[source] for worth in worths])
           for source in worths[0].sources},
        'value': number(weights @ [worth.value for worth in worths]),
        'cost_value': number(weights @ [worth.cost_value for worth in worths]),
    }


def digits(value: float | None, count: int = 3) -> str:
    """Return a number with this many digits; a dash if unknown."""
    return '–' if value is None else f'{value:.{count}g}'


def table(rows: Sequence[dict[str, Any]], swept: Sequence[str],
          ) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a sweep as texts, for a page or a terminal."""
    columns = [*swept, *SWEPT]
    return [name.replace('_', ' ') for name in columns], [
        [digits(row[name], 4) if isinstance(row[name], float | None) else str(row[name])
         for name in columns] for row in rows]


def text_of(rows: Sequence[dict[str, Any]], swept: Sequence[str]) -> str:
    """Return the rows of a sweep as lines for a terminal."""
    head, texts = table(rows, swept)
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    return '\n'.join('  '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                     for row in (head, *texts))
