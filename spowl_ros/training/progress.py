# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The progress of a run: progress.csv, TensorBoard events, and where its time goes."""
from __future__ import annotations

from collections.abc import Iterator
import contextlib
import csv
from pathlib import Path
import time
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import write_csv

FILE = 'progress.csv'
STEP = 'decisions'
"""The column that every row has; it grows from row to row."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of a table; the last row of a run that was killed may be torn."""
    with path.open(newline='') as stream:
        return [row for row in csv.DictReader(stream)
                if None not in row and None not in row.values()
                and row.get(STEP, '').isdigit()]


@contextlib.contextmanager
def resumable(what: str) -> Iterator[None]:
    """
    Say in an error of the block that the run can go on.

    :param what: is written in it
    :raises SpowlError: it cannot be written
    """
    try:
        yield
    except OSError as error:
        raise SpowlError(f'cannot write {what}: {error.strerror or error}; free some space and '
                         'continue with --resume') from error
    except SpowlError as error:
        raise SpowlError(f'{error}; then continue with --resume') from error


class Progress:
    """
    Writes rows of figures in both forms.

    :param decisions: at which the run goes on; later rows belong to a lost continuation and are
        removed
    """

    def __init__(self, directory: Path, decisions: int) -> None:
        self._path = directory / FILE
        self._what = f'the progress {self._path}'
        self._columns: list[str] = []
        with resumable(self._what):
            rows = read_rows(self._path) if self._path.exists() else []
            if rows:
                self._columns = list(rows[0])
                write_csv(self._path, [row for row in rows if int(row[STEP]) <= decisions],
                          self._columns)
            self._events = SummaryWriter(str(directory), purge_step=decisions + 1)

    def write(self, row: dict[str, Any]) -> None:
        """
        Add a row.

        :raises SpowlError: the file cannot be written
        """
        text = {k: f'{v:.6g}' if isinstance(v, float) else v for k, v in row.items()}
        with resumable(self._what):
            if set(text) - set(self._columns):  # the first row, or new columns after a resume
                rows = read_rows(self._path) if self._columns else []
                self._columns += [name for name in text if name not in self._columns]
                write_csv(self._path, rows, self._columns)
            with self._path.open('a', newline='') as stream:
                csv.DictWriter(stream, self._columns, restval='').writerow(text)
            for name, value in row.items():
                self._events.add_scalar(name, value, row[STEP])

    def close(self) -> None:
        """
        Write what is still held back.

        :raises SpowlError: the file cannot be written
        """
        with resumable(self._what):
            self._events.close()


class Stopwatch:
    """Seconds spent by named phase since the last reading."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Charge the time since the last lap to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def read(self) -> dict[str, float]:
        """Return the seconds so far and reset."""
        seconds, self.seconds = self.seconds, {}
        return seconds
