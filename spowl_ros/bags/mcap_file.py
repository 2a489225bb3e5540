# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Read MCAP files from the beginning (mcap.dev/spec), without trusting index or footer.

The statistics in the footer only serve to compare with what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
import struct
import zlib

from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

from spowl_ros.bags.storage import (
    LARGEST,
    Block,
    DamageError,
    StorageFile,
    StoredMessage,
    StoredTopic,
    budget,
    zstd,
)

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x02, 0x03, 0x04, 0x05, 0x06
STATISTICS, DATA_END, PRIVATE = 0x0B, 0x0F, 0x80
RUN = 2**20  # bytes of one block of messages outside chunks
DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    '': lambda data, most: data[:most],
    'lz4': lambda data, most: LZ4FrameDecompressor().decompress(data, max_length=most),
    'zstd': lambda data, most: zstd.ZstdDecompressor().decompress(data, max_length=most),
}

Found = tuple[int, StoredTopic, bytes]
"""Time, topic and content of a message."""


def open_mcap(path: Path) -> StorageFile:
    """Read a file once to find its topics, its blocks and its damage."""
    scan = _Scan(path)
    try:
        scan.run()
    except DamageError as damage:
        scan.file.damage = str(damage)
    except (struct.error, UnicodeDecodeError) as error:
        scan.file.damage = f'a record cannot be decoded ({error})'
    return scan.file


class _Scan:
    """One pass over a file."""

    def __init__(self, path: Path) -> None:
        self.file = StorageFile()
        self._path = path
        self._schemas: dict[int, tuple[str, str]] = {}
        """Schema number to the schema's name and definition."""
        self._left = budget(path.stat().st_size)
        """Bytes that the remaining chunks may unpack to."""

    def run(self) -> None:
        """
        Note all topics and blocks.

        :raises DamageError: after the last readable message, where the file is not whole
        """
        run: tuple[int, int] | None = None  # begin and end of messages outside of chunks
        ended = False
        try:
            for code, begin, end in _records(self._path):
                if not ended and code in (SCHEMA, CHANNEL, MESSAGE):
                    run = run[0] if run else begin, end
                    if end - run[0] < RUN:
                        continue
                whole_run, run = run, None
                if whole_run:
                    self._add(*whole_run, chunked=False)
                if code == CHUNK:
                    self._add(begin, end, chunked=True)
                elif code == STATISTICS:
                    self._compare(self._bytes(begin + 9, end))
                elif code == FOOTER and self._bytes(end, end + len(MAGIC)) == MAGIC:
                    return
                ended |= code == DATA_END
        finally:
            if run:
                self._add(*run, chunked=False)
        raise DamageError('it was never closed')

    def _add(self, begin: int, end: int, chunked: bool) -> None:
        """
        Add the block between two bytes of the file.

        :raises DamageError: it is not whole; the readable part has been added
        """
        first, count = None, 0
        try:
            for time_ns, topic, _ in self._messages(begin, end, chunked, learn=True):
                topic.messages += 1
                count += 1
                first = time_ns if first is None else min(first, time_ns)
        finally:
            if first is not None:
                self.file.blocks.append(
                    Block(first, partial(self._read, begin, end, chunked, count)))

    def _read(self, begin: int, end: int, chunked: bool, count: int,
              topics: Collection[str] | None) -> Iterator[StoredMessage]:
        """Yield the first `count` messages of a block in the order of their time."""
        found, damage = [], None
        try:
            for time_ns, topic, content in islice(self._messages(begin, end, chunked), count):
                if topics is None or topic.name in topics:
                    found.append(StoredMessage(
                        topic.name, topic.type, topic.definition, time_ns, content))
        except DamageError as error:
            damage = error
        yield from sorted(found, key=lambda message: message.time_ns)
        if damage:
            raise damage

    def _messages(self, begin: int, end: int, chunked: bool, learn: bool = False,
                  ) -> Iterator[Found]:
        """
        Yield the messages between two bytes of the file, in their order there.

        :param learn: also register schemas and channels
        """
        content = self._bytes(begin, end)
        records, damage = self._inflated(content, end, learn) if chunked else (content, None)
        at = 0
        while at + 9 <= len(records):
            code, after = records[at], at + 9 + int.from_bytes(records[at + 1:at + 9], 'little')
            if after > len(records):
                break
            if code == MESSAGE:
                if after - at < 31:
                    raise DamageError(f'a message before byte {end} is too short')
                number, _, time_ns = struct.unpack_from('<HIQ', records, at + 9)
                yield time_ns, self.file.topic(number), records[at + 31:after]
            elif code not in (SCHEMA, CHANNEL) and code < PRIVATE:
                raise DamageError(f'a record before byte {end} is of a kind that no chunk may '
                                  'hold')
            elif learn:
                self._learn(code, records[at + 9:after])
            at = after
        if damage:
            raise damage
        if at < len(records):
            raise DamageError(f'the record before byte {end} is cut off')

    def _bytes(self, begin: int, end: int) -> bytes:
        """Return the bytes between two positions in the file."""
        with self._path.open('rb') as stream:
            stream.seek(begin)
            return stream.read(end - begin)

    def _inflated(self, content: bytes, end: int,
                  spend: bool) -> tuple[bytes, DamageError | None]:
        """
        Return a chunk's records as far as they are whole, and what is wrong with the chunk.

        :param content: the chunk's record
        :param spend: subtract its size from the bytes that the file's chunks may unpack to
        """
        try:
            size, checksum, length = struct.unpack_from('<QII', content, 9 + 16)
            name = content[41:41 + length].decode()
            stored, = struct.unpack_from('<Q', content, 41 + length)
            data = content[49 + length:49 + length + stored]
            if spend:
                self._left -= size
            if self._left < 0 or size > LARGEST:
                return b'', DamageError(f'the chunk before byte {end} would grow to {size} bytes')
            records = DECOMPRESSORS[name](data, size + 1)
        except Exception as error:  # decompressors raise many kinds for damaged bytes
            return b'', DamageError(
                f'the chunk before byte {end} cannot be decoded ({error or type(error)})')
        if len(data) < stored or len(content) < 9 + int.from_bytes(content[1:9], 'little'):
            return records, DamageError(f'the chunk before byte {end} is cut off')
        if len(records) != size:
            return b'', DamageError(f'the chunk before byte {end} does not have the size it says')
        if checksum and zlib.crc32(records) != checksum:
            return b'', DamageError(f'the chunk before byte {end} fails its checksum')
        return records, None

    def _learn(self, code: int, content: bytes) -> None:
        """Register a schema or a channel."""
        if code == SCHEMA:
            name, rest = _string(content[2:])
            _, rest = _string(rest)
            self._schemas[int.from_bytes(content[:2], 'little')] = name, _string(rest)[0]
        elif code == CHANNEL:
            number, schema = struct.unpack_from('<HH', content)
            topic, rest = _string(content[4:])
            _, rest = _string(rest)
            name, definition = self._schemas.get(schema, ('', ''))
            known = self.file.topics.setdefault(
                number, StoredTopic(topic, name, definition,
                                    _map(rest).get('offered_qos_profiles', '')))
            if (known.name, known.type) != (topic, name):
                raise DamageError(f'channel {number} is of {known.name} and of {topic}')

    def _compare(self, content: bytes) -> None:
        """
        Compare what was found with the statistics.

        :raises DamageError: they differ
        """
        said, = struct.unpack_from('<Q', content)
        counts = dict(struct.iter_unpack('<HQ', content[46:46 + 10 * ((len(content) - 46) // 10)]))
        for number, topic in self.file.topics.items():
            if counts.get(number, topic.messages) != topic.messages:
                raise DamageError(f'its statistics are wrong: it holds {topic.messages} instead '
                                  f'of {counts[number]} messages on {topic.name}')
        if said != self.file.messages:
            raise DamageError(f'its statistics are wrong: it holds {self.file.messages} instead '
                              f'of {said} messages')


def _records(path: Path) -> Iterator[tuple[int, int, int]]:
    """
    Yield the code of each record, and the positions of its first byte and behind its last.

    A chunk that is cut off is yielded before the damage is raised.

    :raises DamageError: a record is cut off or impossible
    """
    with path.open('rb') as stream:
        size, begin = stream.seek(0, 2), stream.seek(len(MAGIC))
        while head := stream.read(9):
            length = int.from_bytes(head[1:], 'little')
            end = begin + 9 + length
            if end <= size and length > LARGEST:
                raise DamageError(f'no record can be {length} bytes long, as byte {begin} says')
            if end <= size or (head[0] == CHUNK and len(head) == 9):
                yield head[0], begin, min(end, size)
            if end > size:
                raise DamageError(f'a record is cut off at byte {begin}')
            begin = stream.seek(end)


def _string(content: bytes) -> tuple[str, bytes]:
    """Return the string at the beginning, and the bytes after it."""
    end = 4 + int.from_bytes(content[:4], 'little')
    return content[4:end].decode(), content[end:]


def _map(content: bytes) -> dict[str, str]:
    """Return the map of strings at the beginning."""
    found, rest = {}, content[4:4 + int.from_bytes(content[:4], 'little')]
    while rest:
        key, rest = _string(rest)
        found[key], rest = _string(rest)
    return found
