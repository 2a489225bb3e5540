# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read bags of any ROS 2 recorder as a stream, whole or damaged."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
import re
from shutil import copyfileobj
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_idl, get_types_from_msg

from spowl_ros.bags.recovery import (
    MCAP_MAGIC,
    DamageError,
    StoredMessage,
    read_mcap,
    read_sqlite3,
    settle_sqlite3,
)
from spowl_ros.bags.types import installed_types
from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SQLITE_MAGIC = b'SQLite format 3\0'
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
ROS1_MAGIC = b'#ROSBAG V2.0'
PADDINGS = (4, 8)  # bytes
SALVAGE = {'.mcap': read_mcap, '.db3': read_sqlite3}


@dataclass
class Topic:
    """A topic of a bag."""

    type: str
    definition: str
    messages: int


class Bag:
    """
    A bag opened for reading: a rosbag2 directory, or one of its storage files.

    Messages are streamed, never held; files compressed as a whole are unpacked into a temporary
    directory first. A damaged file is read up to the damage, and ``damage`` says so.

    :raises SpowlError: not a bag, or not readable at all
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.topics: dict[str, Topic] = {}
        self.damage: list[str] = []
        """One line for each damaged file met so far."""
        self._cleanup = ExitStack()
        try:
            metadata = _read_metadata(self.path)
            self.custom_data: dict[str, str] = metadata.get('custom_data') or {}
            self._files = self._open(_storage_files(self.path, metadata))
            self._damaged: set[Path] = set()
            for file in self._files:
                self._survey(file)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was unpacked."""
        self._cleanup.close()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[StoredMessage]:
        """
        Yield the messages of all or of some topics, in the order of their time in each file.

        Damage ends a file early and is noted in ``damage``.
        """
        for file in self._files:
            source = self._salvage(file) if file in self._damaged else self._read(file, topics)
            for count, message in enumerate(source):
                if topics is not None and message.topic not in topics:
                    continue
                # A recorder may compress every message; CDR itself never begins like this.
                if message.data[:4] == ZSTD_MAGIC:
                    try:
                        message = message._replace(data=zstd.decompress(message.data))
                    except zstd.ZstdError as error:
                        self._report(file, f'a message on {message.topic} cannot be unpacked '
                                     f'({error})', count)
                        break
                yield message

    def decode(self, message: StoredMessage) -> Any:
        """
        Return a message with its fields as attributes.

        :raises SpowlError: the bytes are not of the type, or the type is not known
        """
        try:
            if message.type not in installed_types().fielddefs:
                self._register(message)
            return _deserialize(message.data, message.type)
        except SpowlError:
            raise
        except Exception as error:  # whatever the definition or the bytes provoke
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())  # some have many lines
            raise SpowlError(f'{self.path}: a message on {message.topic} cannot be read as '
                             f'{message.type} ({reason})') from None

    def _register(self, message: StoredMessage) -> None:
        """Learn a type from the definition that the bag itself holds."""
        if not message.definition:
            raise SpowlError(f'{self.path}: topic {message.topic} is of type {message.type}, '
                             f'which is not installed and not defined in the bag')
        idl = message.definition.startswith('=' * 80 + '\nIDL: ')
        types = (get_types_from_idl(message.definition) if idl
                 else get_types_from_msg(message.definition, message.type))
        store = installed_types()
        store.register({name: fields for name, fields in types.items()
                        if name not in store.fielddefs})

    def _survey(self, file: Path) -> None:
        """Note the topics of a file, and whether it is damaged."""
        try:
            if file.suffix == '.db3':
                settle_sqlite3(file)
            with Reader(file) as reader:
                for connection in reader.connections:
                    known = connection.msgdef.format is not MessageDefinitionFormat.NONE
                    self._count(connection.topic, connection.msgtype,
                                connection.msgdef.data if known else '', connection.msgcount)
        except Exception:  # rosbags raises whatever the damaged bytes provoke
            self._damaged.add(file)
            for message in self._salvage(file):
                self._count(message.topic, message.type, message.definition, 1)

    def _count(self, name: str, message_type: str, definition: str, messages: int) -> None:
        topic = self.topics.setdefault(name, Topic(message_type, definition, 0))
        if topic.type != message_type:
            raise SpowlError(f'{self.path}: topic {name} holds both {topic.type} and '
                             f'{message_type}; record one type per topic')
        topic.messages += messages

    def _read(self, file: Path, topics: Collection[str] | None) -> Iterator[StoredMessage]:
        """Yield the messages of a file that looked whole."""
        count = 0
        try:
            with Reader(file) as reader:
                wanted = [connection for connection in reader.connections
                          if topics is None or connection.topic in topics]
                for connection, time_ns, data in reader.messages(wanted) if wanted else ():
                    yield StoredMessage(connection.topic, connection.msgtype,
                                        self.topics[connection.topic].definition, time_ns,
                                        bytes(data))
                    count += 1
        except Exception as error:  # rosbags raises whatever the damaged bytes provoke
            self._report(file, str(error), count)

    def _salvage(self, file: Path) -> Iterator[StoredMessage]:
        """Yield the messages of a file that is damaged or was never closed."""
        count = 0
        try:
            for message in SALVAGE[file.suffix](file):
                yield message
                count += 1
        except DamageError as damage:
            self._report(file, str(damage), count)

    def _report(self, file: Path, reason: str, count: int) -> None:
        line = f'{file.name} is damaged: {reason}; read {count} messages up to there'
        if line not in self.damage:
            self.damage.append(line)

    def _open(self, files: list[Path]) -> list[Path]:
        """
        Return the files as rosbags reads them; one of several that is none is only damage.

        :raises SpowlError: none of them is a storage file
        """
        opened = []
        for file in files:
            try:
                opened.append(self._unpack(file))
            except SpowlError as error:
                if file is files[-1] and not opened:
                    raise
                self.damage.append(f'{file.name} is damaged and left out: {error}')
        return opened

    def _unpack(self, file: Path) -> Path:
        """
        Return the file itself, or its content where it is compressed as a whole.

        :raises SpowlError: it is no storage file, or cannot be read or unpacked
        """
        kind = _kind(file)
        if kind != '.zstd':
            return self._named(file, kind)
        folder = self._cleanup.enter_context(TemporaryDirectory(prefix='spowl_bag_'))
        unpacked = Path(folder) / file.stem
        try:
            with zstd.open(file, 'rb') as source, unpacked.open('wb') as target:
                copyfileobj(source, target)
        except (zstd.ZstdError, EOFError) as error:
            self.damage.append(f'{file.name} is damaged: {error}; what could be unpacked of it '
                               'is read')
        except OSError as error:
            raise SpowlError(f'{file} cannot be unpacked into {folder}: {error.strerror}; set '
                             'TMPDIR to where there is room') from None
        return self._named(unpacked, _kind(unpacked))

    def _named(self, file: Path, kind: str) -> Path:
        """Return the file under a name by which rosbags knows its kind."""
        if file.suffix == kind:
            return file
        folder = self._cleanup.enter_context(TemporaryDirectory(prefix='spowl_bag_'))
        link = Path(folder) / (file.name + kind)
        link.symlink_to(file.resolve())
        return link


def _deserialize(data: bytes, message_type: str) -> Any:
    """Return the message; Fast DDS pads after an empty array of doubles, which rosbags refuses."""
    store = installed_types()
    try:
        return store.deserialize_cdr(data, message_type)
    except SerdeError:
        for padding in PADDINGS:
            with suppress(SerdeError):
                return store.deserialize_cdr(data[:-padding], message_type)
        raise


def _read_metadata(path: Path) -> dict[str, Any]:
    """Return the content of ``metadata.yaml``, empty where there is none."""
    file = path / 'metadata.yaml'
    if not file.is_file():
        return {}
    try:
        found = yaml.read(file, 'the bag')['rosbag2_bagfile_information']
        listed = found.get('relative_file_paths')
        whole = listed is None or all(isinstance(name, str) for name in listed)
    except (OSError, SpowlError, LookupError, TypeError, AttributeError):
        whole = False
    return found if whole else {}  # the storage files say all that is needed


def _storage_files(path: Path, metadata: dict[str, Any]) -> list[Path]:
    """
    Return the storage files of a bag in their order.

    :raises SpowlError: no such path, or no storage file there
    """
    if not path.exists():
        raise SpowlError(f'no such bag: {path}')
    if path.is_file():
        return [path]
    listed = [path / Path(name).name for name in metadata.get('relative_file_paths') or ()]
    missing = [file.name for file in listed if not file.is_file()]
    if missing:
        raise SpowlError(f'bag {path} lacks {", ".join(missing)}, which its metadata.yaml names')
    found = [file for file in path.iterdir() if re.search(r'\.(mcap|db3)(\.zstd)?$', file.name)]
    files = listed or sorted(found, key=lambda file: [
        int(part) if part.isdigit() else part for part in re.split(r'(\d+)', file.name)])
    if not files:
        raise SpowlError(f'{path} is not a bag: no .mcap or .db3 file in it')
    return files


def _kind(file: Path) -> str:
    """
    Return '.mcap', '.db3' or '.zstd', told from the first bytes.

    :raises SpowlError: none of them, or not readable
    """
    try:
        with file.open('rb') as stream:
            head = stream.read(16)
    except OSError as error:
        raise SpowlError(f'{file} cannot be read: {error.strerror}') from None
    if head.startswith(MCAP_MAGIC):
        return '.mcap'
    if head.startswith(SQLITE_MAGIC):
        return '.db3'
    if head.startswith(ZSTD_MAGIC):
        return '.zstd'
    if head.startswith(ROS1_MAGIC):
        raise SpowlError(f'{file} is a ROS 1 bag; convert it with `rosbags-convert --src {file} '
                         f'--dst DIRECTORY`')
    if not head:
        raise SpowlError(f'{file} is empty, not a bag')
    raise SpowlError(f'{file} is not a bag: it is neither MCAP nor sqlite3 nor zstd')
