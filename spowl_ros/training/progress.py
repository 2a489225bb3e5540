# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The progress of a run: progress.csv and TensorBoard events."""
from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from spowl_ros.base.errors import SpowlError

FILE = 'progress.csv'
STEP = 'decisions'
"""The column that every row has; it grows from row to row."""


class Progress:
    """
    Writes rows of figures in both forms.

    :param resume_at: decisions at which the run resumes; later rows belong to a lost continuation
        and are removed
    """

    def __init__(self, directory: Path, resume_at: int | None = None) -> None:
        self._path = directory / FILE
        self._columns: list[str] = []
        try:
            if resume_at is not None and self._path.exists():
                self._keep_until(resume_at)
            self._events = SummaryWriter(
                str(directory), purge_step=None if resume_at is None else resume_at + 1)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> SpowlError:
        return SpowlError(f'cannot write the progress {self._path}: {error.strerror or error}; '
                          'free some space and continue with --resume')

    def _keep_until(self, decisions: int) -> None:
        """Drop later rows, and an incomplete last row."""
        with self._path.open(newline='') as stream:
            table = csv.DictReader(stream)
            self._columns = list(table.fieldnames or [])
            rows = [row for row in table if None not in row.values() and row[STEP].isdigit()
                    and int(row[STEP]) <= decisions]
        self._rewrite(rows)

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        part = self._path.with_suffix('.part')
        with part.open('w', newline='') as stream:
            table = csv.DictWriter(stream, self._columns, restval='')
            table.writeheader()
            table.writerows(rows)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self._path)

    def write(self, row: dict[str, Any]) -> None:
        """
        Add a row.

        :raises SpowlError: the file cannot be written
        """
        text = {k: f'{v:.6g}' if isinstance(v, float) else v for k, v in row.items()}
        try:
            if set(text) - set(self._columns):  # the first row, or new columns after a resume
                rows = []
                if self._columns:
                    with self._path.open(newline='') as stream:
                        rows = list(csv.DictReader(stream))
                self._columns += [name for name in text if name not in self._columns]
                self._rewrite(rows)
            with self._path.open('a', newline='') as stream:
                csv.DictWriter(stream, self._columns, restval='').writerow(text)
            for name, value in row.items():
                self._events.add_scalar(name, value, row[STEP])
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """
        Write what is still held back.

        :raises SpowlError: the file cannot be written
        """
        try:
            self._events.close()
        except OSError as error:
            raise self._failure(error) from error
