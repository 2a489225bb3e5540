# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recording that is not as it was made says so, or changes no figure."""

from __future__ import annotations

from collections.abc import Callable
import itertools
from pathlib import Path
import random
import shutil
import sqlite3
import struct

import pytest

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.storage import StoredMessage
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.bundle import Bundle
from spowl_ros.replay.replay import replay

MUTATIONS = 150
STORAGES = [Settings(), Settings(compression='zstd'), Settings(storage='sqlite3')]


def flip(data: bytearray, generator: random.Random) -> None:
    """Change one bit."""
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def cut(data: bytearray, generator: random.Random) -> None:
    """Lose the end."""
    del data[generator.randrange(1, len(data)):]


def lose(data: bytearray, generator: random.Random) -> None:
    """Lose a piece in the middle."""
    begin = generator.randrange(len(data))
    del data[begin:begin + generator.randrange(1, 5000)]


def repeat(data: bytearray, generator: random.Random) -> None:
    """Have a piece twice."""
    begin = generator.randrange(len(data))
    end = begin + generator.randrange(1, 5000)
    data[end:end] = data[begin:end]


def blank(data: bytearray, generator: random.Random) -> None:
    """Have zeros where a sector of the disk was."""
    begin = generator.randrange(len(data))
    data[begin:begin + 512] = bytes(len(data[begin:begin + 512]))


def content(path: Path) -> tuple[list[StoredMessage], list[str]]:
    """Return all messages of a bag, and what is said of damage."""
    with Bag(path) as bag:
        return list(bag.messages()), bag.damage


def record(driver, path: Path, drive, settings: Settings) -> None:
    """Record a short run, flushed as often as a recorder does."""
    write, BagWriter.write = BagWriter.write, flushing(BagWriter.write)
    try:
        driver.record(path, drive(steps=20, real_time=True), settings)
    finally:
        BagWriter.write = write


def flushing(write: Callable) -> Callable:
    """Return a way of writing that flushes every 100 messages."""
    numbers = itertools.count(1)

    def written(bag: BagWriter, *args: object) -> None:
        write(bag, *args)
        if next(numbers) % 100 == 0:
            bag.flush()
    return written


@pytest.mark.slow
@pytest.mark.parametrize('settings', STORAGES, ids=['mcap', 'mcap zstd', 'sqlite3'])
@pytest.mark.parametrize('mutate', [flip, cut, lose, repeat, blank])
def test_a_changed_file_is_told_or_changes_nothing(
        driver, drive, tmp_path: Path, settings: Settings, mutate: Callable) -> None:
    """Of every change of a real bag's files either a line tells, or every message is the same."""
    path = tmp_path / 'bag'
    record(driver, path, drive, settings)
    whole, damage = content(path)
    assert damage == []
    assert len(whole) > 300
    generator = random.Random(0)
    told = 0
    for _ in range(MUTATIONS):
        file = generator.choice(sorted(path.iterdir()) + 3 * [next(
            file for file in path.iterdir() if file.suffix != '.yaml')])
        before = file.read_bytes()
        data = bytearray(before)
        mutate(data, generator)
        file.write_bytes(data)
        try:
            messages, damage = content(path)
        except SpowlError:
            damage = ['refused']
        if damage:
            told += 1
        else:
            assert messages == whole
        file.write_bytes(before)
        for beside in path.glob('*.db3-*'):
            beside.unlink()
    assert told > MUTATIONS / 3


@pytest.mark.parametrize('settings', STORAGES[:2], ids=['mcap', 'mcap zstd'])
def test_a_missing_chunk_is_told(driver, drive, tmp_path: Path, settings: Settings) -> None:
    """The file stays readable without one of its chunks; the count tells that it is gone."""
    path = tmp_path / 'bag'
    record(driver, path, drive, settings)
    file = next(path.glob('*.mcap'))
    data = file.read_bytes()
    chunks, at = [], 8
    while data[at] != 0x0F:
        end = at + 9 + struct.unpack_from('<Q', data, at + 1)[0]
        if data[at] == 0x06:
            chunks.append((at, end))
        at = end
    begin, end = chunks[1]
    file.write_bytes(data[:begin] + data[end:])
    messages, damage = content(path)
    assert len(damage) == 1
    assert 'its statistics are wrong' in damage[0]


def test_rows_deleted_from_a_database_are_told_by_the_metadata(
        driver, drive, tmp_path: Path) -> None:
    """A database without its digest still has fewer messages than the metadata say."""
    path = tmp_path / 'bag'
    record(driver, path, drive, STORAGES[2])
    with sqlite3.connect(next(path.glob('*.db3'))) as database:
        database.execute('DELETE FROM messages WHERE id BETWEEN 50 AND 60')
    metadata = path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('sha256 of', 'something else of'))
    _, damage = content(path)
    assert any('were recorded' in line for line in damage)


@pytest.mark.parametrize('order', [1, -1])
def test_a_file_for_each_topic_is_replayed_as_one(
        driver, drive, bundle: Bundle, tmp_path: Path, order: int) -> None:
    """Files that overlap in time are merged by time, in whichever order they are named."""
    source, target = tmp_path / 'source', tmp_path / 'target'
    driver.record(source, drive(steps=20))
    target.mkdir()
    with Bag(source) as bag:
        for number, (name, topic) in enumerate(list(bag.topics.items())[::order]):
            part = BagWriter(tmp_path / f'part_{number}')
            added = part.add_topic(name, topic.type)
            for message in bag.messages([name]):
                part.write(added, message.time_ns, message.data)
            part.close()
            shutil.copy(part.path / f'part_{number}_0.mcap', target / f'part_{number}.mcap')
        whole = list(bag.messages())
    with Bag(target) as bag:
        merged = list(bag.messages())
    found = replay(target, bundle)
    key = StoredMessage._fields.index('time_ns')
    assert [message[key] for message in merged] == sorted(message[key] for message in merged)
    assert sorted(message._replace(definition='') for message in merged) == sorted(
        message._replace(definition='') for message in whole)
    assert len(found.replayed) == 20
    assert found.identical is True
    assert found.damage == ()


def test_a_topic_of_two_types_costs_that_topic_only(
        driver, drive, bundle: Bundle, tmp_path: Path) -> None:
    """A stray topic is left out and said; the decisions are compared as ever."""
    path = tmp_path / 'bag'
    driver.record(path, drive(steps=20))
    stray = BagWriter(tmp_path / 'stray')
    for kind, data in (('std_msgs/msg/Float64', bytes(12)), ('std_msgs/msg/Bool', bytes(5))):
        stray.write(stray.add_topic('/stray', kind), 1, data)
    stray.close()
    (path / 'metadata.yaml').unlink()
    shutil.copy(tmp_path / 'stray' / 'stray_0.mcap', path / 'stray.mcap')
    found = replay(path, bundle)
    assert found.identical is True
    assert len(found.damage) == 1
    assert '/stray is left out' in found.damage[0]
