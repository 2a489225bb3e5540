# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tables of evaluations have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import csv
from pathlib import Path
from typing import Any

INTERVALS = ('return', 'return_low', 'return_high', 'cost', 'cost_low', 'cost_high',
             'cost_free_fraction')
"""Columns of an evaluation: means, the ends of their intervals, and episodes free of cost."""


def intervals(figures: Mapping[str, Any], digits: int = 3) -> dict[str, float]:
    """
    Return the values of the columns `INTERVALS`.

    :param figures: `Evaluation.to_dict`, perhaps read from its file
    """
    row = {'cost_free_fraction': round(figures['cost_free_fraction'], 3)}
    for name in ('return', 'cost'):
        interval = figures[name]
        row |= {name: round(interval['mean'], digits),
                f'{name}_low': round(interval['low'], digits),
                f'{name}_high': round(interval['high'], digits)}
    return row


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table, one line for its columns and one for each row."""
    with path.open('w', newline='') as stream:
        writer = csv.DictWriter(stream, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
