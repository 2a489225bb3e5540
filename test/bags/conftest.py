# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags to read: small ones, written by us."""

from __future__ import annotations

from pathlib import Path

import pytest

from spowl_ros.bags.types import installed_types
from spowl_ros.bags.writer import BagWriter, Settings


class Samples:
    """Writes bags of string messages on /a and /b in turn, 10 ms apart."""

    TYPE = 'std_msgs/msg/String'
    TOPICS = ('/a', '/b')
    START_NS = 1_700_000_000_000_000_000
    PERIOD_NS = 10_000_000

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @staticmethod
    def text(index: int) -> str:
        """Return what message number `index` says."""
        return f'message {index} ' + 'x' * 100

    def encoded(self, index: int) -> bytes:
        """Return message number `index` as it goes over the wire."""
        store = installed_types()
        return bytes(store.serialize_cdr(store.types[self.TYPE](self.text(index)), self.TYPE))

    def write(self, count: int = 100, *, name: str = 'bag', close: bool = True,
              flush_every: int = 0, settings: Settings | None = None) -> Path:
        """Return the path of a new bag; without `close` it is as a killed recorder leaves it."""
        bag = BagWriter(self._directory / name, settings or Settings())
        topics = [bag.add_topic(topic, self.TYPE) for topic in self.TOPICS]
        for index in range(count):
            bag.write(topics[index % 2], self.START_NS + index * self.PERIOD_NS,
                      self.encoded(index))
            if flush_every and index % flush_every == flush_every - 1:
                bag.flush()
        if close:
            bag.close()
        else:
            bag.flush()
            bag._storage.abort()  # what the system does with the files of a killed process
        return bag.path


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Return the writer of sample bags."""
    return Samples(tmp_path)
