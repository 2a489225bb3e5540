# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bags of any recorder are read; what is damaged is read up to the damage."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import sqlite3
import subprocess
import sys

from backports import zstd
from mcap.writer import CompressionType, IndexType, Writer
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from spowl_ros.bags.reader import ZSTD_MAGIC, Bag
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError


def read(path: Path) -> tuple[list[str], list[str]]:
    """Return what the string messages of a bag say, and what was said of damage."""
    with Bag(path) as bag:
        return [bag.decode(message).data for message in bag.messages()], bag.damage


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize('chunked', [True, False])
def test_mcap_of_another_writer(samples, tmp_path: Path, compression: CompressionType,
                                chunked: bool) -> None:
    """Chunked or not, compressed or not, without index: ROS 2's presets write all of these."""
    path = tmp_path / 'other.mcap'
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=2000, compression=compression, use_chunking=chunked,
                        index_types=IndexType.ALL if chunked else IndexType.NONE)
        writer.start(profile='ros2')
        schema = writer.register_schema(samples.TYPE, 'ros2msg', b'string data')
        channel = writer.register_channel('/a', 'cdr', schema)
        for index in range(100):
            time_ns = samples.START_NS + index
            writer.add_message(channel, time_ns, samples.encoded(index), time_ns)
        writer.finish()
    assert read(path) == ([samples.text(index) for index in range(100)], [])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_file_compressed_bag(samples, storage: str) -> None:
    """`ros2 bag record --compression-mode file` leaves .zstd files behind."""
    path = samples.write(100, settings=Settings(storage=storage, split_seconds=0.5))
    metadata = path / 'metadata.yaml'
    for file in [*path.glob('*.mcap'), *path.glob('*.db3')]:
        (path / f'{file.name}.zstd').write_bytes(zstd.compress(file.read_bytes()))
        file.unlink()
        metadata.write_text(metadata.read_text().replace(file.name, f'{file.name}.zstd'))
    assert read(path) == ([samples.text(index) for index in range(100)], [])


def test_message_compressed_bag(samples) -> None:
    """`ros2 bag record --compression-mode message` compresses every message."""
    path = samples.write(100, close=False, settings=Settings(storage='sqlite3'))
    with sqlite3.connect(path / 'bag_0.db3') as database:
        for index in range(100):
            database.execute('UPDATE messages SET data = ? WHERE id = ?',
                             (zstd.compress(samples.encoded(index)), index + 1))
    assert read(path) == ([samples.text(index) for index in range(100)], [])


@pytest.mark.parametrize('settings', [
    Settings(), Settings(compression='zstd'), Settings(storage='sqlite3')], ids=str)
def test_bag_of_a_killed_recorder_is_whole(samples, settings: Settings) -> None:
    """Without index and footer everything that was flushed is there, and it is said."""
    path = samples.write(100, close=False, flush_every=30, settings=settings)
    texts, damage = read(path)
    assert texts == [samples.text(index) for index in range(100)]
    assert bool(damage) == (settings.storage == 'mcap')  # a database is never unfinished


@pytest.mark.parametrize('share', [0.2, 0.5, 0.9])
@pytest.mark.parametrize('settings', [
    Settings(), Settings(compression='zstd'), Settings(storage='sqlite3')], ids=str)
def test_cut_off_file_is_read_up_to_the_cut(samples, settings: Settings, share: float) -> None:
    """Whatever lies before the cut is read, in order, and one line says where it ended."""
    path = samples.write(3000, flush_every=100, settings=settings)
    file = next(file for file in path.iterdir() if file.suffix in ('.mcap', '.db3'))
    os.truncate(file, int(file.stat().st_size * share))
    texts, damage = read(path)
    assert len(damage) == 1
    assert file.name in damage[0] and f'{len(texts)} messages' in damage[0]
    assert texts == [samples.text(index) for index in range(len(texts))]
    assert len(texts) > 3000 * share * 0.7


def test_unchunked_part_of_a_cut_chunk_is_read(samples) -> None:
    """A chunk may hold a whole recording; its beginning is not given up for its end."""
    path = samples.write(1000)
    file = path / 'bag_0.mcap'
    os.truncate(file, 100_000)
    texts, damage = read(path)
    assert len(texts) > 500
    assert 'cut off' in damage[0]


def test_messages_before_a_cut_are_read_without_chunks_too(samples, tmp_path: Path) -> None:
    """They are collected into blocks; the last of these ends at the cut."""
    path = tmp_path / 'other.mcap'
    with path.open('wb') as file:
        writer = Writer(file, use_chunking=False)
        writer.start(profile='ros2')
        schema = writer.register_schema(samples.TYPE, 'ros2msg', b'string data')
        channel = writer.register_channel('/a', 'cdr', schema)
        for index in range(100):
            writer.add_message(channel, samples.START_NS + index, samples.encoded(index), 0)
    os.truncate(path, path.stat().st_size // 2)
    texts, damage = read(path)
    assert texts == [samples.text(index) for index in range(len(texts))]
    assert len(texts) > 40
    assert len(damage) == 1 and f'read {len(texts)} messages' in damage[0]


def test_flipped_bytes_end_the_reading_and_are_reported(samples) -> None:
    """A compressed chunk that does not decode is damage, not an exception."""
    path = samples.write(1000, flush_every=100, settings=Settings(compression='zstd'))
    file = path / 'bag_0.mcap'
    data = bytearray(file.read_bytes())
    starts = [match.start() for match in re.finditer(re.escape(ZSTD_MAGIC), data)]
    data[starts[5] + 20:starts[5] + 84] = bytes(64)
    file.write_bytes(data)
    texts, damage = read(path)
    assert texts == [samples.text(index) for index in range(500)]
    assert len(damage) == 1 and file.name in damage[0]


@pytest.mark.parametrize('journal', ['DELETE', 'WAL'])
def test_database_killed_within_a_transaction(samples, journal: str) -> None:
    """What is half written is rolled back; what lies in a write-ahead log is taken in."""
    path = samples.write(100, close=False, settings=Settings(storage='sqlite3'))
    code = f"""
import os, sqlite3
database = sqlite3.connect({str(path / "bag_0.db3")!r}, isolation_level=None)
database.execute('PRAGMA journal_mode={journal}')
database.execute('PRAGMA cache_size=2')
if {journal == 'WAL'}:
    database.execute("INSERT INTO messages VALUES (101, 1, {samples.START_NS + 10**12}, x'00')")
database.execute('BEGIN')
database.execute("UPDATE messages SET data = zeroblob(3000)")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, '-c', code], check=False)
    with Bag(path) as bag:
        found = [message.data for message in bag.messages()]
    assert found[:100] == [samples.encoded(index) for index in range(100)]
    assert len(found) == (101 if journal == 'WAL' else 100)
    assert bag.damage == []


def test_lost_metadata_changes_nothing(samples) -> None:
    """The storage files say all that is needed, and ten parts stay in their order."""
    path = samples.write(300, settings=Settings(split_seconds=0.2))
    (path / 'metadata.yaml').unlink()
    assert read(path) == ([samples.text(index) for index in range(300)], [])


@pytest.mark.parametrize('content', [
    '{', '[]', 'rosbag2_bagfile_information:', 'rosbag2_bagfile_information: text',
    'rosbag2_bagfile_information: {relative_file_paths: 5}',
    'rosbag2_bagfile_information: {relative_file_paths: [5]}'])
def test_damaged_metadata_changes_nothing(samples, content: str) -> None:
    """Whatever a damaged file says, the storage files say all that is needed."""
    path = samples.write(100)
    (path / 'metadata.yaml').write_text(content)
    assert read(path) == ([samples.text(index) for index in range(100)], [])


def test_empty_part_is_left_out(samples) -> None:
    """A recorder that was killed as it began a file has written all others."""
    path = samples.write(100, settings=Settings(split_seconds=0.2))
    (path / 'bag_4.mcap').write_bytes(b'')
    texts, damage = read(path)
    assert texts == [samples.text(index) for index in range(80)]
    assert len(damage) == 1
    assert damage[0].startswith('bag_4.mcap is damaged and left out')


def test_damaged_index_changes_nothing(samples, tmp_path: Path) -> None:
    """Messages are read and ordered without the index, also where their times go back."""
    bag = BagWriter(tmp_path / 'bag', Settings(storage='sqlite3'))
    topic = bag.add_topic('/a', samples.TYPE)
    order = [1, 0, 3, 2]
    for index in order:
        bag.write(topic, samples.START_NS + index, samples.encoded(index))
    bag.close()
    file = bag.path / 'bag_0.db3'
    with sqlite3.connect(file) as database:
        root, = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'timestamp_idx'").fetchone()
        size, = database.execute('PRAGMA page_size').fetchone()
    content = bytearray(file.read_bytes())
    content[(root - 1) * size:root * size] = bytes(size)
    file.write_bytes(content)
    texts, damage = read(bag.path)
    assert texts == [samples.text(index) for index in sorted(order)]
    assert len(damage) == 1 and 'SHA-256 has changed' in damage[0]


def test_damaged_message_ends_the_reading_and_is_reported(samples) -> None:
    """A message compressed on its own, some bytes of it lost, is damage and no exception."""
    path = samples.write(100, close=False, settings=Settings(storage='sqlite3'))
    with sqlite3.connect(path / 'bag_0.db3') as database:
        database.execute('UPDATE messages SET data = ? WHERE id = 41',
                         (zstd.compress(samples.encoded(40))[:-20],))
    texts, damage = read(path)
    assert texts == [samples.text(index) for index in range(40)]
    assert len(damage) == 1
    assert 'read 40 messages' in damage[0]


@pytest.mark.parametrize('closed', [True, False])
@pytest.mark.parametrize('overlapping', [True, False])
def test_one_damaged_message_ends_its_file_and_the_line_counts_what_was_read(
        samples, tmp_path: Path, closed: bool, overlapping: bool) -> None:
    """Also where another block is open at that time, and where the file was damaged before."""
    bag = BagWriter(tmp_path / 'bag')
    topic = bag.add_topic('/a', samples.TYPE)
    blocks = ((0, 2, 4, 6), (1, 3, 5, 7)) if overlapping else ((0, 1, 2, 3), (4, 5, 6, 7))
    for block in blocks:
        for index in block:
            data = zstd.compress(samples.encoded(index))
            bag.write(topic, samples.START_NS + index, data[:-3] if index == 2 else data)
        bag.flush()
    if closed:
        bag.close()
    else:
        bag._storage.abort()
    texts, damage = read(bag.path)
    assert texts == [samples.text(index) for index in range(2)]
    assert len(damage) == (1 if closed else 2)
    assert 'cut off' in damage[-1] and 'read 2 messages' in damage[-1]


def test_messages_before_an_unreadable_record_are_read(samples, tmp_path: Path) -> None:
    """As many are read as the line says: none is lost with the record, none after it is read."""
    def record(code: int, content: bytes) -> bytes:
        return bytes([code]) + len(content).to_bytes(8, 'little') + content

    def string(text: str) -> bytes:
        return len(text).to_bytes(4, 'little') + text.encode()

    def message(index: int) -> bytes:
        return record(5, bytes(2) + bytes(4) + (samples.START_NS + index).to_bytes(8, 'little')
                      + bytes(8) + samples.encoded(index))

    path = tmp_path / 'other.mcap'
    path.write_bytes(
        b'\x89MCAP0\r\n' + record(1, string('ros2') + string(''))
        + record(3, b'\1\0' + string(samples.TYPE) + string('ros2msg') + string('string data'))
        + record(4, bytes(2) + b'\1\0' + string('/a') + string('cdr') + bytes(4))
        + message(0) + message(1) + record(4, b'\1') + message(2))
    texts, damage = read(path)
    assert texts == [samples.text(0), samples.text(1)]
    assert len(damage) == 1 and 'read 2 messages' in damage[0]


def test_only_the_topics_asked_for(samples) -> None:
    """Topics are known before reading, with types and numbers of messages."""
    path = samples.write(100)
    with Bag(path) as bag:
        assert {name: (topic.type, topic.messages) for name, topic in bag.topics.items()} == {
            '/a': (samples.TYPE, 50), '/b': (samples.TYPE, 50)}
        assert {message.topic for message in bag.messages(['/b'])} == {'/b'}


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'is empty'), (b'#ROSBAG V2.0\n', 'ROS 1'), (b'hello world, a text', 'not a bag'),
    (zstd.compress(zstd.compress(b'a bag')), 'compressed twice')])
def test_what_is_not_a_bag_is_told_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """The message says what the file is instead."""
    path = tmp_path / 'thing.mcap'
    path.write_bytes(content)
    with pytest.raises(SpowlError, match=said) as error:
        Bag(path)
    assert '\n' not in str(error.value)


def test_directories_that_are_no_bags(tmp_path: Path, samples) -> None:
    """No such path, nothing in it, and a part gone are three different mistakes."""
    with pytest.raises(SpowlError, match='no such bag'):
        Bag(tmp_path / 'none')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(SpowlError, match=r'no \.mcap or \.db3'):
        Bag(tmp_path / 'folder')
    path = samples.write(10)
    shutil.move(path / 'bag_0.mcap', tmp_path)
    with pytest.raises(SpowlError, match='lacks bag_0.mcap'):
        Bag(path)


def test_bytes_of_another_type_are_told(samples) -> None:
    """A message that cannot be decoded, or not even defined, names topic and type in a line."""
    path = samples.write(2)
    with Bag(path) as bag:
        message = next(iter(bag.messages()))._replace(type='sensor_msgs/msg/Imu')
        with pytest.raises(SpowlError, match=r'/a cannot be read as sensor_msgs/msg/Imu'):
            bag.decode(message)
        message = message._replace(type='a_msgs/srv/Sum_Event', definition='int64 a\n---\nint64 b')
        with pytest.raises(SpowlError, match=r'/a cannot be read as a_msgs/srv') as error:
            bag.decode(message)
        assert '\n' not in str(error.value)


def test_padding_of_another_serializer_is_accepted(tmp_path: Path) -> None:
    """Fast DDS ends a message whose last array is empty with padding that rosbags refuses."""
    sent = JointState(name=['wheel'], position=[1.5])
    path = tmp_path / 'bag'
    bag = BagWriter(path)
    bag.write(bag.add_topic('/joint_states', 'sensor_msgs/msg/JointState'), 1,
              serialize_message(sent))
    bag.close()
    with Bag(path) as opened:
        received = opened.decode(next(iter(opened.messages())))
    assert received.name == ['wheel']
    assert received.position.tolist() == [1.5]
    assert len(received.effort) == 0
