# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written is a rosbag2, as others understand it."""

from __future__ import annotations

from pathlib import Path

from mcap.reader import make_reader
import pytest
from rosbags.rosbag2 import Reader

from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError


@pytest.mark.parametrize('settings', [
    Settings(), Settings(compression='zstd'), Settings(storage='sqlite3')], ids=str)
def test_another_reader_finds_every_byte_and_time(samples, settings: Settings) -> None:
    """rosbags, which is not ours, reads back exactly what was written."""
    path = samples.write(100, settings=settings)
    with Reader(path) as reader:
        found = [(connection.topic, time_ns, bytes(data))
                 for connection, time_ns, data in reader.messages()]
        assert reader.message_count == 100
        assert reader.duration == 99 * samples.PERIOD_NS + 1
    assert found == [
        (samples.TOPICS[index % 2], samples.START_NS + index * samples.PERIOD_NS,
         samples.encoded(index)) for index in range(100)]


def test_mcap_carries_definitions_and_index(samples) -> None:
    """MCAP's own library finds summary, schemas with definitions, and QoS of the channels."""
    path = samples.write(100)
    with (path / 'bag_0.mcap').open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary.statistics.message_count == 100
    assert {schema.name for schema in summary.schemas.values()} == {samples.TYPE}
    assert all(b'string data' in schema.data for schema in summary.schemas.values())
    assert {channel.topic for channel in summary.channels.values()} == set(samples.TOPICS)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('split', [{'split_bytes': 2350}, {'split_seconds': 0.2}], ids=str)
def test_split_bag_is_whole_in_its_parts(samples, storage: str, split: dict) -> None:
    """Parts keep their limit, are all named in the metadata, and hold everything between them."""
    path = samples.write(100, settings=Settings(storage=storage, **split))
    metadata = yaml.load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert metadata['relative_file_paths'] == [part['path'] for part in metadata['files']]
    assert len(metadata['files']) == 5
    assert [part['message_count'] for part in metadata['files']] == [20] * 5
    assert metadata['message_count'] == 100
    for part in metadata['files']:
        assert part['duration']['nanoseconds'] == 19 * samples.PERIOD_NS
    with Reader(path) as reader:
        assert [time_ns for _, time_ns, _ in reader.messages()] == [
            samples.START_NS + index * samples.PERIOD_NS for index in range(100)]


def test_metadata_is_there_before_the_bag_is_closed(samples) -> None:
    """ROS 2's tools open the directory of a recorder that was killed."""
    path = samples.write(10, close=False)
    metadata = yaml.load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert metadata['relative_file_paths'] == ['bag_0.mcap']


def test_existing_directory_is_never_written_into(tmp_path: Path) -> None:
    """A recording cannot overwrite another one."""
    with pytest.raises(SpowlError, match='exists already'):
        BagWriter(tmp_path)


def test_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    """A type without a definition cannot be stored, and the message says which package lacks."""
    bag = BagWriter(tmp_path / 'bag')
    with pytest.raises(SpowlError, match="'no_such_msgs'"):
        bag.add_topic('/a', 'no_such_msgs/msg/Thing')
    bag.close()


def test_own_message_types_are_found_where_they_are_installed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that rosbags does not know is read from the share folder, with what it is made of."""
    messages = tmp_path / 'share' / 'own_msgs' / 'msg'
    messages.mkdir(parents=True)
    (messages / 'Outer.msg').write_text('Inner[] parts\ngeometry_msgs/Point where\n')
    (messages / 'Inner.msg').write_text('float64[<=3] numbers\nstring name\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    bag = BagWriter(tmp_path / 'bag')
    topic = bag.add_topic('/own', 'own_msgs/msg/Outer')
    bag.write(topic, 1, b'\0\1\0\0')
    bag.close()
    with Reader(tmp_path / 'bag') as reader:
        definition = reader.connections[0].msgdef.data
    assert 'MSG: own_msgs/Inner' in definition
    assert 'MSG: geometry_msgs/Point' in definition


@pytest.mark.parametrize('wrong', [
    {'storage': 'tape'}, {'compression': 'zip'}, {'storage': 'sqlite3', 'compression': 'zstd'}],
    ids=str)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    """What cannot be stored is refused before anything is made."""
    with pytest.raises(SpowlError, match=str(next(iter(wrong.values())))):
        Settings(**wrong)
