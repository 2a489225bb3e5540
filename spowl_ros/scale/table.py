# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write tables row by row without holding them in memory: Parquet, or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
import csv
from pathlib import Path
from typing import Any

from spowl_ros.base.files import check_writable, whole

PARQUET = '.parquet'
_GROUP = 1000
"""Number of rows written at a time."""

Rows = Sequence[Mapping[str, Any]]


@contextmanager
def writing(file: Path, columns: Mapping[str, type]
            ) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """
    Yield a function that adds a row: missing columns are empty, unknown ones are left out.

    The file gets its name when it is complete; after an error an old one stands.

    :param file: Parquet if it has that suffix, else CSV
    :param columns: name of each column and the type of its values; None is allowed too
    :raises SpowlError: no such directory
    """
    check_writable(file)
    kind = _parquet if file.suffix == PARQUET else _csv
    waiting: list[dict[str, Any]] = []
    with whole(file) as part, kind(part, columns) as write:
        def add(row: Mapping[str, Any]) -> None:
            waiting.append({name: row.get(name) for name in columns})
            if len(waiting) >= _GROUP:
                write(waiting)
                waiting.clear()

        yield add
        if waiting:
            write(waiting)


@contextmanager
def _parquet(file: Path, columns: Mapping[str, type]) -> Iterator[Callable[[Rows], object]]:
    """Yield a function that writes some rows."""
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
             bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        yield lambda rows: writer.write_table(pyarrow.Table.from_pylist(rows, schema))


@contextmanager
def _csv(file: Path, columns: Mapping[str, type]) -> Iterator[Callable[[Rows], object]]:
    """Yield a function that writes some rows."""
    with file.open('w', newline='', encoding='utf-8') as stream:
        writer = csv.DictWriter(stream, list(columns))
        writer.writeheader()
        yield writer.writerows
