# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write tables row by row without holding them in memory: Parquet, or CSV."""

from __future__ import annotations

from collections.abc import Mapping
import csv
from pathlib import Path
import tempfile
from types import TracebackType
from typing import Any, Self

from spowl_ros.base.files import check_writable, write_whole

PARQUET = '.parquet'
_GROUP = 1000
"""Number of rows written at a time."""


class Table:
    """
    A table written row by row; the file gets its name when it is complete.

    :param file: Parquet if it has that suffix, else CSV
    :param columns: name of each column and the type of its values; None is allowed too
    :raises SpowlError: no such directory
    """

    def __init__(self, file: Path, columns: Mapping[str, type]) -> None:
        check_writable(file)
        self._file, self._columns = file, columns
        self._folder = tempfile.TemporaryDirectory(prefix='spowl-')
        self._part = Path(self._folder.name) / file.name
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = None

    def __enter__(self) -> Self:
        if self._file.suffix == PARQUET:
            import pyarrow
            from pyarrow import parquet

            kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
                     bool: pyarrow.bool_()}
            self._schema = pyarrow.schema([(name, kinds[kind])
                                           for name, kind in self._columns.items()])
            self._parquet = parquet.ParquetWriter(self._part, self._schema)
        else:
            self._stream = self._part.open('w', newline='', encoding='utf-8')
            self._csv = csv.DictWriter(self._stream, list(self._columns))
            self._csv.writeheader()
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row; missing columns are empty, unknown ones are left out."""
        self._rows.append({name: row.get(name) for name in self._columns})
        if len(self._rows) >= _GROUP:
            self._write()

    def _write(self) -> None:
        if self._parquet is not None:
            import pyarrow

            self._parquet.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
        else:
            self._csv.writerows(self._rows)
        self._rows.clear()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Give the finished file its name; after an error remove it."""
        if kind is None and self._rows:
            self._write()
        if self._parquet is not None:
            self._parquet.close()
        else:
            self._stream.close()
        with self._folder:
            if kind is None:
                write_whole(self._file, self._part.read_bytes())
