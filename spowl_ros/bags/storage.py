# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What every kind of storage file provides: topics with true counts, and blocks of messages."""

from __future__ import annotations

from dataclasses import dataclass, field
import sys
from typing import NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

from collections.abc import Callable, Collection, Iterator

LARGEST = 2**27
"""Largest record or message, bytes; a larger one can only be damage."""
LEAST_BUDGET = 2**27
MOST_GROWTH = 100
"""Compressed data may unpack to this many times its size, or to LEAST_BUDGET bytes."""


class DamageError(Exception):
    """The file cannot be read after this point; the message says where and why."""


class StoredMessage(NamedTuple):
    """One message as it lies in a storage file."""

    topic: str
    type: str
    definition: str
    """Definition of the type as stored; '' if the file has none."""
    time_ns: int
    """When it was received, nanoseconds since the epoch."""
    data: bytes


@dataclass
class StoredTopic:
    """A topic of a file, or of a whole bag."""

    name: str
    type: str
    definition: str
    qos: str = ''
    """The publishers' profiles as YAML; empty: not known."""
    messages: int = 0
    """Counted, not taken from the file's metadata."""


class Block(NamedTuple):
    """Messages that are read together, ordered by time."""

    start_ns: int
    """Time of the first message."""
    read: Callable[[Collection[str] | None], Iterator[StoredMessage]]
    """Yields messages of some topics, or of all; raises DamageError after the last readable."""


@dataclass
class StorageFile:
    """What one pass over a file found, up to its end or to the damage."""

    topics: dict[int, StoredTopic] = field(default_factory=dict)
    """Topic number in the file to the topic."""
    blocks: list[Block] = field(default_factory=list)
    damage: str = ''

    @property
    def messages(self) -> int:
        """Number of readable messages."""
        return sum(topic.messages for topic in self.topics.values())

    def topic(self, number: int) -> StoredTopic:
        """
        Return the topic with a number.

        :raises DamageError: the file has none
        """
        if number not in self.topics:
            raise DamageError(f'a message is of topic {number}, which no record introduced')
        return self.topics[number]


def budget(size: int) -> int:
    """Return how many bytes a compressed file of some size may unpack to."""
    return max(LEAST_BUDGET, MOST_GROWTH * size)
