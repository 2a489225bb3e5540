# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a rosbag2, in one file or several, that can be read after every flush."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import os
from pathlib import Path
import sqlite3
from typing import Any
import zlib

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
    Qos,
)
from rosbags.rosbag2 import CompressionMode
from rosbags.rosbag2.metadata import dump_qos_v9
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer

from spowl_ros.bags.reader import DIGEST, digest_of
from spowl_ros.bags.types import message_definition
from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError

VERSION = 9  # of the rosbag2 format
COMPRESSIONS = {'none': CompressionMode.NONE, 'zstd': CompressionMode.STORAGE}


@dataclass(frozen=True)
class Settings:
    """How a bag is stored."""

    storage: str = 'mcap'
    """'mcap' or 'sqlite3'."""
    compression: str = 'none'
    """'none', or 'zstd' for the chunks of an MCAP file."""
    split_bytes: int = 0
    """Begin a new file once the current one's messages exceed this many bytes; 0: never."""
    split_seconds: float = 0.0
    """Begin a new file once the current one's messages span this many seconds; 0: never."""

    def __post_init__(self) -> None:
        for name, value, known in (('storage', self.storage, STORAGES),
                                   ('compression', self.compression, COMPRESSIONS)):
            if value not in known:
                raise SpowlError(f"{name} '{value}' is unknown; use {' or '.join(known)}")
        if self.storage == 'sqlite3' and self.compression != 'none':
            raise SpowlError(f'sqlite3 bags are not compressed here: compression '
                             f"'{self.compression}' wants storage 'mcap'")


class _McapWriter(McapWriter):
    """rosbags' writer, with our own file name and a checksum in each chunk."""

    CHECKSUM_AT = 9 + 24  # bytes from the beginning of a chunk's record

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        self.name = path.stem
        self._directory = path.parent
        super().__init__(self, compression)  # type: ignore[arg-type]
        self.bio.flush()  # write the header now: without it a reader cannot even recover the file

    def __truediv__(self, file: str) -> Path:
        return self._directory / file  # what the base class takes for its directory is this

    def close_chunk(self) -> None:
        """Write the pending chunk."""
        checksum, begin = zlib.crc32(self.chunk.bio.getbuffer()), self.bio.tell()
        super().close_chunk()
        end = self.bio.tell()
        self.bio.seek(begin + self.CHECKSUM_AT)
        self.bio.write(checksum.to_bytes(4, 'little'))
        self.bio.seek(end)

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        if self.chunk.bio.tell():
            self.close_chunk()
        self.bio.flush()


class _Sqlite3Writer(Sqlite3Writer):
    """rosbags' writer, for paths with characters that it would read as parts of a URI."""

    def __init__(self, path: Path, _: CompressionMode) -> None:
        self.path = path
        self.conn = sqlite3.connect(path)
        self.conn.executescript(self.SQLITE_SCHEMA)
        self.cursor = self.conn.cursor()

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self.conn.commit()


STORAGES: dict[str, tuple[str, type[_McapWriter | _Sqlite3Writer]]] = {
    'mcap': ('.mcap', _McapWriter), 'sqlite3': ('.db3', _Sqlite3Writer)}
"""Name of a storage to the suffix and the writer of its files."""


@dataclass
class _Part:
    """One file of the bag and its counts."""

    path: Path
    start_ns: int = 2**63 - 1
    end_ns: int = 0
    messages: int = 0
    bytes: int = 0


def _extent(parts: Sequence[_Part]) -> dict[str, Any]:
    """Return what ``metadata.yaml`` says of the messages in some files: times and number."""
    filled = [part for part in parts if part.messages]
    start_ns = min((part.start_ns for part in filled), default=0)
    end_ns = max((part.end_ns for part in filled), default=0)
    return {
        'starting_time': {'nanoseconds_since_epoch': start_ns},
        'duration': {'nanoseconds': end_ns - start_ns},
        'message_count': sum(part.messages for part in filled),
    }


@dataclass
class _WrittenTopic:
    """One recorded topic, as the storage knows it."""

    connection: Connection
    profiles: list[Any]
    """The publishers' quality of service, as YAML takes it."""
    messages: int = 0


@dataclass
class BagWriter:
    """
    Writes a rosbag2 directory: storage files and ``metadata.yaml``.

    After ``flush`` everything written so far survives the death of the process. The metadata is
    written at the start, at every split and on closing, so ROS 2's tools open the directory even
    after a crash. Not thread-safe.

    :raises SpowlError: the directory exists already or cannot be made
    """

    path: Path
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._topics: list[_WrittenTopic] = []
        self._parts: list[_Part] = []
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise SpowlError(f'bag {self.path} exists already; choose another path or remove '
                             f'it') from None
        except OSError as error:
            raise SpowlError(f'cannot make the bag {self.path}: {error.strerror}') from None
        self._open_part()

    def add_topic(self, name: str, message_type: str, qos: Sequence[Qos] = ()) -> int:
        """
        Add a topic and return the number to write its messages with.

        :param message_type: such as 'sensor_msgs/msg/Imu'
        :param qos: the publishers' profiles, with which ROS 2 plays the topic back
        :raises SpowlError: the type's definition is not found
        """
        definition, digest = message_definition(message_type)
        connection = Connection(
            id=len(self._topics) + 1, topic=name, msgtype=message_type,
            msgdef=MessageDefinition(MessageDefinitionFormat.MSG, definition), digest=digest,
            msgcount=0, ext=ConnectionExtRosbag2('cdr', list(qos)), owner=self)
        topic = _WrittenTopic(connection, dump_qos_v9(list(qos)))
        self._topics.append(topic)
        self._announce(topic)
        return len(self._topics) - 1

    def write(self, topic: int, time_ns: int, data: bytes) -> None:
        """
        Write one message.

        :param topic: number that ``add_topic`` returned
        :param time_ns: when it was received, nanoseconds since the epoch
        :param data: as it came over the wire (CDR)
        """
        if self._part_is_full(time_ns):
            self.close()  # of this file only
            self._open_part()
        part = self._parts[-1]
        self._storage.write(self._topics[topic].connection, time_ns, data)
        self._topics[topic].messages += 1
        part.messages += 1
        part.bytes += len(data)
        part.start_ns = min(part.start_ns, time_ns)
        part.end_ns = max(part.end_ns, time_ns)

    def flush(self) -> None:
        """
        Hand everything written so far to the operating system.

        :raises SpowlError: the file has been removed
        """
        if not self._parts[-1].path.is_file():
            raise SpowlError(f'{self._parts[-1].path} was removed while it was written; '
                             'record again')
        self._storage.flush()

    def close(self) -> None:
        """Write index and metadata; nothing can be written afterwards."""
        self._storage.close(VERSION, yaml.dump(self._metadata()))
        path = self._parts[-1].path
        if self.settings.storage == 'sqlite3':  # MCAP has its own checksums
            self._digests[DIGEST + path.name] = digest_of(path)
        self._write_metadata()

    def _open_part(self) -> None:
        """Begin the next file, with all topics known so far."""
        suffix, storage = STORAGES[self.settings.storage]
        path = self.path / f'{self.path.name}_{len(self._parts)}{suffix}'
        self._storage = storage(path, COMPRESSIONS[self.settings.compression])
        self._parts.append(_Part(path))
        self._types_announced: set[str] = set()
        for topic in self._topics:
            self._announce(topic)
        self._write_metadata()

    def _part_is_full(self, time_ns: int) -> bool:
        part = self._parts[-1]
        by_size = 0 < self.settings.split_bytes <= part.bytes
        by_time = 0.0 < self.settings.split_seconds * 1e9 <= time_ns - part.start_ns
        return part.messages > 0 and (by_size or by_time)

    def _announce(self, topic: _WrittenTopic) -> None:
        """Add a topic to the current file, and its type if it is the first topic of that type."""
        if topic.connection.msgtype not in self._types_announced:
            self._storage.add_msgtype(topic.connection)
            self._types_announced.add(topic.connection.msgtype)
        profiles = yaml.dump(topic.profiles) if topic.profiles else ''
        self._storage.add_connection(topic.connection, profiles)

    def _metadata(self) -> dict[str, Any]:
        """Return the content of ``metadata.yaml``, in version 9 of the format."""
        return {
            'version': VERSION,
            'storage_identifier': self.settings.storage,
            **_extent(self._parts),
            'topics_with_message_count': [{
                'topic_metadata': {
                    'name': topic.connection.topic,
                    'type': topic.connection.msgtype,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': topic.profiles,
                    'type_description_hash': topic.connection.digest,
                },
                'message_count': topic.messages,
            } for topic in self._topics],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [part.path.name for part in self._parts],
            'files': [{'path': part.path.name, **_extent([part])} for part in self._parts],
            'custom_data': self._digests,
            'ros_distro': os.environ.get('ROS_DISTRO', ''),
        }

    def _write_metadata(self) -> None:
        """Replace ``metadata.yaml`` at once; no reader ever sees half of it."""
        unfinished = self.path / '.metadata.yaml'
        metadata = {'rosbag2_bagfile_information': self._metadata()}
        unfinished.write_text(yaml.dump(metadata), encoding='utf-8')
        unfinished.replace(self.path / 'metadata.yaml')
