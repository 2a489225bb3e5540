# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Keeps the last messages of every topic in memory, and writes bags of them on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
from pathlib import Path
import tempfile
import threading
import time
from typing import NamedTuple

from rosbags.interfaces import Qos, QosDurability

from spowl_ros.bags import context
from spowl_ros.bags.types import message_definition
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import fixed

OVERHEAD = 300
"""Bytes that a message takes in memory besides its content."""
_TRIGGERS_TOLD = 32


@dataclass(frozen=True)
class RingSettings:
    """What stays in memory, and when it becomes a bag."""

    seconds: float = fixed(
        0.0, 'seconds that are kept in memory; an event writes them into a bag below `path`; 0: '
             'everything is written at once', low=0.0, high=3600.0)
    megabytes: float = fixed(
        128.0, 'greatest memory in megabytes, whatever `ring.seconds` is; twice that while a '
               'bag is written', low=1.0, high=65536.0)
    after: float = fixed(2.0, 'seconds that are recorded after an event', low=0.0, high=600.0)
    events: str = fixed(
        'stop monitor cost operator',
        'events that make a bag, separated by spaces: stop (of the controller or the '
        'supervisor), monitor (one takes the lead), cost, operator (a person takes over); the '
        'service ~/save always makes one')
    cost: float = fixed(0.0, 'cost above which a step is an event')
    pause: float = fixed(
        10.0, 'least seconds between two bags; events in between share the next bag, which '
              'waits no longer than `ring.seconds`', low=0.0, high=3600.0)
    bags: int = fixed(20, 'greatest number of bags that events make in one run; ~/save can '
                          'add more', low=0)


class Message(NamedTuple):
    """One message in memory."""

    topic: int
    time_ns: int
    """When it was received, nanoseconds since the epoch."""
    data: bytes
    source: bytes
    """Who published it, if known."""
    heir: tuple[int, bytes] | None
    """Topic and message to keep when this one leaves the ring."""
    arrival: float
    """Steady clock, seconds."""

    @property
    def size(self) -> int:
        """Return its bytes in memory."""
        return OVERHEAD + len(self.data) + (len(self.heir[1]) if self.heir else 0)


class RecordedTopic(NamedTuple):
    """What a bag needs to know of a topic."""

    name: str
    type: str
    qos: tuple[Qos, ...]

    @property
    def latched(self) -> bool:
        """Whether a late subscriber receives its last message."""
        return any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in self.qos)


@dataclass
class Ring:
    """
    Messages of the last seconds, within a number of bytes.

    The last message of each publisher of a latched topic stays longer, because late subscribers
    would still receive it. `snapshot` returns it as if received at the ring's beginning.

    :param seconds: how long a message stays
    :param limit: bytes for all messages, at most half of them for latched ones; the oldest go
        first
    """

    seconds: float
    limit: int
    held: int = 0
    """Bytes of all messages."""
    too_large: int = 0
    """Messages not kept, because each is larger than half of the limit."""
    cut: bool = False
    """Whether the limit has dropped messages younger than `seconds`."""

    def __post_init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._kept: dict[tuple[int, bytes], Message] = {}
        self._kept_bytes = 0

    def add(self, message: Message) -> None:
        """Add a message; drop those that are too old or too many."""
        if message.size > self.limit // 2:
            self.too_large += 1
        else:
            self._messages.append(message)
            self.held += message.size
        self.expire(message.arrival)

    def keep(self, message: Message) -> None:
        """Keep a message whatever its age; it replaces the one of the same topic and source."""
        self._drop((message.topic, message.source))
        self._kept[message.topic, message.source] = message
        self.held += message.size
        self._kept_bytes += message.size
        while self._kept_bytes > self.limit // 2:
            self._drop(next(iter(self._kept)))

    def expire(self, now: float) -> None:
        """Drop messages that are too old, and the oldest while there are too many bytes."""
        while self._messages:
            oldest = self._messages[0]
            old = now - oldest.arrival > self.seconds
            if not old and self.held <= self.limit:
                break
            self.cut |= not old
            self._messages.popleft()
            self.held -= oldest.size
            if oldest.heir is not None:
                topic, data = oldest.heir
                self.keep(oldest._replace(topic=topic, data=data, heir=None))

    def _drop(self, key: tuple[int, bytes]) -> None:
        """Drop the kept message of a topic and a source, if there is one."""
        if (dropped := self._kept.pop(key, None)) is not None:
            self.held -= dropped.size
            self._kept_bytes -= dropped.size

    def snapshot(self) -> list[Message]:
        """Return the messages ordered by time of reception, the kept ones first."""
        messages = sorted(self._messages, key=lambda message: message.time_ns)
        begin_ns = messages[0].time_ns if messages else time.time_ns()
        return [*(kept._replace(time_ns=begin_ns) for kept in self._kept.values()), *messages]


@dataclass
class _Due:
    """A bag that waits to be written."""

    path: Path
    at: float
    """Steady clock, seconds."""
    triggers: list[context.Trigger]


class RingWriter:
    """
    Keeps the last messages, and writes bags of them in its own thread.

    It has the methods of `BackgroundWriter`. At most one bag is being written and one waits:
    this bounds memory however often events happen.

    :param path: directory of the bags, `000_stop` and so on
    :raises SpowlError: `path` is a bag or no directory, or nothing can be written there
    """

    def __init__(self, path: Path, settings: Settings, ring: RingSettings) -> None:
        if path.exists() and (not path.is_dir() or (path / 'metadata.yaml').exists()):
            raise SpowlError(f'{path} exists already and is no directory of bags; choose another '
                             'path')
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b'a bag')
        except OSError as error:
            raise SpowlError(f'no bag can be written in {path}: {error.strerror or error}; choose '
                             'another path') from error
        self.path = path
        self.settings = ring
        self.failed = 0
        """Bags that could not be written."""
        self.written: list[Path] = []
        self.news: list[str] = []
        """Lines about bags written or failed; the reader empties the list."""
        self.ring = Ring(ring.seconds + ring.after, int(ring.megabytes * 1e6))
        self._bag_settings = settings
        self._due: _Due | None = None
        self._thread: threading.Thread | None = None
        self._last = -ring.pause
        self._by_events = 0
        self._ignored = 0
        self._topics: list[RecordedTopic] = []
        self._context = self.add_topic(context.TOPIC, context.TYPE)

    def check(self) -> None:
        """Begin to write the bag that is due; a bag that fails does not end the recording."""
        now = time.monotonic()
        self.ring.expire(now)
        writes = self._thread is not None and self._thread.is_alive()
        if self._due is not None and now >= self._due.at and not writes:
            self._begin(self._due)

    def add_topic(self, name: str, message_type: str, qos: Sequence[Qos] = ()) -> int:
        """
        Add a topic and return the number to write its messages with.

        :raises SpowlError: the type's definition is not found
        """
        message_definition(message_type)
        self._topics.append(RecordedTopic(name, message_type, tuple(qos)))
        return len(self._topics) - 1

    def write(self, topic: int, time_ns: int, data: bytes, source: bytes = b'',
              record: bool = False, settings: str = '') -> None:
        """
        Store one message.

        :param record: whether a latched topic carries events rather than a state, so that its
            last message is not kept longer
        :param settings: of a decision that holds them; they are kept longer, for a replay
        """
        known, heir = self._topics[topic], None
        if settings:
            noted, = context.BagContext(settings={known.name: settings}).messages()
            source, heir = known.name.encode(), (self._context, noted)
        elif known.latched and not record:
            heir = topic, data
        self.ring.add(Message(topic, time_ns, data, source, heir, time.monotonic()))

    def write_context(self, known: context.BagContext) -> None:
        """Put the known parts of a context into every bag."""
        for data in known.messages():
            source = data if known.bundle else next(iter(known.parameters)).encode()
            self.ring.keep(Message(self._context, time.time_ns(), data, source, None,
                                   time.monotonic()))

    def trigger(self, cause: str, reason: str, asked: bool = False) -> Path | None:
        """
        Schedule a bag; it is written once the seconds after the event have passed.

        :param cause: one word
        :param asked: whether a person asked for it
        :return: its path; None: events have already made `ring.bags` bags
        """
        now = time.monotonic()
        trigger = context.Trigger(cause, reason, time.time_ns())
        if self._due is not None:
            if len(self._due.triggers) < _TRIGGERS_TOLD:
                self._due.triggers.append(trigger)
            return self._due.path
        if not asked:
            if self._by_events >= self.settings.bags:
                self._ignored += 1
                if self._ignored == 1:
                    self.news.append(f'{cause}: events have made {self._by_events} bags, as many '
                                     'as they may (ring.bags); no more are written')
                return None
            self._by_events += 1
        pause = min(self.settings.pause, self.settings.seconds)
        self._due = _Due(self._free_path(cause), max(now + self.settings.after,
                                                     self._last + pause), [trigger])
        return self._due.path

    def close(self) -> None:
        """Finish the bag in progress and write the one that waits."""
        for _ in range(2):
            if self._thread is not None:
                self._thread.join()
            if self._due is not None:
                self._begin(self._due)
        with contextlib.suppress(OSError):
            self.path.rmdir()  # if it is empty

    def summary(self) -> str:
        """Return one line on what was written."""
        bags = ', '.join(path.name for path in self.written) or (
            'none' if self.failed else 'none, as nothing happened')
        lacking = ((self.failed, 'could NOT be written'),
                   (self._ignored, 'more events were not recorded'),
                   (self.ring.too_large, 'messages were too large to be kept'))
        return (f'{len(self.written)} bags of the last {self.settings.seconds:g} s in '
                f'{self.path}: {bags}'
                + ''.join(f'; {count} {what}' for count, what in lacking if count))

    def _free_path(self, cause: str) -> Path:
        """Return a path that no bag uses, of this or another recorder or of an earlier run."""
        names = [path.name for path in (*self.path.glob('*_*'), *self.written)]
        numbers = (name.partition('_')[0] for name in names)
        number = max((int(text) for text in numbers if text.isdecimal()), default=-1) + 1
        return self.path / f'{number:03d}_{cause}'

    def _begin(self, due: _Due) -> None:
        """Write the bag that is due, in a thread, from the messages in memory now."""
        self._due = None
        self._last = time.monotonic()
        self.ring.expire(self._last)
        memory = list(self._topics), self.ring.snapshot(), self.ring.cut
        self.ring.cut = False
        self._thread = threading.Thread(
            target=self._write, args=(due, *memory), name='bag', daemon=True)
        self._thread.start()

    def _write(self, due: _Due, topics: list[RecordedTopic], messages: list[Message],
               cut: bool) -> None:
        if due.path.exists():  # another recorder was faster
            due.path = self._free_path(due.triggers[0].cause)
        try:
            bag = BagWriter(due.path, self._bag_settings)
            used = {message.topic for message in messages} | {self._context}
            numbers = {number: bag.add_topic(*topics[number]) for number in sorted(used)}
            begin_ns = messages[0].time_ns if messages else time.time_ns()
            for data in context.BagContext(triggers=due.triggers).messages():
                bag.write(numbers[self._context], begin_ns, data)
            for message in messages:
                bag.write(numbers[message.topic], message.time_ns, message.data)
            bag.close()
        except Exception as error:  # a full disk, a medium that was removed
            self.failed += 1
            self.news.append(f'cannot write the bag {due.path}: {error}; it is not whole')
            return
        self.written.append(due.path)
        seconds = (messages[-1].time_ns - begin_ns) * 1e-9 if messages else 0.0
        why = due.triggers[0]
        self.news.append(
            f'{why.cause} ({why.reason}): {seconds:.1f} s in {due.path}'
            + (f'; ring.megabytes {self.settings.megabytes:g} held no more' if cut else ''))
