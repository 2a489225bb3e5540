# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a bag in its own thread, so that a slow disk does not block the receiver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import queue
import threading
import time

from rosbags.interfaces import Qos

from spowl_ros.bags import context
from spowl_ros.bags.ring import RecordedTopic
from spowl_ros.bags.types import message_definition
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError

QUEUE = 20_000  # messages; when the disk falls further behind, `write` blocks the receiver


class BackgroundWriter:
    """
    Opens, writes, flushes and closes a bag in one thread, as SQLite demands.

    :param flush_seconds: longest time until a written message survives the death of the process
    :raises SpowlError: the bag cannot be made
    """

    def __init__(self, path: Path, settings: Settings, flush_seconds: float) -> None:
        self.path = path
        self._messages = 0
        self._bytes = 0
        self._settings = settings
        self._flush_seconds = flush_seconds
        self._topics = 0
        self._queue: queue.Queue[RecordedTopic | tuple[int, int, bytes] | None] = (
            queue.Queue(QUEUE))
        self._opened = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name='bag', daemon=True)
        self._thread.start()
        self._opened.wait()
        self.check()
        self._context = self.add_topic(context.TOPIC, context.TYPE)

    def check(self) -> None:
        """
        Check that writing still works.

        :raises SpowlError: it does not, as when the disk is full or the medium was removed
        """
        if isinstance(self._error, SpowlError):
            raise self._error
        if self._error is not None:
            raise SpowlError(f'cannot write the bag {self.path}: {self._error}') from self._error

    def add_topic(self, name: str, message_type: str, qos: Sequence[Qos] = ()) -> int:
        """
        Add a topic and return the number to write its messages with.

        :raises SpowlError: the type's definition is not found
        """
        message_definition(message_type)
        self._queue.put(RecordedTopic(name, message_type, tuple(qos)))
        self._topics += 1
        return self._topics - 1

    def write(self, topic: int, time_ns: int, data: bytes) -> None:
        """Write one message, as `BagWriter.write` takes it."""
        self._queue.put((topic, time_ns, data))

    def write_context(self, known: context.BagContext) -> None:
        """Write the known parts of a context."""
        for data in known.messages():
            self.write(self._context, time.time_ns(), data)

    def close(self) -> None:
        """
        Write all waiting messages, the index and the metadata.

        :raises SpowlError: the writing failed
        """
        self._queue.put(None)
        self._thread.join()
        self.check()

    def summary(self) -> str:
        """Return one line on what was written."""
        return (f'{self._messages} messages of {self._topics - 1} topics, '
                f'{self._bytes / 1e6:.1f} MB, in {self.path}')

    def _run(self) -> None:
        try:
            bag = BagWriter(self.path, self._settings)
            self._opened.set()
            self._write_all(bag)
            bag.close()
        except Exception as error:  # `check` raises it in the threads that use this
            self._error = error
            self._opened.set()
            while self._queue.get() is not None:  # drop messages, so that no thread waits for room
                pass

    def _write_all(self, bag: BagWriter) -> None:
        """Write what arrives until None comes; flush in between."""
        flush_at = time.monotonic() + self._flush_seconds
        while True:
            if time.monotonic() >= flush_at:
                bag.flush()
                flush_at = time.monotonic() + self._flush_seconds
            try:
                item = self._queue.get(timeout=max(0.001, flush_at - time.monotonic()))
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, RecordedTopic):
                bag.add_topic(*item)
            else:
                bag.write(*item)
                self._messages += 1
                self._bytes += len(item[2])
