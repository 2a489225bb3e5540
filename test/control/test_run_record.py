# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run amounted to."""

from __future__ import annotations

import pytest

from spowl_ros.control.decision import Decision
from spowl_ros.control.run_record import Episode, RunRecord


def decision(source: str, seconds: float, missed: bool = False) -> Decision:
    """Return a decision with what is counted."""
    return Decision(0, 0, (0.0,), source, '', deadline_missed=missed, seconds={'total': seconds})


@pytest.fixture
def record() -> RunRecord:
    """Return a record of two episodes and four decisions."""
    record = RunRecord('SafetyPointGoal1-v0')
    for source, seconds, missed in (('plan', 0.010, False), ('plan', 0.020, False),
                                    ('policy', 0.030, True), ('plan', 0.040, False)):
        record.add_decision(decision(source, seconds, missed))
    record.add_episode(Episode(10.0, 2.0, 1000))
    record.add_episode(Episode(20.0, 0.0, 500))
    return record


def test_the_summary_has_the_documented_keys(record: RunRecord) -> None:
    """The JSON summary is what the documentation says."""
    summary = record.summary()
    assert list(summary) == ['task', 'episodes', 'decisions', 'source_fraction', 'latency_ms',
                             'deadline_misses']
    assert summary['episodes'][0] == {'return': 10.0, 'cost': 2.0, 'steps': 1000}
    assert summary['decisions'] == 4
    assert summary['source_fraction'] == {'plan': 0.75, 'policy': 0.25, 'monitor': 0.0,
                                          'stop': 0.0, 'operator': 0.0}
    assert summary['latency_ms']['p50'] == pytest.approx(25.0)
    assert summary['latency_ms']['max'] == pytest.approx(40.0)
    assert summary['deadline_misses'] == 1


def test_a_finished_episode_clears_what_is_in_progress(record: RunRecord) -> None:
    """Reward and cost of the next episode start from zero."""
    record.reward, record.cost = 3.0, 4.0
    record.add_episode(Episode(3.0, 4.0, 10))
    assert (record.reward, record.cost) == (0.0, 0.0)


def test_the_table_shows_each_episode_and_their_mean(record: RunRecord) -> None:
    """Someone at a terminal reads the same figures."""
    lines = record.table().splitlines()
    assert lines[1].split() == ['1', '10.00', '2', '1000']
    assert lines[3].split() == ['mean', '15.00', '1.0', '750']
    assert 'plan 75%, policy 25%' in lines[4]
    assert '1 deadlines missed' in lines[5]


def test_stops_after_the_last_episode_are_not_the_runs() -> None:
    """When the robot has gone, the controller stops for want of sensors; that is no decision."""
    record = RunRecord('task', expected=1)
    record.add_decision(decision('stop', 0.001))
    assert not record.complete
    record.add_episode(Episode(1.0, 0.0, 10))
    record.add_decision(decision('plan', 0.010))  # on its way when the episode ended
    record.add_decision(decision('stop', 0.001))
    assert record.complete
    assert record.decisions == 2


def test_a_run_without_decisions_has_no_latency() -> None:
    """Nothing is made up where nothing was measured."""
    assert RunRecord('task').table() == 'decisions  0'
    assert RunRecord('task').summary()['latency_ms'] == {}
