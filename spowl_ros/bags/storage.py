# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What every kind of storage file gives: topics with true counts, and blocks of messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LARGEST = 2**27
"""Bytes of the largest record or message that is read; a greater one can only be damage."""
LEAST_BUDGET = 2**27
MOST_GROWTH = 100
"""What is compressed may grow to so many times its size, or to LEAST_BUDGET bytes, no further."""


class DamageError(Exception):
    """Nothing after this point of the file can be read; says where and why."""


class StoredMessage(NamedTuple):
    """One message as it lies in a storage file."""

    topic: str
    type: str
    definition: str
    """Definition of the type as stored, '' where the file has none."""
    time_ns: int
    """When it was received, nanoseconds since the epoch."""
    data: bytes


@dataclass
class Topic:
    """A topic of a file, or of a whole bag."""

    name: str
    type: str
    definition: str
    qos: str = ''
    """The publishers' profiles as YAML; empty: not known."""
    messages: int = 0
    """As counted, not as the file says."""


class Block(NamedTuple):
    """Messages that are read together, in the order of their time."""

    start_ns: int
    """Time of the first."""
    read: Callable[[Collection[str] | None], Iterator[StoredMessage]]
    """Yields those of some topics, or of all; raises DamageError after what can be read."""


@dataclass
class StorageFile:
    """What was found by reading a file once from its beginning to its end, or to the damage."""

    topics: dict[int, Topic] = field(default_factory=dict)
    """Number of the topic in the file to the topic."""
    blocks: list[Block] = field(default_factory=list)
    damage: str = ''

    @property
    def messages(self) -> int:
        """Messages that can be read."""
        return sum(topic.messages for topic in self.topics.values())

    def topic(self, number: int) -> Topic:
        """
        Return the topic of a number.

        :raises DamageError: the file has none
        """
        if number not in self.topics:
            raise DamageError(f'a message is of topic {number}, which no record introduced')
        return self.topics[number]


def budget(size: int) -> int:
    """Return to how many bytes a compressed file of so many may grow."""
    return max(LEAST_BUDGET, MOST_GROWTH * size)
