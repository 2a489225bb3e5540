# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The last seconds in memory, and the bags made of them."""

from __future__ import annotations

import json
from pathlib import Path
import time

from hypothesis import given
from hypothesis import strategies as st
import pytest
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from spowl_ros.bags.context import read_context
from spowl_ros.bags.reader import Bag
from spowl_ros.bags.ring import OVERHEAD, Message, Ring, RingSettings, RingWriter
from spowl_ros.bags.types import installed_types
from spowl_ros.bags.writer import Settings
from spowl_ros.base.errors import SpowlError

TYPE = 'std_msgs/msg/String'
FOREVER = QosTime(2**31, 0)
LATCHED = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
              FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False)
WAIT_S = 20.0


def text(content: str) -> bytes:
    """Return a serialised String."""
    store = installed_types()
    return bytes(store.serialize_cdr(store.types[TYPE](content), TYPE))


def texts(path: Path, topic: str) -> list[str]:
    """Return what a bag holds of a topic of Strings."""
    with Bag(path) as bag:
        assert bag.damage == []
        return [bag.decode(message).data for message in bag.messages([topic])]


def written(writer: RingWriter, count: int) -> list[Path]:
    """Wait until so many bags are written."""
    deadline = time.monotonic() + WAIT_S
    while len(writer.written) < count:
        assert time.monotonic() < deadline, writer.news
        writer.check()
        time.sleep(0.005)
    return writer.written


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(0, 1600), st.booleans()), max_size=60))
def test_neither_seconds_nor_bytes_are_exceeded(sent: list[tuple[float, int, bool]]) -> None:
    """Whatever arrives, what stays is young enough and within the bytes, the newest included."""
    ring = Ring(5.0, 10 * OVERHEAD)
    now, large = 0.0, 0
    for index, (wait, size, lasting) in enumerate(sent):
        now += wait
        data = bytes(size)
        ring.add(Message(0, index, data, b'%d' % index, (0, data) if lasting else None, now))
        held = ring.snapshot()
        assert ring.held <= ring.limit
        assert sum(OVERHEAD + len(message.data) for message in held) <= ring.limit
        assert all(now - message.arrival <= 5.0 or sent[int(message.source)][2]
                   for message in held)
        newest = any(int(message.source) == index for message in held)
        assert newest or ring.too_large > large
        large = ring.too_large


def test_a_latched_message_outlasts_its_time_and_another_one_does_not(tmp_path: Path) -> None:
    """Of each publisher the last state is in the bag; a state that was replaced is not."""
    writer = RingWriter(tmp_path / 'bags', Settings(), RingSettings(seconds=0.1, after=0.0,
                                                                    pause=0.0))
    state = writer.add_topic('/state', TYPE, [LATCHED])
    other = writer.add_topic('/other', TYPE)
    record = writer.add_topic('/record', TYPE, [LATCHED])
    for content in ('old', 'new'):
        writer.write(state, time.time_ns(), text(content), b'one')
    writer.write(state, time.time_ns(), text('of two'), b'two')
    writer.write(other, time.time_ns(), text('gone'))
    writer.write(record, time.time_ns(), text('a moment'), record=True)
    time.sleep(0.2)
    begin_ns = time.time_ns()
    writer.write(other, begin_ns, text('here'))
    writer.trigger('save', 'asked for', asked=True)
    path, = written(writer, 1)
    assert sorted(texts(path, '/state')) == ['new', 'of two']
    assert texts(path, '/other') == ['here']
    assert texts(path, '/record') == []
    with Bag(path) as bag:
        assert {message.time_ns for message in bag.messages()} == {begin_ns}


def test_a_bag_tells_why_it_was_written_and_which_settings_held_before(tmp_path: Path) -> None:
    """Settings that were told before the ring's beginning are noted beside the parameters."""
    writer = RingWriter(tmp_path / 'bags', Settings(), RingSettings(seconds=0.1, after=0.0))
    decisions = writer.add_topic('/controller/decision', TYPE, [LATCHED])
    writer.write(decisions, time.time_ns(), text('first'), settings=json.dumps({'seed': 3}))
    time.sleep(0.2)
    writer.write(decisions, time.time_ns(), text('second'), record=True)
    writer.trigger('stop', 'too near')
    writer.trigger('cost', '1')
    path, = written(writer, 1)
    assert path.name == '000_stop'
    assert texts(path, '/controller/decision') == ['second']
    with Bag(path) as bag:
        context = read_context(bag)
    assert json.loads(context.settings['/controller/decision']) == {'seed': 3}
    assert [(trigger.cause, trigger.reason) for trigger in context.triggers] == [
        ('stop', 'too near'), ('cost', '1')]


def test_events_make_a_bounded_number_of_bags_and_a_person_more(tmp_path: Path) -> None:
    """A hundred events in a row make the bags that they may; then only who asks gets one."""
    writer = RingWriter(tmp_path / 'bags', Settings(), RingSettings(
        seconds=10.0, after=0.0, pause=0.02, bags=2))
    topic = writer.add_topic('/a', TYPE)
    deadline = time.monotonic() + WAIT_S
    while len(writer.written) < 2 or writer._due is not None:
        assert time.monotonic() < deadline
        writer.write(topic, time.time_ns(), text('x'))
        writer.trigger('stop', 'again')
        writer.check()
        time.sleep(0.002)
    assert writer.trigger('stop', 'again') is None
    assert writer.trigger('save', 'asked for', asked=True) is not None
    writer.close()
    assert [path.name for path in writer.written] == ['000_stop', '001_stop', '002_save']
    assert 'more events were not recorded' in writer.summary()


def test_a_bag_that_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """After a failure the next bag is written as if nothing had been."""
    writer = RingWriter(tmp_path / 'bags', Settings(), RingSettings(seconds=10.0, after=0.0,
                                                                    pause=0.0))
    topic = writer.add_topic('/a', TYPE)
    writer.write(topic, time.time_ns(), text('x'))
    (tmp_path / 'bags').rmdir()
    (tmp_path / 'bags').write_text('in the way')
    writer.trigger('save', 'asked for', asked=True)
    writer.close()
    assert writer.written == []
    assert 'cannot write the bag' in writer.news[0]
    assert 'none; 1 could NOT be written' in writer.summary()
    (tmp_path / 'bags').unlink()
    writer.trigger('save', 'asked for', asked=True)
    writer.close()
    assert texts(writer.written[0], '/a') == ['x']


def test_a_restarted_recorder_counts_on(tmp_path: Path) -> None:
    """Bags of an earlier run stay as they are."""
    for _ in range(2):
        writer = RingWriter(tmp_path / 'bags', Settings(), RingSettings(seconds=1.0))
        writer.trigger('save', 'asked for', asked=True)
        writer.close()
    assert sorted(path.name for path in (tmp_path / 'bags').iterdir()) == ['000_save', '001_save']


def test_numbers_go_on_beyond_three_digits(tmp_path: Path) -> None:
    """The thousandth bag is no end of the recording."""
    (tmp_path / '999_stop').mkdir()
    for _ in range(2):
        writer = RingWriter(tmp_path, Settings(), RingSettings(seconds=1.0))
        writer.trigger('stop', 'test')
        writer.close()
        assert not writer.failed
    assert {'1000_stop', '1001_stop'} < {path.name for path in tmp_path.iterdir()}


def test_two_recorders_of_a_folder_lose_no_event(tmp_path: Path) -> None:
    """Both have chosen a number before either has written its bag."""
    writers = [RingWriter(tmp_path, Settings(), RingSettings(seconds=1.0)) for _ in range(2)]
    for writer in writers:
        writer.trigger('stop', 'test')
    for writer in writers:
        writer.close()
        assert not writer.failed
    assert [writer.written[0].name for writer in writers] == ['000_stop', '001_stop']


def test_a_bag_is_no_directory_of_bags(tmp_path: Path) -> None:
    """Nothing is written into a bag that is there already."""
    (tmp_path / 'metadata.yaml').write_text('')
    with pytest.raises(SpowlError, match='no directory of bags'):
        RingWriter(tmp_path, Settings(), RingSettings(seconds=1.0))


def test_a_place_where_nothing_can_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    """Not at the first event, perhaps days later; an empty directory does not stay."""
    with pytest.raises(SpowlError, match='no bag can be written in /proc/nope'):
        RingWriter(Path('/proc/nope/bags'), Settings(), RingSettings(seconds=1.0))
    RingWriter(tmp_path / 'bags', Settings(), RingSettings(seconds=1.0)).close()
    assert not (tmp_path / 'bags').exists()
