# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The controller decides, says why, and decides the same again."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.control.observation import Observation
from spowl_ros.control.settings import ControllerSettings

PERIOD_NS = 100_000_000


@pytest.fixture(scope='module')
def loaded(untrained_bundle: Path) -> Bundle:
    """Return the untrained bundle, loaded."""
    return bundle.load(untrained_bundle)


def settings_of(loaded: Bundle, **values: object) -> ControllerSettings:
    """Return the settings of a bundle, some changed; '__' stands for a dot."""
    return ControllerSettings(planner=loaded.settings).change(
        {name.replace('__', '.'): value for name, value in values.items()})


def observe(loaded: Bundle, step: int, fill: float | None = None) -> Observation:
    """Return the observation of a step: reproducible numbers, or one number everywhere."""
    size, fields = loaded.contract.size, len(loaded.contract.fields)
    values = np.random.default_rng(step).uniform(0, 1, size) if fill is None else (
        np.full(size, fill))
    now_ns = step * PERIOD_NS
    return Observation(values.astype(np.float32), np.full(fields, now_ns), now_ns,
                       np.zeros(fields))


def with_value(observation: Observation, value: float) -> Observation:
    """Return the observation with one value replaced."""
    values = observation.values.copy()
    values[-1] = value
    return dataclasses.replace(observation, values=values)


def stripped(decision: Decision) -> Decision:
    """Return the decision without what a clock measured."""
    return dataclasses.replace(decision, seconds={})


def test_decides_within_limits_and_says_who(loaded: Bundle) -> None:
    """Every decision has an action in [-1, 1], a source, and the plan it is based on."""
    controller = Controller(loaded)
    for step in range(5):
        decision = controller.decide(observe(loaded, step))
        assert decision.step == step
        assert decision.source in ('plan', 'policy')
        assert len(decision.action) == 2 and max(map(abs, decision.action)) <= 1
        assert decision.plan is not None
        wanted = {'plan': decision.plan.plan_action, 'policy': decision.plan.policy_action}
        assert decision.action == wanted[decision.source]
        assert bool(decision.reason) == (decision.source == 'policy')


def test_changes_are_held_within_the_contract(loaded: Bundle) -> None:
    """From rest, and from one decision to the next, no actuator changes by more than agreed."""
    contract = loaded.contract
    bounded = dataclasses.replace(loaded, contract=dataclasses.replace(
        contract, action=dataclasses.replace(contract.action, change=0.05)))
    free, held = Controller(loaded), Controller(bounded)
    last, limited = np.array(held.stop_action), 0
    for step in range(30):
        observation = observe(loaded, step)
        wanted, decision = free.decide(observation), held.decide(observation)
        assert decision.plan is not None
        assert np.abs(np.array(decision.action) - last).max() <= 0.1 + 1e-9
        limited += decision.action != wanted.action
        last = np.array(decision.action)
    assert limited > 10
    middle = Controller(bounded)
    middle.resume(31, decision)  # as a replay that begins in the middle
    action = np.array(middle.decide(observe(loaded, 31)).action)
    assert np.abs(action - last).max() <= 0.1 + 1e-9
    assert any(np.isnan(held.decide(observe(loaded, step)).plan.model_error)  # type: ignore
               for step in range(30, 40)), 'what was not predicted is no error of the model'
    stopped = held.decide(observe(loaded, 40, fill=math.nan))
    assert stopped.source == 'stop' and stopped.action == held.stop_action, 'at once'


def test_records_replay_bit_for_bit(loaded: Bundle) -> None:
    """What is recorded as text gives the same decisions, deadlines and bad sensors included."""
    recording, replaying = Controller(loaded, seed=7), Controller(loaded, seed=7)
    for step in range(30):
        observation = observe(loaded, step)
        if step in (10, 11):
            observation = with_value(observation, math.nan)
        if step >= 20:  # another episode
            observation = dataclasses.replace(
                observation, stamps_ns=observation.stamps_ns + 10**12,
                now_ns=observation.now_ns + 10**12)
        recorded = recording.decide(observation, deadline_s=0.002 if step % 3 else None)
        recorded = Decision.from_items(recorded.to_items())
        replayed = replaying.decide(
            observation, iterations=recorded.plan.iterations if recorded.plan else None,
            deadline_missed=recorded.deadline_missed, cost=recorded.cost)
        # As text, because one not-a-number is not equal to another.
        assert stripped(replayed).to_items() == stripped(recorded).to_items()


def test_not_a_number_stops_and_recovers(loaded: Bundle) -> None:
    """While a sensor talks nonsense the robot stops; afterwards it drives again."""
    controller = Controller(loaded)
    sources = []
    for step in range(8):
        observation = observe(loaded, step)
        if step == 2:
            observation = with_value(observation, math.nan)
        decision = controller.decide(observation)
        sources.append(decision.source)
        assert np.isfinite(decision.action).all()
        if decision.source == 'stop':
            assert decision.action == (0.0, 0.0)
            assert decision.monitor == 'values'
            assert 'not finite' in decision.reason
            assert decision.plan is None
    release = controller.settings.values.rule.release
    assert sources[2:2 + release] == ['stop'] * release
    assert 'stop' not in sources[2 + release:]


def test_not_a_number_stops_even_unmonitored(loaded: Bundle) -> None:
    """With the monitor off, no action that is not a number gets out, nor stays in the planner."""
    controller = Controller(loaded, settings_of(loaded, values__rule__level='off'))
    decision = controller.decide(with_value(observe(loaded, 0), math.nan))
    assert decision.source == 'stop'
    assert 'not finite' in decision.reason
    assert controller.decide(observe(loaded, 1)).source in ('plan', 'policy')


def test_late_decisions_give_up_planning_for_a_while(loaded: Bundle) -> None:
    """After too many late decisions the policy acts, without planning, until released."""
    controller = Controller(loaded, settings_of(
        loaded, deadline__misses=1, deadline__window=2, deadline__rule__release=3))
    decisions = [controller.decide(observe(loaded, step), deadline_missed=step < 2)
                 for step in range(8)]
    sources = [decision.source for decision in decisions]
    assert sources[2:5] == ['policy'] * 3
    assert all(decision.plan.iterations == 0 for decision in decisions[2:5])
    assert decisions[2].reason == '2 of the last 2 decisions were late, 1 are borne'
    assert decisions[-1].plan.iterations > 0


def test_no_time_takes_the_policy(loaded: Bundle) -> None:
    """A deadline that is over already gives the policy's action, not none."""
    decision = Controller(loaded).decide(observe(loaded, 0), deadline_s=0.0)
    assert decision.source == 'policy'
    assert decision.reason == 'no time to plan'
    assert decision.deadline_missed


def test_model_error_hands_over_to_the_policy(loaded: Bundle) -> None:
    """A world that moves otherwise than predicted is the policy's until it behaves again."""
    calibrated = dataclasses.replace(loaded, calibration={
        'model_error': [[0.999, 1e-6]], 'cost_offset': [], 'window': 0, 'episodes': 1,
        'decisions': 1, 'first_seed': 0})
    controller = Controller(
        calibrated, settings_of(loaded, model_error__rule__level='policy'))
    decisions = [controller.decide(observe(loaded, step)) for step in range(4)]
    assert math.isnan(decisions[0].plan.model_error)
    assert [decision.monitor for decision in decisions] == ['', '', 'model_error', 'model_error']
    assert decisions[3].source == 'policy'
    controller.change(settings_of(loaded, model_error__factor=100.0,
                                  model_error__rule__level='off'))
    assert controller.decide(observe(loaded, 4)).monitor == ''


def test_settings_are_recorded_when_they_change(loaded: Bundle) -> None:
    """The first decision carries all settings, and so does the first with other ones."""
    controller = Controller(loaded)
    first, second = (controller.decide(observe(loaded, step)) for step in range(2))
    assert json.loads(first.settings)['seed'] == 0
    assert second.settings == ''
    controller.change(settings_of(loaded, planner__iterations=1))
    third = controller.decide(observe(loaded, 2))
    assert json.loads(third.settings)['settings']['planner.iterations'] == 1
    assert third.plan.iterations == 1


@pytest.mark.parametrize(('values', 'words'), [
    ({'planner.horizon': 5}, "'horizon' is fixed in the bundle"),
    ({'planner.iterations': -1}, 'iterations.* wanted an integer from 0'),
    ({'sensor_margin.rule.level': 'fly'}, "wanted one of 'off', 'policy', 'monitor', 'stop'"),
    ({'sensor_margin.margins': 0.1}, "no setting 'sensor_margin.margins'"),
    ({'sensor_margin.margin': True}, 'wanted a number'),
])
def test_bad_settings_are_refused(loaded: Bundle, values: dict[str, object], words: str) -> None:
    """The reason names the setting and what it takes."""
    with pytest.raises(SpowlError, match=words):
        ControllerSettings(planner=loaded.settings).change(values)


def test_an_interruption_begins_the_plan_anew_and_no_episode(loaded: Bundle) -> None:
    """After a silence or a clock set back no model error is known; one wrong stamp is neither."""
    controller = Controller(loaded)
    fields = len(loaded.contract.fields)
    found = []
    for seconds in (10.0, 10.1, 50.0, 50.1, 0.0, 0.1):
        stamps = np.full(fields, round(seconds * 1e9))
        observation = dataclasses.replace(observe(loaded, 0), stamps_ns=stamps,
                                          now_ns=int(stamps[0]))
        found.append(controller.decide(observation))
    stamps[0] += 10**12
    found.append(controller.decide(dataclasses.replace(observation, stamps_ns=stamps)))
    assert [one.step for one in found] == list(range(7))
    assert [one.plan is not None and math.isnan(one.plan.model_error) for one in found] == [
        True, False, True, False, True, False, False]


def test_stop_without_an_observation(loaded: Bundle) -> None:
    """Before any sensor there is a decision as well: to stop, and why."""
    decision = Controller(loaded).stop(5, 'waiting for imu')
    assert decision.source == 'stop'
    assert decision.action == (0.0, 0.0)
    assert Decision.from_items(decision.to_items()).reason == 'waiting for imu'


def test_observed_costs_raise_the_bound_for_good(loaded: Bundle) -> None:
    """What costs more than predicted is covered from then on, whatever else is set meanwhile."""
    controller = Controller(loaded, settings_of(loaded, cost_value__window=2))
    offsets = [controller.decide(observe(loaded, step), cost=50.0).cost_offset
               for step in range(20)]
    assert offsets[0] == 0.0 and offsets[-1] > offsets[10] > 0.0
    controller.change(settings_of(loaded, cost_value__window=2, cost_value__budget=9.0,
                                  planner__iterations=1))
    assert controller.decide(observe(loaded, 20)).cost_offset == offsets[-1]
    controller.change(settings_of(loaded, cost_value__window=2, cost_value__coverage=0.95))
    assert controller.decide(observe(loaded, 21)).cost_offset == 0.0


FAULTS = ('nan', 'huge', 'old', 'silent', 'future', 'late', 'hazard', 'leap')
MONITORS = {'staleness': SOURCES[1:4], 'values': SOURCES[1:4], 'sensor_margin': SOURCES[1:4],
            'deadline': ('policy',), 'model_error': ('policy',), 'cost_value': ('policy',)}


@st.composite
def rules(draw: st.DrawFn) -> dict[str, object]:
    """Draw who leads while each monitor is tripped, and how quickly it trips and is released."""
    drawn: dict[str, object] = {}
    for monitor, levels in MONITORS.items():
        drawn[f'{monitor}.rule.level'] = draw(st.sampled_from(('off', *levels)))
        drawn[f'{monitor}.rule.trigger'] = draw(st.integers(1, 3))
        drawn[f'{monitor}.rule.release'] = draw(st.integers(1, 5))
    return drawn


def with_faults(loaded: Bundle, observation: Observation, faults: set[str]) -> Observation:
    """Return an observation with what the faults do to it."""
    values, stamps = observation.values.copy(), observation.stamps_ns.copy()
    silences = observation.silences.copy()
    hazards = loaded.contract.slices['hazards_lidar']
    values[hazards] = 0.99 if 'hazard' in faults else 0.0
    values[0] = {'nan': math.nan, 'huge': 1e9}.get(
        min(faults & {'nan', 'huge'}, default=''), values[0])
    stamps[0] += {'old': -10, 'future': 10}.get(
        min(faults & {'old', 'future'}, default=''), 0) * 10**9
    silences[1] = 10.0 if 'silent' in faults else 0.0
    return dataclasses.replace(observation, values=values, stamps_ns=stamps, silences=silences)


@pytest.mark.slow
@hypothesis_settings(max_examples=40, deadline=None,
                     suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules(), st.lists(st.sets(st.sampled_from(FAULTS), max_size=2), max_size=20))
def test_whatever_happens_there_is_an_action_and_a_way_back(
        loaded: Bundle, given_rules: dict[str, object], history: list[set[str]]) -> None:
    """Never none, never one of a source that a tripped monitor forbids, and not for ever."""
    calibrated = dataclasses.replace(loaded, calibration={
        'model_error': [[0.999, 0.5]], 'cost_offset': [[0.9, 1.0]], 'window': 2, 'episodes': 1,
        'decisions': 1, 'first_seed': 0})
    settings = ControllerSettings(planner=loaded.settings).change(given_rules)
    controller = Controller(calibrated, settings)
    trust = {'off': 0, **{source: rank for rank, source in enumerate(SOURCES)}}
    quiet: list[set[str]] = [set()] * (settings.deadline.window + 6)
    start = 1000
    for number, faults in enumerate([*history, *quiet]):
        start += 100 if 'leap' in faults else 0
        observation = with_faults(loaded, observe(loaded, start + number), faults)
        decision = controller.decide(observation, deadline_missed='late' in faults)
        assert len(decision.action) == 2 and max(map(abs, decision.action)) <= 1.0
        assert np.isfinite(decision.action).all()
        assert bool(decision.reason) == (decision.source != 'plan')
        assert [reading.monitor for reading in decision.readings] == [
            name for name in settings.rules() if name != 'budget']  # there is none
        for monitor in decision.tripped:
            level = settings.rules()[monitor].level
            assert trust[decision.source] >= trust[level], decision
        if decision.source == 'stop':
            assert decision.action == controller.stop_action
    assert decision.source in ('plan', 'policy')
    assert not set(decision.tripped) - {'model_error', 'cost_value'}
