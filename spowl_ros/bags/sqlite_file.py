# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read sqlite3 storage files in the order of writing, without their index."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
import sqlite3
from typing import Any

from spowl_ros.bags.storage import (
    LARGEST,
    Block,
    DamageError,
    StorageFile,
    StoredMessage,
    StoredTopic,
)
from spowl_ros.base.files import absolute

MAGIC = b'SQLite format 3\0'


def open_sqlite(path: Path) -> StorageFile:
    """Read a file once to find its topics and its damage."""
    file = StorageFile()
    first = last = None
    order = 'rowid'
    try:
        _settle(path)
        with closing(_connect(path)) as database:
            _expect_tables(database)
            _read_topics(database, file)
            room = path.stat().st_size
            for number, time_ns, length in _rows(
                    database, 'SELECT topic_id, timestamp, length(data) FROM messages '
                    'ORDER BY rowid', (int, int, int)):
                topic = file.topic(number)
                room -= length + 1  # a row takes more than its data
                if room < 0:
                    raise DamageError('its messages claim more bytes than the file has')
                topic.messages += 1
                if last is not None and time_ns < last:
                    order = '+timestamp, rowid'
                first = time_ns if first is None else min(first, time_ns)
                last = time_ns
    except DamageError as damage:
        file.damage, order = str(damage), 'rowid'  # what comes after it would be sorted too
    if first is not None:
        file.blocks = [Block(first, partial(_read, path, file, order))]
    return file


def _read(path: Path, file: StorageFile, order: str, topics: Collection[str] | None,
          ) -> Iterator[StoredMessage]:
    """Yield the messages of some topics, or of all, up to the last readable one."""
    wanted = [number for number, topic in file.topics.items()
              if topics is None or topic.name in topics]
    with closing(_connect(path)) as database:
        for number, time_ns, data in _rows(
                database, 'SELECT topic_id, timestamp, data FROM messages '
                f'WHERE +topic_id IN ({", ".join(map(str, wanted))}) ORDER BY {order} '
                f'LIMIT {file.messages}', (int, int, bytes)):
            topic = file.topic(number)
            yield StoredMessage(topic.name, topic.type, topic.definition, time_ns, data)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file for reading; its path may have any characters."""
    database = sqlite3.connect(f'{absolute(path).as_uri()}?mode=ro', uri=True)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    # Without this SQLite refuses a file that is shorter than its header says.
    database.execute('PRAGMA writable_schema = ON')
    database.execute('PRAGMA trusted_schema = OFF')
    return database


def _rows(database: sqlite3.Connection, query: str, types: tuple[type, ...],
          ) -> Iterator[tuple[Any, ...]]:
    """
    Yield the rows of a query.

    :raises DamageError: the database is damaged, or a value is not of its type
    """
    try:
        for row in database.execute(query):
            for value, kind in zip(row, types, strict=True):
                if type(value) is not kind:
                    raise DamageError(f'it has {str(value)[:40]!r} where {kind.__name__} belongs')
            yield row
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise DamageError(f'SQLite says: {error}') from None


def _expect_tables(database: sqlite3.Connection) -> None:
    """
    Check that the tables and columns to read are stored, not computed.

    :raises DamageError: a view, a virtual table, or a column that is computed
    """
    for name in ('topics', 'messages'):
        found = list(_rows(database, 'SELECT type, sql FROM sqlite_master '
                           f"WHERE name = '{name}'", (str, str)))
        hidden = [row for row in _rows(
            database, f"SELECT hidden FROM pragma_table_xinfo('{name}')", (int,)) if row[0]]
        if (len(found) != 1 or found[0][0] != 'table' or hidden
                or found[0][1].lstrip().upper().startswith('CREATE VIRTUAL')):
            raise DamageError(f"'{name}' is not one plain table")


def _read_topics(database: sqlite3.Connection, file: StorageFile) -> None:
    """Collect the topics, with their definitions if the file has them."""
    definitions: dict[str, str] = {}
    with suppress(DamageError):  # older versions of the format have none
        definitions = dict(_rows(database, 'SELECT topic_type, encoded_message_definition '
                                 'FROM message_definitions', (str, str)))
    profiles: dict[int, str] = {}
    with suppress(DamageError):
        profiles = dict(_rows(database, 'SELECT id, offered_qos_profiles FROM topics', (int, str)))
    for number, name, kind in _rows(database, 'SELECT id, name, type FROM topics',
                                    (int, str, str)):
        file.topics[number] = StoredTopic(name, kind, definitions.get(kind, ''),
                                    profiles.get(number, ''))


def _settle(path: Path) -> None:
    """
    Recover from the files that a killed recorder left beside the database.

    This rolls back half a transaction or applies a write-ahead log. SQLite does both itself when
    it opens the database for writing.

    :raises DamageError: the database or its directory cannot be written
    """
    beside = [path.with_name(path.name + suffix) for suffix in ('-journal', '-wal')]
    if not any(file.is_file() and file.stat().st_size for file in beside):
        return
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute('SELECT count(*) FROM sqlite_master').fetchone()
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    except sqlite3.Error as error:
        raise DamageError(f'its journal cannot be merged: {error}; copy the bag to a '
                          'directory that you can write to') from None
