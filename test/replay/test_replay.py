# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recorded decisions are made again bit for bit, or it is said where not and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.writer import BagWriter, Settings
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.replay import replay as replays
from spowl_ros.replay.gate import GateRules, Tally, judge
from spowl_ros.replay.measures import measure, remarks
from spowl_ros.replay.recording import RecordedRun, Sample
from spowl_ros.replay.replay import Changes, Replay
from spowl_ros.sim.environment import contract
from spowl_ros.training.untrained import COMPACT, export_untrained

DECISIONS = 200


def replay(path: Path, bundle: Bundle, **values: object) -> Replay:
    """Replay a bag with some settings changed."""
    return replays.replay(path, bundle, Changes(values))


@pytest.mark.parametrize('mode', ['lock_step_bag', 'real_time_bag'])
def test_an_episode_is_reproduced_bit_for_bit(
        mode: str, bundle: Bundle, request: pytest.FixtureRequest) -> None:
    """1,000 raw steps: every part of every decision but its duration is the recorded one."""
    found = replay(request.getfixturevalue(mode), bundle)
    assert len(found.replayed) == len(found.recorded) == DECISIONS
    assert found.differences == {}
    assert found.identical and found.diverged_at is None
    assert found.same_bundle
    assert found.without_inputs == 0
    np.testing.assert_array_equal(found.recorded.action, found.replayed.action)


def test_the_real_time_recording_is_not_tame(real_time_bag: Path, bundle: Bundle) -> None:
    """What it takes to reproduce it was really there: varying improvements, missed deadlines."""
    found = replay(real_time_bag, bundle)
    assert len(set(found.recorded.plan['iterations'][~found.recorded.deadline_missed])) > 1
    assert found.recorded.deadline_missed.any()
    assert len(set(found.recorded.source)) > 1


def test_two_episodes_and_a_namespace(driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """The controller's reset is replayed, and the robot's namespace is found."""
    driver.record(tmp_path / 'bag', drive(steps=15, episodes=2, namespace='robot_1'),
                  Settings(storage='sqlite3'))
    found = replay(tmp_path / 'bag', bundle)
    assert found.identical
    assert found.replayed.episode.tolist() == [0] * 15 + [1] * 15


def test_rewards_and_costs_belong_to_their_decisions(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What came after a decision and before the next is that decision's."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    trace = replay(tmp_path / 'bag', bundle).replayed
    with Bag(tmp_path / 'bag') as bag:
        rewards = [bag.decode(message).data for message in bag.messages(['/reward'])]
    np.testing.assert_allclose(trace.reward, np.sum(np.reshape(rewards, (5, 5)), axis=1))


@pytest.mark.parametrize('bad', [-5.0, float('nan'), float('inf'), 1e308])
def test_a_recorded_cost_that_is_none_is_not_known(
        driver, drive, tmp_path: Path, bundle: Bundle, bad: float) -> None:
    """Neither the cost nor what alarms were worth is known then, and a gate lets nothing pass."""
    driver.record(tmp_path / 'whole', drive(steps=5))
    with Bag(tmp_path / 'whole') as bag:
        writer = BagWriter(tmp_path / 'bag')
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        costs = 0
        for message in bag.messages():
            costs += message.topic == '/cost'
            writer.write(numbers[message.topic], message.time_ns,
                         serialize_message(Float64(data=bad))
                         if message.topic == '/cost' and costs == 7 else message.data)
        writer.close()
    found = replay(tmp_path / 'bag', bundle)
    assert np.isnan(found.recorded.cost).tolist() == [False, True, False, False, False]
    figures = measure(found)
    assert figures['cost'] is None and 'was no number' in remarks(figures)[0]
    unknown = {finding.rule for finding in judge(
        Tally.of(tmp_path / 'bag', bundle, bundle), GateRules(), bundle.contract.control_period)
        if finding.figure is None}
    assert {'misses', 'false_alarms'} <= unknown


def test_a_stop_at_the_end_does_not_hide_what_was_spent(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """The report takes the last decision that says it; what is not known is over the budget."""
    driver.record(tmp_path / 'bag', drive(steps=4, settings={'budget.limit': 100.0}))
    found = replay(tmp_path / 'bag', bundle)
    for spent, said, exceeded in ((150.0, 150.0, 1), (float('inf'), None, 1), (50.0, 50.0, 0)):
        budget = {'spent': np.array([0.0, 0.0, spent, np.nan]),
                  'left': np.array([100.0, 100.0, 100.0 - spent, np.nan]),
                  'coverage': np.array([0.5, 0.5, 0.5, np.nan])}
        figures = measure(replace(found, replayed=replace(found.replayed, budget=budget)))
        assert (figures['budget']['spent'], figures['budget']['exceeded']) == (said, exceeded)
        assert figures['budget']['coverage'] == 0.5


def test_a_topic_without_messages_tells_no_cost_and_no_reward(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """A recorder lists topics that were silent; their sums are unknown, as without the topics."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    path = changed(tmp_path / 'bag', tmp_path / 'silent',
                   lambda topic, data: None if topic in ('/cost', '/reward') else data)
    found = replay(path, bundle)
    assert found.identical
    assert np.isnan(found.replayed.cost).all() and np.isnan(found.replayed.reward).all()
    measured = measure(found)
    assert (measured['cost'], measured['return']) == (None, None)
    assert any('no costs were recorded' in line for line in remarks(measured))


def test_a_namespace_is_that_of_the_sensors_with_messages(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """Other robots whose topics were silent do not hide the one that was recorded."""
    driver.record(tmp_path / 'bag', drive(steps=5, namespace='b', decisions=False))
    with Bag(tmp_path / 'bag') as bag:
        writer = BagWriter(tmp_path / 'two')
        for silent in range(20):
            for name, topic in bag.topics.items():
                writer.add_topic(name.replace('/b/', f'/a{silent}/'), topic.type)
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        for message in bag.messages():
            writer.write(numbers[message.topic], message.time_ns, message.data)
        writer.close()
    assert len(replay(tmp_path / 'two', bundle).replayed) == 6


def test_another_setting_shows_where_it_matters(lock_step_bag: Path, bundle: Bundle) -> None:
    """The policy alone decides otherwise from the first decision on, by known amounts."""
    found = replay(lock_step_bag, bundle, **{'planner.kind': 'policy'})
    assert found.diverged_at == 0
    assert not found.identical
    assert set(found.replayed.source) == {SOURCES.index('policy')}
    figures = measure(found)
    assert figures['divergence']['decisions'] == DECISIONS
    action = figures['divergence']['action']
    assert action['max'] > 0.1
    others = np.abs(found.recorded.action - found.replayed.action).max(axis=1) > 0.0
    assert (action['decisions'], action['first']) == (others.sum(), others.argmax())
    assert figures['divergence']['sources'] == {'plan to policy': int(
        np.sum(found.recorded.source == SOURCES.index('plan')))}


def test_stops_after_the_simulation_has_ended_are_left_out(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """They are replayed and compared, but who acted and how long it took is asked of a robot."""
    decided = driver.record(tmp_path / 'bag', drive(steps=5))
    ended = DiagnosticStatus(values=[KeyValue(key=key, value='5')
                                     for key in ('return', 'cost', 'steps')])
    stops = [Decision(step=5 + late, now_ns=decided[-1].now_ns, action=(0.0, 0.0), source='stop',
                      reason='nobody is there') for late in range(3)]
    with Bag(tmp_path / 'bag') as bag:
        writer = BagWriter(tmp_path / 'ended')
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        for message in bag.messages():
            writer.write(numbers[message.topic], message.time_ns, message.data)
        episode = writer.add_topic('/simulator/episode', 'diagnostic_msgs/msg/DiagnosticArray')
        writer.write(episode, message.time_ns, serialize_message(DiagnosticArray(status=[ended])))
        for stop in stops:
            said = DiagnosticStatus(values=[
                KeyValue(key=key, value=value) for key, value in stop.to_items()])
            writer.write(numbers['/controller/decision'], message.time_ns,
                         serialize_message(DiagnosticArray(status=[said])))
        writer.close()
    figures = measure(replay(tmp_path / 'ended', bundle))
    assert (figures['decisions'], figures['stops_after_end']) == (8, 3)
    assert figures['source_fraction']['stop'] == 0.0
    assert sum(figures['switches'].values()) < 5


def test_decisions_are_made_where_none_were_recorded(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """A bag of sensors alone is decided on at the contract's period."""
    driver.record(tmp_path / 'bag', drive(steps=20, decisions=False))
    found = replay(tmp_path / 'bag', bundle)
    assert found.recorded is None and found.identical is None
    assert len(found.replayed) == 21  # also on the last observation
    assert measure(found)['divergence'] is None


@pytest.mark.parametrize(('late_s', 'set_back_s'), [(0.21, 0.0), (0.0, 1.0)],
                         ids=['a late sensor', 'a clock set back'])
def test_an_interruption_of_sensors_alone_begins_no_episode(
        driver, drive, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch,
        late_s: float, set_back_s: float) -> None:
    """Where no decisions were recorded, too, an episode begins by word only."""
    driver.record(tmp_path / 'bag', drive(steps=30, decisions=False))
    patient = replace(bundle, contract=replace(bundle.contract, fields=tuple(
        replace(field, timeout=0.5) for field in bundle.contract.fields)))
    events = RecordedRun.events

    def changed(run: RecordedRun) -> list[tuple[int, Any]]:
        found = []
        for time_ns, event in events(run):
            if isinstance(event, Sample):
                time_ns += round(late_s * 1e9) * (event.field == 'velocimeter')
                back = set_back_s * (event.stamp_ns > 2.5 * 10**9)
                event = replace(event, stamp_ns=event.stamp_ns - round(back * 1e9))
            found.append((time_ns, event))
        return sorted(found, key=lambda entry: entry[0])

    monkeypatch.setattr(RecordedRun, 'events', changed)
    found = replay(tmp_path / 'bag', patient).replayed
    assert len(found) >= 29
    assert found.episode.max() == 0
    # Once all sensors are there, only the first plan after a clock set back builds on none.
    assert np.isnan(found.plan['model_error'][5:]).sum() == (set_back_s > 0.0)


def test_lost_inputs_are_counted(driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What is made with other inputs, or builds on it, is counted and not compared."""
    driver.record(tmp_path / 'whole', drive(steps=10))
    with Bag(tmp_path / 'whole') as bag:
        thinned = BagWriter(tmp_path / 'thin')
        numbers = {name: thinned.add_topic(name, topic.type)
                   for name, topic in bag.topics.items()}
        seen = 0
        for message in bag.messages():
            seen += message.topic == '/imu'
            if not (message.topic == '/imu' and seen == 4):
                thinned.write(numbers[message.topic], message.time_ns, message.data)
        thinned.close()
    found = replay(tmp_path / 'thin', bundle)
    assert found.without_inputs == 1
    assert found.compared.tolist() == [True] * 3 + [False] * 7
    assert found.identical
    assert '1 decisions' in remarks(measure(found))[0]


def changed(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy a bag with the data of its messages changed, or without them (None)."""
    with Bag(source) as bag:
        writer = BagWriter(target)
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        for message in bag.messages():
            if (data := change(message.topic, message.data)) is not None:
                writer.write(numbers[message.topic], message.time_ns, data)
        writer.close()
    return target


FOREIGN: dict[str, Callable[[Decision], dict[str, object]]] = {
    'source': lambda made: {'source': 'dance'},
    'fewer stamps': lambda made: {'stamps_ns': made.stamps_ns[:3]},
    'fewer silences': lambda made: {'silences': made.silences[:3]},
    'no silences': lambda made: {'silences': ()},
    'longer action': lambda made: {'action': (*made.action, 0.0)},
    'time': lambda made: {'now_ns': 10**30},
    'step': lambda made: {'step': 2**70},
    'iterations': lambda made: {'plan': made.plan and replace(made.plan, iterations=2**60)},
    'seed': lambda made: {'settings': made.settings.replace('"seed": 7', f'"seed": {2**70}')},
}


@pytest.mark.parametrize('change', FOREIGN.values(), ids=FOREIGN)
def test_a_decision_that_is_none_of_this_robot_is_refused_in_one_line(
        driver, drive, tmp_path: Path, bundle: Bundle,
        change: Callable[[Decision], dict[str, object]]) -> None:
    """One bag is refused, and those beside it are replayed."""
    driver.record(tmp_path / 'bag', drive(steps=5))
    with Bag(tmp_path / 'bag') as bag:
        def foreign(topic: str, data: bytes) -> bytes:
            if topic != '/controller/decision':
                return data
            read = bag.decode(next(message for message in bag.messages([topic])
                                   if message.data == data))
            made = Decision.from_items((item.key, item.value) for item in read.status[0].values)
            wrong = replace(made, **change(made))
            return bytes(serialize_message(DiagnosticArray(status=[DiagnosticStatus(
                values=[KeyValue(key=key, value=value) for key, value in wrong.to_items()])])))

        path = changed(tmp_path / 'bag', tmp_path / 'wrong', foreign)
    with pytest.raises(SpowlError) as error:
        replay(path, bundle)
    assert '\n' not in str(error.value)


def without(source: Path, target: Path, dropped: range) -> Path:
    """Copy a bag without some of its decisions."""
    with Bag(source) as bag:
        writer = BagWriter(target)
        numbers = {name: writer.add_topic(name, topic.type) for name, topic in bag.topics.items()}
        seen = 0
        for message in bag.messages():
            decided = message.topic.endswith('/controller/decision')
            if not (decided and seen in dropped):
                writer.write(numbers[message.topic], message.time_ns, message.data)
            seen += decided
        writer.close()
    return target


def test_a_recording_that_begins_midway_is_compared_from_the_next_episode(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What the controller remembered is not in the bag: that is said, and is no difference."""
    driver.record(tmp_path / 'whole', drive(steps=20, episodes=2))
    found = replay(without(tmp_path / 'whole', tmp_path / 'late', range(8)), bundle)
    assert found.compared.tolist() == [False] * 12 + [True] * 20
    assert found.same_bundle
    assert found.identical
    figures = measure(found)
    assert figures['decisions_without_past'] == 12
    assert figures['divergence']['action']['max'] == 0.0
    assert remarks(figures) == [
        '12 decisions are not compared: the bag lacks earlier ones, or inputs, on which their '
        'plans were built; comparison begins at decision 12',
        "of 12 of these the policy's action and values can be compared, for the bag holds all "
        'that the encoder reads: all identical']


def test_an_episode_after_a_missing_past_has_its_whole_budget(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What the episode before has spent, and its last action, end with it."""
    driver.record(tmp_path / 'whole', drive(steps=20, episodes=2,
                                            settings={'budget.limit': 100.0}))
    found = replay(without(tmp_path / 'whole', tmp_path / 'late', range(8)), bundle)
    assert found.compared.tolist() == [False] * 12 + [True] * 20
    assert found.differences == {}


def test_an_episode_without_its_first_decision_is_one(driver, drive, tmp_path: Path,
                                                      bundle: Bundle) -> None:
    """Figures of episodes are of two where the bag lacks the end of one and the other's begin."""
    driver.record(tmp_path / 'whole', drive(steps=20, episodes=2))
    found = replay(without(tmp_path / 'whole', tmp_path / 'gap', range(15, 25)), bundle)
    assert found.recorded.episode.tolist() == [0] * 15 + [1] * 15
    assert found.replayed.episode.tolist() == [0] * 15 + [1] * 15
    assert len(measure(found)['episodes']) == 2


@pytest.mark.slow
def test_a_window_is_exact_from_its_length_on(driver, drive, tmp_path: Path) -> None:
    """In a bag that begins midway the policy is compared once the window is whole."""
    window = export_untrained(
        tmp_path / 'window', contract('SafetyPointGoal1-v0', 5),
        replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32, window=3),
        PlannerSettings.compact(iterations=1, samples=16, policy_candidates=8, elites=8))
    type(driver)(window).record(tmp_path / 'whole', drive(steps=20, episodes=2))
    found = replay(tmp_path / 'whole', window)
    assert found.compared.all() and found.identical and not found.policy_compared.any()
    found = replay(without(tmp_path / 'whole', tmp_path / 'late', range(8)), window)
    assert found.compared.tolist() == [False] * 12 + [True] * 20
    assert found.policy_compared.tolist() == [False] * 3 + [True] * 9 + [False] * 20
    assert found.identical and not found.policy_differences
    assert '9 of these' in remarks(measure(found))[1]


def test_decisions_after_a_gap_are_not_compared(driver, drive, tmp_path: Path,
                                                bundle: Bundle) -> None:
    """What follows a lost decision is not compared until the controller begins anew."""
    driver.record(tmp_path / 'whole', drive(steps=20, episodes=2))
    found = replay(without(tmp_path / 'whole', tmp_path / 'gap', range(5, 9)), bundle)
    assert found.compared.tolist() == [True] * 5 + [False] * 11 + [True] * 20
    assert found.identical


def test_nothing_is_compared_where_no_episode_begins(driver, drive, tmp_path: Path,
                                                     bundle: Bundle) -> None:
    """A recording of the middle of one episode has no verdict, and says why."""
    driver.record(tmp_path / 'whole', drive(steps=20))
    found = replay(without(tmp_path / 'whole', tmp_path / 'late', range(8)), bundle)
    assert found.identical is None
    assert 'no episode begins in it' in remarks(measure(found))[0]


@pytest.mark.slow
def test_a_hand_over_after_a_stop_is_replayed(driver, drive, tmp_path: Path,
                                              bundle: Bundle) -> None:
    """A stop records nothing that is spent; who takes over knows it, in the replay too."""
    other = export_untrained(
        tmp_path / 'other', bundle.contract,
        replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
        PlannerSettings.compact(iterations=1, samples=16, policy_candidates=8, elites=8),
        seed=5)

    class Passing(type(driver)):
        def _episode(self, controller, drive, seed):
            first, count = controller, 0

            class Two:
                def decide(_, observation):
                    nonlocal controller, count
                    count += 1
                    if count == 6:
                        stop = controller.stop(observation.now_ns, 'waiting for imu')
                        self._send('controller/decision', message_of(stop))
                        controller = Controller(other, ControllerSettings(
                            planner=other.settings, budget=first.settings.budget), drive.seed)
                        controller.succeed(first)
                    return controller.decide(observation, cost=1.0)
            return super()._episode(Two(), drive, seed)

    decisions = Passing(bundle).record(tmp_path / 'bag', drive(
        steps=10, settings={'budget.limit': 100.0}))
    assert decisions[-1].budget_spent == 9.0
    found = replays.replay(tmp_path / 'bag', bundle, successors=[other])
    assert found.identical and found.compared.all() and len(found.replayed) == 11
    assert found.replayed.budget['spent'][-1] == 9.0


def message_of(decision: Decision) -> DiagnosticArray:
    """Return a decision as the controller publishes it."""
    return DiagnosticArray(status=[DiagnosticStatus(
        values=[KeyValue(key=key, value=value) for key, value in decision.to_items()])])


def test_a_monitor_tripped_before_the_recording_stays_so(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What outlasts the controller's reset is taken from the decision before it."""
    settings = {'cost_value.budget': 0.0, 'cost_value.hysteresis': 0.0,
                'cost_value.rule.level': 'policy', 'cost_value.rule.trigger': 4}
    driver.record(tmp_path / 'whole', drive(steps=12, episodes=2, settings=settings))
    whole = replay(tmp_path / 'whole', bundle)
    assert whole.recorded is not None and whole.recorded.alarms['cost_value'][8:].all()
    found = replay(without(tmp_path / 'whole', tmp_path / 'late', range(11)), bundle)
    assert found.compared.sum() == 12
    assert found.identical


def test_a_change_without_effect_is_told(lock_step_bag: Path, bundle: Bundle) -> None:
    """A threshold that the adaptive planner does not use changes nothing; that is said."""
    figures = measure(replay(lock_step_bag, bundle, **{'planner.cost_threshold': 0.5}))
    assert figures['identical']
    assert remarks(figures) == ['planner.cost_threshold made no difference to any decision']


def test_a_cut_bag_is_replayed_up_to_the_cut(
        driver, drive, tmp_path: Path, bundle: Bundle) -> None:
    """What is left is reproduced, and the damage is told."""
    driver.record(tmp_path / 'bag', drive(steps=30))
    file = tmp_path / 'bag' / 'bag_0.mcap'
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 3])
    found = replay(tmp_path / 'bag', bundle)
    assert 5 < len(found.replayed) < 30
    assert found.identical
    assert 'damaged' in found.damage[0]


Edit = Callable[[str, str], tuple[str, str] | None]


def rewritten(source: Path, target: Path, edit: Edit) -> Path:
    """Copy a bag with its topics renamed, retyped or dropped."""
    with Bag(source) as bag:
        writer = BagWriter(target)
        numbers = {}
        for name, topic in bag.topics.items():
            if (edited := edit(name, topic.type)) is not None:
                numbers[name] = writer.add_topic(*edited)
        for message in bag.messages(list(numbers)):
            writer.write(numbers[message.topic], message.time_ns, message.data)
        writer.close()
    return target


@pytest.mark.parametrize(('edit', 'said'), [
    (lambda name, kind: None if name == '/hazards_scan' else (name, kind), '/hazards_scan'),
    (lambda name, kind: (name, 'sensor_msgs/msg/Temperature' if name == '/imu' else kind),
     'is a sensor_msgs/msg/Temperature, wanted sensor_msgs/msg/Imu'),
    (lambda name, kind: (name + '_of_others', kind), 'another task'),
])
def test_a_bag_of_something_else_is_told_in_one_line(
        driver, drive, tmp_path: Path, bundle: Bundle, edit: Edit, said: str) -> None:
    """A missing topic, one of another type, and a bag of another robot name what is wrong."""
    driver.record(tmp_path / 'bag', drive(steps=2))
    path = rewritten(tmp_path / 'bag', tmp_path / 'other', edit)
    with pytest.raises(SpowlError, match=said) as error:
        replay(path, bundle)
    assert '\n' not in str(error.value)


def test_an_empty_bag_is_told(tmp_path: Path, bundle: Bundle) -> None:
    """Nothing was recorded: that is said, not a missing topic."""
    BagWriter(tmp_path / 'bag').close()
    with pytest.raises(SpowlError, match='holds no messages'):
        replay(tmp_path / 'bag', bundle)


def test_a_setting_that_the_bundle_fixes_is_refused(lock_step_bag: Path, bundle: Bundle) -> None:
    """The message names the setting and what to do."""
    with pytest.raises(SpowlError, match=r"'horizon' is fixed"):
        replay(lock_step_bag, bundle, **{'planner.horizon': 5})
