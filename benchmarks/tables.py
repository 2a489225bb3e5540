# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Shared code of the tables of evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

from spowl_ros.base.files import write_json

INTERVALS = ('return', 'return_low', 'return_high', 'cost', 'cost_low', 'cost_high',
             'cost_free_fraction')
"""Columns of an evaluation: means, the ends of their intervals, and episodes free of cost."""

EPISODES = {'seeds': 'seed', 'returns': 'return', 'costs': 'cost', 'steps': 'steps',
            'goals': 'goals', 'action_change': 'action_change'}
"""Lists of an evaluation with an entry for each episode, and their columns."""


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


class Growing:
    """
    A table whose rows are measured one by one; rows measured earlier stay.

    :param order: first cells of all rows, in their order; others are dropped
    """

    def __init__(self, path: Path, columns: Sequence[str], order: Sequence[str]) -> None:
        self._path, self._columns, self._order = path, columns, order
        self._rows: dict[str, Mapping[str, Any]] = {}
        if path.exists():
            with path.open(newline='') as stream:
                self._rows = {row[columns[0]]: row for row in csv.DictReader(stream)}

    def lacks(self, name: str, count: int) -> bool:
        """Whether a row is missing, or has fewer than `count` in its second column."""
        return name not in self._rows or int(self._rows[name][self._columns[1]]) < count

    def put(self, row: Mapping[str, Any]) -> None:
        """Add or replace a row, and write all."""
        self._rows[row[self._columns[0]]] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write(self._path, self._columns,
              [self._rows[name] for name in self._order if name in self._rows])


def write_figures(file: Path, figures: Mapping[str, Any]) -> None:
    """
    Write an evaluation: its summary as JSON, its episodes as a compressed table beside it.

    :param file: of the JSON; the table has the suffix .csv.gz instead
    :param figures: `Evaluation.to_dict`
    """
    episodes = {key: column for key, column in EPISODES.items() if key in figures}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(episodes.values())
    writer.writerows(zip(*(figures[key] for key in episodes), strict=True))
    file.with_suffix('.csv.gz').write_bytes(gzip.compress(stream.getvalue().encode(), mtime=0))
    write_json(file, {key: value for key, value in figures.items() if key not in episodes})


def read_figures(file: Path) -> dict[str, Any]:
    """Return what `write_figures` wrote."""
    figures: dict[str, Any] = json.loads(file.read_text())
    with gzip.open(file.with_suffix('.csv.gz'), 'rt', newline='') as stream:
        head, *rows = csv.reader(stream)
    keys = {column: key for key, column in EPISODES.items()}
    return figures | {keys[column]: [json.loads(value) for value in values]
                      for column, values in zip(head, zip(*rows, strict=True), strict=True)}


def read_all(output: Path, columns: Sequence[str]
             ) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Yield every evaluation below a folder: its file, its figures, and its row with intervals."""
    for file in output.glob('*/*.json'):
        figures = read_figures(file)
        yield file, figures, ({name: figures[name] for name in columns if name in figures}
                              | intervals(figures))
