# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read bags of any ROS 2 recorder as a stream, whole or damaged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
import hashlib
import heapq
from pathlib import Path
import re
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_idl, get_types_from_msg

from spowl_ros.bags import mcap_file, sqlite_file
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
from spowl_ros.bags.types import installed_types
from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
METADATA = 'metadata.yaml'
STORAGE = re.compile(r'\.(mcap|db3)(\.zstd)?$')
ROS1_MAGIC = b'#ROSBAG V2.0'
PADDINGS = (4, 8)  # bytes
STORAGES: dict[bytes, Callable[[Path], StorageFile]] = {
    mcap_file.MAGIC: mcap_file.open_mcap, sqlite_file.MAGIC: sqlite_file.open_sqlite}
PIECE = 2**20  # bytes unpacked at a time
DIGEST = 'sha256 of '
"""Prefix of the metadata keys that hold the digest of a file without checksums."""


class _Metadata(NamedTuple):
    """
    The used part of ``metadata.yaml``.

    The storage files hold all that is needed; the metadata only show what is missing in them.
    """

    files: list[str]
    custom_data: dict[str, str]
    counts: list[tuple[str, int]]
    """Topic and its number of messages."""


class Bag:
    """
    A bag opened for reading: a rosbag2 directory, or one of its storage files.

    Opening reads and checks the bag once. After that, messages are streamed, never kept in
    memory. A file compressed as a whole is first unpacked into a temporary directory. A damaged
    file is read up to the damage, and ``damage`` says so.

    :raises SpowlError: not a bag, or not readable at all
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.topics: dict[str, StoredTopic] = {}
        self.damage: list[str] = []
        """One line for each difference from what was recorded."""
        self._files: dict[str, StorageFile] = {}
        self._cleanup = ExitStack()
        try:
            metadata = _read_metadata(self.path)
            files = _storage_files(self.path, metadata)
            for file in files:
                self._open(file, metadata)
            for name in sorted({file.name for file in _stored_in(self.path)}
                               - {file.name for file in files}):
                self._report(f'{name} is left out: metadata.yaml does not name it')
            if not self._files:
                raise SpowlError(self.damage[-1])
            self._count(metadata)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove unpacked files."""
        self._cleanup.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[StoredMessage]:
        """Yield the messages of all or some topics, ordered by time."""
        wanted = self.topics.keys() if topics is None else self.topics.keys() & set(topics)
        read = dict.fromkeys(self._files, 0)
        ended: set[str] = set()
        streams = [_stream(name, block, wanted, ended)
                   for name, file in self._files.items() for block in file.blocks]
        for _, name, found in heapq.merge(*streams, key=lambda item: item[0]):
            if name in ended:
                continue
            if isinstance(found, DamageError):
                ended.add(name)
                if str(found) != self._files[name].damage:  # else it was told at the opening
                    self._report_end(name, str(found), read[name])
            elif found is not None:
                read[name] += 1
                yield found

    def decode(self, message: StoredMessage) -> Any:
        """
        Return a message with its fields as attributes.

        :raises SpowlError: the bytes are not of the type, or the type is not known
        """
        known = message.type in installed_types().fielddefs
        if not known and not message.definition:
            raise SpowlError(f'{self.path}: topic {message.topic} is of type {message.type}, '
                             f'which is not installed and not defined in the bag')
        try:
            if not known:
                _register(message)
            return _deserialize(message.data, message.type)
        except Exception as error:  # rosbags raises many kinds for a bad definition or bad bytes
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())  # some have many lines
            raise SpowlError(f'{self.path}: a message on {message.topic} cannot be read as '
                             f'{message.type} ({reason})') from None

    def _report(self, line: str) -> None:
        if line not in self.damage:
            self.damage.append(line)

    def _report_end(self, name: str, damage: str, messages: int) -> None:
        self._report(f'{name} is damaged: {damage}; read {messages} messages up to there')

    def _open(self, file: Path, metadata: _Metadata) -> None:
        """
        Read and check a file; an unreadable one among several only counts as damage.

        :raises SpowlError: the only file is no storage file
        """
        try:
            content, kind = self._unpacked(file)
        except SpowlError as error:
            if self.path.is_file():
                raise
            self._report(f'{file.name} is damaged and left out: {error}')
            return
        found = self._files[file.name] = STORAGES[kind](content)
        if found.damage:
            self._report_end(file.name, found.damage, found.messages)
        digests = metadata.custom_data
        wanted = digests.get(DIGEST + content.name, digests.get(DIGEST + file.name))
        if wanted is not None and not found.damage and wanted != digest_of(content):
            self._report(f'{file.name} is not as it was recorded: its SHA-256 has changed')

    def _count(self, metadata: _Metadata) -> None:
        """Collect the topics of all files, drop those of two types, and compare the counts."""
        mixed = set()
        for file in self._files.values():
            for topic in file.topics.values():
                known = self.topics.setdefault(topic.name, replace(topic, messages=0))
                known.messages += topic.messages
                if known.type != topic.type:
                    mixed.add(topic.name)
                    self._report(f'topic {topic.name} is left out: it holds both {known.type} and '
                                 f'{topic.type}')
        for name, said in metadata.counts if not self.damage else ():
            found = self.topics[name].messages if name in self.topics else 0
            if found < said:
                self._report(f'{name} has {found} messages, {said} were recorded')
        for name in mixed:
            del self.topics[name]

    def _unpacked(self, file: Path) -> tuple[Path, bytes]:
        """
        Return a storage file and its first bytes; unpack it if it is compressed as a whole.

        :raises SpowlError: it is no storage file, or cannot be read or unpacked
        """
        magic = _magic(file)
        if magic != ZSTD_MAGIC:
            return file, magic
        folder = self._cleanup.enter_context(TemporaryDirectory(prefix='spowl_bag_'))
        unpacked = Path(folder) / file.stem
        left = budget(file.stat().st_size)
        try:
            with zstd.open(file, 'rb') as source, unpacked.open('wb') as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    left -= len(piece)
                    if left < 0:
                        raise SpowlError(f'{file} would grow to more than a hundred times its '
                                         'size; unpack it with `zstd -d` if that is right')
        except (zstd.ZstdError, EOFError) as error:
            self._report(f'{file.name} is damaged: {error}; what could be unpacked of it is read')
        except OSError as error:
            raise SpowlError(f'{file} cannot be unpacked into {folder}: {error.strerror}; set '
                             'TMPDIR to where there is room') from None
        magic = _magic(unpacked)
        if magic == ZSTD_MAGIC:
            raise SpowlError(f'{file} is compressed twice; unpack it with `zstd -d`')
        return unpacked, magic


def _stream(name: str, block: Block, topics: Collection[str], ended: Collection[str],
            ) -> Iterator[tuple[int, str, StoredMessage | DamageError | None]]:
    """
    Yield the time at which a block begins, then its messages, and its damage as the last.

    Each item is time, name of the file, and content. The block is read after the first item.

    :param ended: files found damaged until then; no further block of them is read
    """
    time_ns = block.start_ns
    yield time_ns, name, None
    try:
        for message in block.read(topics) if name not in ended else ():
            time_ns = message.time_ns
            # A recorder may compress every message; CDR itself never begins like this.
            if message.data[:4] == ZSTD_MAGIC:
                message = message._replace(data=_decompressed(message))
            yield time_ns, name, message
    except DamageError as damage:
        yield time_ns, name, damage


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def _decompressed(message: StoredMessage) -> bytes:
    """
    Return the content of a message that was compressed by itself.

    :raises DamageError: it is not whole, or grows too much
    """
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(message.data, LARGEST)
    except zstd.ZstdError as error:
        raise DamageError(f'a message on {message.topic} cannot be unpacked ({error})') from None
    if not decompressor.eof:
        raise DamageError(f'a message on {message.topic} is cut off or grows to more than '
                          f'{LARGEST} bytes')
    return data


def _register(message: StoredMessage) -> None:
    """Register a message's type from its definition in the bag."""
    idl = message.definition.startswith('=' * 80 + '\nIDL: ')
    types = (get_types_from_idl(message.definition) if idl
             else get_types_from_msg(message.definition, message.type))
    store = installed_types()
    store.register({name: fields for name, fields in types.items()
                    if name not in store.fielddefs})


def _deserialize(data: bytes, message_type: str) -> Any:
    """Return the message; drop Fast DDS's padding after an empty array, which rosbags refuses."""
    store = installed_types()
    try:
        return store.deserialize_cdr(data, message_type)
    except SerdeError:
        for padding in PADDINGS:
            with suppress(SerdeError):
                return store.deserialize_cdr(data[:-padding], message_type)
        raise


def _read_metadata(path: Path) -> _Metadata:
    """Return what a bag's ``metadata.yaml`` says; nothing if the file is missing or damaged."""
    try:
        found = yaml.read(path / METADATA, 'the bag')['rosbag2_bagfile_information']
        return _Metadata(
            [_of(name, str) for name in found.get('relative_file_paths') or ()],
            {key: _of(value, str) for key, value in (found.get('custom_data') or {}).items()},
            [(_of(entry['topic_metadata']['name'], str), _of(entry['message_count'], int))
             for entry in found.get('topics_with_message_count') or ()])
    except (SpowlError, LookupError, TypeError, AttributeError):
        return _Metadata([], {}, [])


def _of(value: Any, kind: type) -> Any:
    """
    Return a value of a known type.

    :raises TypeError: it has another type
    """
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _storage_files(path: Path, metadata: _Metadata) -> list[Path]:
    """
    Return the storage files of a bag in their order.

    :raises SpowlError: no such path, or no storage file there
    """
    if not path.exists():
        raise SpowlError(f'no such bag: {path}')
    if path.is_file():
        return [path]
    listed = [path / Path(name).name for name in metadata.files]
    missing = [file.name for file in listed if not file.is_file()]
    if missing:
        raise SpowlError(f'bag {path} lacks {", ".join(missing)}, which its metadata.yaml names')
    files = listed or _stored_in(path)
    if not files:
        raise SpowlError(f'{path} is not a bag: no .mcap or .db3 file in it')
    return files


def _stored_in(directory: Path) -> list[Path]:
    """Return a directory's storage files in numeric order (9 before 10); none for a file."""
    found = directory.iterdir() if directory.is_dir() else ()
    return sorted((file for file in found if STORAGE.search(file.name)),
                  key=lambda file: [int(part) if part.isdecimal() else part
                                    for part in re.split(r'(\d+)', file.name)])


def is_bag(names: Iterable[str]) -> bool:
    """Whether a directory with files of these names is a bag, whole or damaged."""
    return any(name == METADATA or STORAGE.search(name) for name in names)


def _magic(file: Path) -> bytes:
    """
    Return the first bytes of a storage file, which tell its kind.

    :raises SpowlError: it is no storage file, or not readable
    """
    try:
        with file.open('rb') as stream:
            head = stream.read(16)
    except OSError as error:
        raise SpowlError(f'{file} cannot be read: {error.strerror}') from None
    for magic in (*STORAGES, ZSTD_MAGIC):
        if head.startswith(magic):
            return magic
    if head.startswith(ROS1_MAGIC):
        raise SpowlError(f'{file} is a ROS 1 bag; convert it with `rosbags-convert --src {file} '
                         f'--dst DIRECTORY`')
    if not head:
        raise SpowlError(f'{file} is empty, not a bag')
    raise SpowlError(f'{file} is not a bag: it is neither MCAP nor sqlite3 nor zstd')
