# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files made to do harm are refused, or read up to the harm, in little time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import resource
import sqlite3
import struct
import time

from backports import zstd
import lz4.frame
import pytest

from spowl_ros.bags import storage
from spowl_ros.bags.context import TOPIC, TYPE, read_context
from spowl_ros.bags.mcap_file import MAGIC
from spowl_ros.bags.reader import Bag
from spowl_ros.bags.types import installed_types
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError

SECONDS = 5.0
MEGABYTES = 600


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Fail a test that takes long or much memory."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert time.process_time() - start < SECONDS
    assert (after - before) / 1024 < MEGABYTES


def read(path: Path) -> tuple[int, list[str]]:
    """Return how many messages a bag has, and what is said of damage."""
    with Bag(path) as bag:
        return sum(1 for _ in bag.messages()), bag.damage


@pytest.mark.parametrize(('statement', 'said'), [
    ('CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
     "SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00' AS data FROM n", 'plain table'),
    ('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, '
     'data BLOB AS (zeroblob(100000000)))', 'plain table'),
    ('CREATE VIRTUAL TABLE messages USING fts5(topic_id, timestamp, data)', 'plain table')])
def test_what_is_computed_is_not_read(samples, statement: str, said: str) -> None:
    """A view without end, a computed column and a virtual table hold no messages."""
    path = samples.write(10, close=False, settings=Settings(storage='sqlite3'))
    with sqlite3.connect(path / 'bag_0.db3') as database:
        database.execute('DROP TABLE messages')
        database.execute(statement)
    count, damage = read(path)
    assert count == 0
    assert said in damage[0]


@pytest.mark.parametrize('change', [
    "timestamp = 'noon'", "data = 'text'", 'data = NULL', 'topic_id = 99', "topic_id = 'one'"])
def test_text_where_numbers_belong_is_damage(samples, change: str) -> None:
    """SQLite stores any type in any column; what is not of its type ends the reading."""
    path = samples.write(100, close=False, settings=Settings(storage='sqlite3'))
    with sqlite3.connect(path / 'bag_0.db3') as database:
        # A column of integers may only be given text by one that is none.
        database.execute('ALTER TABLE messages RENAME TO plain')
        database.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, '
                         'data)')
        database.execute('INSERT INTO messages SELECT * FROM plain')
        database.execute(f'UPDATE messages SET {change} WHERE id = 41')
    count, damage = read(path)
    assert count == 40
    assert 'read 40 messages' in damage[0]


def chunk(name: str, size: int, data: bytes) -> bytes:
    """Return an MCAP file of one chunk."""
    content = (struct.pack('<QQQII', 0, 0, size, 0, len(name)) + name.encode()
               + struct.pack('<Q', len(data)) + data)
    return MAGIC + b'\x06' + struct.pack('<Q', len(content)) + content


@pytest.mark.parametrize('compress', [zstd.compress, lz4.frame.compress], ids=['zstd', 'lz4'])
@pytest.mark.parametrize('said', [2**40, 2**20, 0])
def test_chunks_that_grow_without_end(tmp_path: Path, compress, said: int) -> None:
    """A chunk grows to what it says at most, and that is bounded."""
    path = tmp_path / 'bomb.mcap'
    name = 'zstd' if compress is zstd.compress else 'lz4'
    path.write_bytes(chunk(name, said, compress(bytes(2**25))))
    count, damage = read(path)
    assert count == 0
    assert 'grow to' in damage[0] or 'size it says' in damage[0]


def test_many_chunks_that_grow(tmp_path: Path) -> None:
    """A small file whose chunks all grow greatly is read no further than its budget."""
    path = tmp_path / 'bomb.mcap'
    records = b'\x80' + struct.pack('<Q', 2**24 - 9) + bytes(2**24 - 9)
    path.write_bytes(MAGIC + 1000 * chunk('zstd', 2**24, zstd.compress(records))[len(MAGIC):])
    assert 'grow to' in read(path)[1][0]


def test_a_whole_file_that_grows_is_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking ends long before the disk is full."""
    monkeypatch.setattr(storage, 'LEAST_BUDGET', 2**22)
    path = tmp_path / 'bomb.mcap.zstd'
    path.write_bytes(zstd.compress(bytes(2**25)))
    with pytest.raises(SpowlError, match='a hundred times its size'):
        Bag(path)


def test_a_message_that_grows_is_damage(samples) -> None:
    """A message compressed by itself may not grow without end either."""
    path = samples.write(100, close=False, settings=Settings(storage='sqlite3'))
    with sqlite3.connect(path / 'bag_0.db3') as database:
        database.execute('UPDATE messages SET data = ? WHERE id = 41',
                         (zstd.compress(bytes(storage.LARGEST + 1)),))
    count, damage = read(path)
    assert count == 40
    assert 'grows to more than' in damage[0]


@pytest.mark.parametrize('content', [
    'a: &a [x, x]\n' + ''.join(f'{i}: &{i} {{<<: [*{i - 1}, *{i - 1}], k{i}: 1}}\n'
                               for i in range(2, 40)).replace('*1', '*a'),
    '[' * 100_000, 'rosbag2_bagfile_information: {message_count: ' + '9' * 5000 + '}',
    'rosbag2_bagfile_information: {custom_data: [1], relative_file_paths: {a: b}}',
    'rosbag2_bagfile_information: {topics_with_message_count: [{message_count: many}]}',
    '!!python/object/apply:os.system [true]'])
def test_metadata_that_are_a_trap_change_nothing(samples, content: str) -> None:
    """YAML that grows, nests or lies is left out; the storage files say all that is needed."""
    path = samples.write(100)
    (path / 'metadata.yaml').write_text(content)
    assert read(path) == (100, [])


@pytest.mark.parametrize('content', [
    '[1]', '5', '{', '{"bundle": 1}', '{"node": "a", "parameters": "text"}', '[' * 100_000])
def test_a_context_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    """What the recorder is to have said is checked like all else that comes from outside."""
    writer = BagWriter(tmp_path / 'bag')
    store = installed_types()
    writer.write(writer.add_topic(TOPIC, TYPE), 1,
                 bytes(store.serialize_cdr(store.types[TYPE](content), TYPE)))
    writer.close()
    with Bag(tmp_path / 'bag') as bag, pytest.raises(SpowlError, match='was not written by'):
        read_context(bag)


@pytest.mark.parametrize('storage_name', ['mcap', 'sqlite3'])
def test_any_character_may_be_in_a_path(tmp_path: Path, samples, storage_name: str) -> None:
    """Paths are no URIs: what is written under any name is read under it, and stands there."""
    name = 'a#b?c%41 d&mode=rw é'
    path = samples.write(50, name=name, settings=Settings(storage=storage_name))
    assert sorted(file.name for file in tmp_path.iterdir()) == [name]
    assert [file.stem for file in path.iterdir() if file.suffix != '.yaml'] == [f'{name}_0']
    assert read(path) == (50, [])


@pytest.mark.parametrize('storage_name', ['mcap', 'sqlite3'])
def test_a_writer_knows_that_its_file_is_gone(samples, storage_name: str, tmp_path: Path) -> None:
    """Whoever removes a bag while it is recorded stops the recording with a line."""
    bag = BagWriter(tmp_path / 'gone', Settings(storage=storage_name))
    topic = bag.add_topic('/a', samples.TYPE)
    bag.write(topic, 1, samples.encoded(1))
    next(file for file in bag.path.iterdir() if file.suffix in ('.mcap', '.db3')).unlink()
    with pytest.raises(SpowlError, match='was removed while it was written'):
        bag.flush()
