# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read what is left of a damaged or unfinished storage file, up to the damage."""

from __future__ import annotations

from io import BytesIO
import sqlite3
import struct
import sys
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
import zlib

from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor
else:
    from backports.zstd import ZstdDecompressor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MCAP_MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
LARGEST_RECORD = 2**32  # bytes; a greater length can only be damage
DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    '': lambda data: data,
    'lz4': lambda data: LZ4FrameDecompressor().decompress(data),
    'zstd': lambda data: ZstdDecompressor().decompress(data),
}


Schemas = dict[int, tuple[str, str]]
"""Number of a schema to its name and definition."""
Channels = dict[int, tuple[str, int]]
"""Number of a channel to its topic and schema."""


class StoredMessage(NamedTuple):
    """One message as it lies in a storage file."""

    topic: str
    type: str
    definition: str
    """Definition of the type as stored, '' where the file has none."""
    time_ns: int
    """When it was received, nanoseconds since the epoch."""
    data: bytes


class DamageError(Exception):
    """Nothing after this point of the file can be read; says where and why."""


def read_mcap(path: Path) -> Iterator[StoredMessage]:
    """
    Read an MCAP file from its beginning, without its index and footer.

    Messages come chunk by chunk, within a chunk in the order of time.

    :raises DamageError: after the last readable message, where the file is not whole
    """
    schemas: Schemas = {}
    channels: Channels = {}
    with path.open('rb') as file:
        file.seek(len(MCAP_MAGIC))
        for operation, content in _records(file):
            if operation == CHUNK:
                yield from _read_chunk(content, schemas, channels, file.tell())
            elif operation == MESSAGE:
                yield _message(content, schemas, channels)
            elif operation in (DATA_END, FOOTER):
                return
            else:
                _learn(operation, content, schemas, channels)
    raise DamageError('it was never closed')


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """
    Yield the operation code and content of each record.

    A chunk that is cut off is yielded as far as it goes before the damage is raised.

    :raises DamageError: a record is cut off or impossible
    """
    while head := file.read(9):
        position = file.tell() - len(head)
        length = int.from_bytes(head[1:], 'little')
        if len(head) < 9:
            raise DamageError(f'a record is cut off at byte {position}')
        if length > LARGEST_RECORD:
            raise DamageError(f'no record can be {length} bytes long, as byte {position} says')
        content = file.read(length)
        if len(content) == length:
            yield head[0], content
        else:
            if head[0] == CHUNK:
                yield CHUNK, content
            raise DamageError(f'a record is cut off at byte {position}')


def _read_chunk(content: bytes, schemas: Schemas, channels: Channels,
                end: int) -> Iterator[StoredMessage]:
    """Yield the messages of a chunk, of which the end or the checksum may be missing."""
    messages, damage = [], None
    try:
        size, checksum, length = struct.unpack_from('<QII', content, 16)
        compression = content[32:32 + length].decode()
        records = DECOMPRESSORS[compression](content[40 + length:])
        if len(records) == size and checksum and zlib.crc32(records) != checksum:
            damage = DamageError(f'the chunk before byte {end} fails its checksum')
        else:
            for operation, inner in _records(BytesIO(records)):
                if operation == MESSAGE:
                    messages.append(_message(inner, schemas, channels))
                else:
                    _learn(operation, inner, schemas, channels)
    except DamageError:
        damage = DamageError(f'the chunk before byte {end} is cut off')
    except Exception as error:  # whatever the decompressors make of damaged bytes
        damage = DamageError(f'the chunk before byte {end} cannot be decoded ({error})')
    yield from sorted(messages, key=lambda message: message.time_ns)
    if damage:
        raise damage


def _learn(operation: int, content: bytes, schemas: Schemas, channels: Channels) -> None:
    """Note a schema (name, definition) or a channel (topic, schema number)."""
    if operation == SCHEMA:
        name, rest = _string(content[2:])
        _, rest = _string(rest)
        schemas[int.from_bytes(content[:2], 'little')] = name, _string(rest)[0]
    elif operation == CHANNEL:
        number, schema = struct.unpack_from('<HH', content)
        channels[number] = _string(content[4:])[0], schema


def _string(content: bytes) -> tuple[str, bytes]:
    """Return the string that stands at the beginning, and what follows it."""
    end = 4 + int.from_bytes(content[:4], 'little')
    return content[4:end].decode(), content[end:]


def _message(content: bytes, schemas: Schemas, channels: Channels) -> StoredMessage:
    number, _, time_ns, _ = struct.unpack_from('<HIQQ', content)
    if number not in channels:
        raise DamageError(f'a message is of channel {number}, which no record introduced')
    topic, schema = channels[number]
    name, definition = schemas.get(schema, ('', ''))
    return StoredMessage(topic, name, definition, time_ns, content[22:])


def read_sqlite3(path: Path) -> Iterator[StoredMessage]:
    """
    Read a sqlite3 storage file in the order of writing, without its index.

    :raises DamageError: after the last readable message, where the file is not whole
    """
    connection = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    try:
        # Without this SQLite refuses a file that is shorter than its header says.
        connection.execute('PRAGMA writable_schema = ON')
        topics = {number: (name, message_type) for number, name, message_type
                  in connection.execute('SELECT id, name, type FROM topics')}
        for topic, time_ns, data in connection.execute(
                'SELECT topic_id, timestamp, data FROM messages ORDER BY id'):
            name, message_type = topics[topic]
            yield StoredMessage(name, message_type, '', time_ns, data)
    except (sqlite3.Error, KeyError) as error:
        raise DamageError(f'SQLite says: {error}') from None
    finally:
        connection.close()


def settle_sqlite3(path: Path) -> None:
    """
    Finish what a killed recorder left in the files beside the database.

    Half a transaction is rolled back, a write-ahead log is taken in; SQLite does both itself when
    the database is opened for writing.

    :raises DamageError: the database or its directory cannot be written
    """
    beside = [path.with_name(path.name + suffix) for suffix in ('-journal', '-wal')]
    if not any(file.is_file() and file.stat().st_size for file in beside):
        return
    connection = sqlite3.connect(path)
    try:
        connection.execute('SELECT count(*) FROM sqlite_master').fetchone()
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    except sqlite3.Error as error:
        raise DamageError(f'its journal cannot be taken in: {error}; copy the bag to where it '
                          'can be written') from None
    finally:
        connection.close()
