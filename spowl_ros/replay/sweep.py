# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay bags with many settings, to compare thresholds."""

from __future__ import annotations

from dataclasses import replace
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from spowl_ros.base.children import pool
from spowl_ros.base.statistics import mean, number
from spowl_ros.control import bundle as bundles
from spowl_ros.replay.alarms import foreseeing, judge_alarms
from spowl_ros.replay.measures import driving, source_fraction, switches
from spowl_ros.replay.replay import Changes, replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWEPT = ('decisions', 'hits', 'misses', 'false_alarms', 'lead_seconds', 'alarmed', 'switches')
"""The figures of each row of a sweep, beside its settings."""


Worth = tuple[dict[str, int], NDArray[np.float64], dict[str, float]]


def worth(bag: Path, bundle: Path, changes: Changes, monitors: tuple[str, ...]) -> Worth:
    """
    Replay one bag with one combination of settings.

    :param monitors: those whose alarms count
    :return: decisions and what else is summed over bags; seconds from the first warning to each
        cost, shape (hits,); means over the decisions, of predictions for the action that would
        have been executed
    """
    loaded = bundles.load(bundle)
    found = replay(bag, loaded, changes)
    trace = driving(found)
    alarms = judge_alarms(trace, monitors)
    counts = {'decisions': len(trace), 'diverged': len(found.differences), 'hits': alarms.hits,
              'misses': alarms.misses, 'false_alarms': alarms.false_alarms,
              'switches': sum(switches(trace).values())}
    sources = {f'source_{name}': share for name, share in source_fraction(trace).items()}
    means = {'alarmed': alarms.alarmed, **sources, 'value': mean(trace.executed('value')),
             'cost_value': mean(trace.executed('cost_value'))}
    return counts, alarms.leads, means


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
    chosen = [dict(zip(sweeps, values, strict=True))
              for values in itertools.product(*sweeps.values())]
    monitors = tuple(name for name in foreseeing() if any(
        setting.startswith(f'{name}.') for setting in sweeps)) or foreseeing()
    changes = [replace(base, values={**base.values, **values})
               for values in chosen for _ in bags]
    with pool(min(jobs, len(changes))) as workers:
        worths = iter(list(tqdm(
            workers.map(worth, itertools.cycle(bags), itertools.repeat(bundle), changes,
                        itertools.repeat(monitors)),
            'replaying', len(changes), unit=' replays', disable=None)))
    return [{**values, **_sum([next(worths) for _ in bags])} for values in chosen]


def _sum(worths: list[Worth]) -> dict[str, Any]:
    """Return the combined figures of several bags."""
    all_counts, all_leads, all_means = zip(*worths, strict=True)
    decisions = np.array([counts['decisions'] for counts in all_counts])
    weights = decisions / decisions.sum()
    leads = np.concatenate(all_leads)
    return {
        **{name: sum(counts[name] for counts in all_counts) for name in all_counts[0]},
        'lead_seconds': float(np.median(leads)) if leads.size else None,
        **{name: number(weights @ [means[name] for means in all_means]) for name in all_means[0]},
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
