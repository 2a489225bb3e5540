# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor lets through what is allowed and replaces the rest, without anything learned."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.supervisor.binding import Binding, Publisher
from spowl_ros.supervisor.latch import RELEASE_AFTER_S, Latch
from spowl_ros.supervisor.rules import STATES, Supervised, Supervision
from spowl_ros.supervisor.settings import SupervisionSettings, unfit_for_a_robot

SCAN = Field('hazards_lidar', 'scan', 'hazards_scan', 16, '1', 0.0, 1.0, 0.17, 0.2)
CONTRACT = Contract(
    task='Test-v0', robot='Point', fields=(SCAN,),
    action=ActionSpec(('x', 'z'), (-1.0, -3.0), (1.0, 3.0), 'effort', (0.0, 0.0)),
    raw_period=0.02, action_repeat=5)


def make(steady: bool = True, **settings: object) -> Supervision:
    """Return a supervision that started at time 0."""
    supervision = Supervision(CONTRACT, SupervisionSettings(**settings), steady)
    supervision.start(0.0)
    return supervision


def show_hazard(supervision: Supervision, distance: float, now: float = 0.0) -> None:
    """Let it see a scan with a hazard's edge at a distance ahead, metres."""
    closeness = np.zeros(16, np.float32)
    closeness[0] = max(0.0, 1.0 - (distance + 0.2) / 3.0)
    supervision.region.see(SCAN.name, closeness, round((now + 1.0) * 1e9), now)


def check(result: Supervised, command: list[float], state: str, reason: str = '') -> None:
    """Compare a result with what is expected of it."""
    np.testing.assert_allclose(result.command, command)
    assert (result.state, reason in result.reason) == (state, True)


def test_passes_what_is_allowed() -> None:
    """A command within all limits goes through unchanged."""
    check(make().command(np.array([0.5, -2.0]), 0.1), [0.5, -2.0], 'passing')


def test_limits_magnitude_and_change() -> None:
    """A command is clipped to its share of the range, and to a change per command."""
    supervision = make(magnitude=0.5, change=0.25)
    check(supervision.command(np.array([1.0, 1.0]), 0.1), [0.5, 1.0], 'limited')
    check(supervision.command(np.array([-1.0, 3.0]), 0.2), [0.0, 1.5], 'limited')


def test_limits_of_the_robots_file_narrow_all_others() -> None:
    """What was sent is known: the state names the limit, and changes count from there."""
    supervision = Supervision(CONTRACT, SupervisionSettings(change=0.25),
                              limits={'x': 0.1, 'z': 9.0})
    supervision.start(0.0)
    for tick in range(5):
        result = supervision.command(np.array([1.0, 0.0]), 0.1 * tick)
        check(result, [0.1, 0.0], 'limited', 'beyond its limits')
    check(supervision.command(np.array([-1.0, 0.0]), 0.5), [-0.1, 0.0], 'limited')
    check(supervision.command(np.array([0.05, 9.0]), 0.6), [0.05, 1.5], 'limited')
    check(supervision.command(np.array([0.05, 1.5]), 0.7), [0.05, 1.5], 'passing')


@pytest.mark.parametrize('limit', [0.1, 0.5, 1.0])
def test_a_ramp_begins_at_what_was_sent(limit: float) -> None:
    """A robot limited to a part of the range takes that part of the ramp's time to stop."""
    contract = replace(CONTRACT, action=replace(CONTRACT.action, stop_ramp=1.0))
    supervision = Supervision(contract, SupervisionSettings(), limits={'x': limit})
    supervision.start(0.0)
    for tick in range(5):
        supervision.command(np.array([1.0, 0.0]), 0.1 * tick)
    sent = [float(supervision.stopped('a test', 0.4 + 0.05 * tick).command[0])
            for tick in range(1, 21)]
    wanted = [max(0.0, limit - 0.05 * tick) for tick in range(1, 21)]
    np.testing.assert_allclose(sent, wanted, atol=1e-6)


def test_the_contract_bounds_changes_too() -> None:
    """The tighter of setting and contract holds; what a message rounded off passes."""
    contract = replace(CONTRACT, action=replace(CONTRACT.action, change=0.25))
    supervision = Supervision(contract, SupervisionSettings())
    supervision.start(0.0)
    nearly = float(np.float32(0.1)) + 0.5 - 0.1
    check(supervision.command(np.array([nearly, 1.5]), 0.1), [nearly, 1.5], 'passing')
    limited = supervision.command(np.array([1.0, -3.0]), 0.2)
    assert limited.state == 'limited'
    assert limited.command == pytest.approx([1.0, 0.0], abs=3e-6), 'up to the rounding'
    supervision = Supervision(contract, SupervisionSettings(change=0.125))
    check(supervision.command(np.array([1.0, 1.0]), 0.1), [0.25, 0.75], 'limited')


@pytest.mark.parametrize('limits', [{'magnitude': 0.0}, {'magnitude': 0.5}, {'change': 0.001}])
@pytest.mark.parametrize('low', [-1.0, 0.0])
def test_no_limit_turns_a_stop_into_a_movement(limits: dict[str, float], low: float) -> None:
    """The controller's own stop passes whole, also where rest is not the middle of the range."""
    contract = replace(CONTRACT, action=replace(CONTRACT.action, low=(low, -3.0), change=0.1))
    supervision = Supervision(contract, SupervisionSettings())
    supervision.start(0.0)
    for tick in range(6):
        supervision.command(np.array([1.0, 0.0]), 0.1 * tick)
    supervision.settings = SupervisionSettings(**limits)
    check(supervision.command(np.zeros(2), 0.6), [0, 0], 'passing')


def test_all_of_the_range_is_allowed_where_rest_is_at_its_edge() -> None:
    """A magnitude of 1 limits nothing, a half one half of the way from rest to the edge."""
    contract = replace(CONTRACT, action=replace(CONTRACT.action, low=(0.0, -3.0)))
    supervision = Supervision(contract, SupervisionSettings())
    check(supervision.command(np.array([1.0, 3.0]), 0.1), [1.0, 3.0], 'passing')
    supervision.settings = SupervisionSettings(magnitude=0.5)
    check(supervision.command(np.array([1.0, 3.0]), 0.2), [0.5, 1.5], 'limited')


@pytest.mark.parametrize('command', [[np.nan, 0.0], [np.inf, 0.0], [0.0], [0.0, 0.0, 0.0], []])
def test_stops_at_nonsense(command: list[float]) -> None:
    """What is not a finite number for each actuator never reaches them."""
    check(make().command(np.array(command), 0.1), [0, 0], 'stopped', 'not a finite number')


def test_stop_latches_until_released() -> None:
    """An operator's stop outlasts every command and silence."""
    supervision = make()
    supervision.latch.stop(0.0, '/panel')
    check(supervision.command(np.array([1.0, 0.0]), 0.1), [0, 0], 'stopped', 'operator')
    check(supervision.silent(9.0), [0, 0], 'stopped', 'operator')
    assert supervision.latch.release(9.0, '/panel') == ''
    assert supervision.latch.last == 'released by /panel'
    check(supervision.command(np.array([1.0, 0.0]), 9.1), [1, 0], 'passing')


def test_a_supervisor_starts_held() -> None:
    """Whatever was before, nothing passes until somebody releases the robot."""
    supervision = Supervision(CONTRACT, SupervisionSettings(), latch=Latch(held=True))
    supervision.start(0.0)
    check(supervision.command(np.array([1.0, 0.0]), 0.1), [0, 0], 'stopped', 'held since')
    supervision.latch.release(0.2, '/panel')
    check(supervision.command(np.array([1.0, 0.0]), 0.3), [1, 0], 'passing')


@given(st.lists(st.tuples(st.sampled_from(['stop', 'release']), st.floats(0.0, 2.0)),
                max_size=30))
def test_stop_wins(calls: list[tuple[str, float]]) -> None:
    """In any interleaving the robot is held from a stop until a release well after the last."""
    latch, now, last, held = Latch(held=False), 10.0, -np.inf, False
    for kind, wait in calls:
        now += wait
        if kind == 'stop':
            latch.stop(now, 'a')
            last, held = now, True
        else:
            refusal = latch.release(now, 'b')
            held = held and bool(refusal)
            assert bool(refusal) == (now - last < RELEASE_AFTER_S)
        assert latch.held == held
        assert bool(latch.reason) == held


def test_silence_is_replaced() -> None:
    """Silence longer than its limit gives the stop action, a command ends it."""
    supervision = make(silence=1.5)
    supervision.command(np.array([1.0, 0.0]), 1.0)
    assert supervision.silent(1.14) is None
    check(supervision.silent(1.16), [0, 0], 'stopped', 'no command for 1.5 control periods')
    check(supervision.command(np.array([1.0, 0.0]), 1.2), [1, 0], 'passing')


def test_lock_step_is_never_silent() -> None:
    """Where steady time means nothing, nothing is replaced."""
    assert make(steady=False).silent(1e6) is None


@pytest.mark.parametrize(('given', 'simulation', 'wanted'), [
    ('auto', False, 'stop'), ('auto', True, 'off'), ('off', False, 'off'), ('slow', True, 'slow')])
def test_a_real_robot_keeps_away_from_hazards_by_default(given: str, simulation: bool,
                                                         wanted: str) -> None:
    """What nobody sets is a stop where the robot is real; whoever sets it is obeyed."""
    assert SupervisionSettings().margin_response == 'auto'
    resolved = SupervisionSettings(margin_response=given).resolved(simulation)
    assert resolved.margin_response == wanted
    assert make(margin_response=wanted).unguarded == (
        'limits.margin_response is off' if wanted == 'off' else '')


def test_an_episode_begins_as_at_the_start() -> None:
    """The first command is judged by none of the episode before, nor are its hazards."""
    supervision = make(change=0.25)
    supervision.start(0.0)
    for now in (1.0, 1.1, 1.2):
        supervision.command(np.array([1.0, 0.0]), now)
    supervision.begin_episode()
    check(supervision.command(np.array([1.0, 0.0]), 1.3), [0.5, 0], 'limited')


A, B = Publisher(b'a', '/controller'), Publisher(b'b', '/intruder')


def test_one_controller_is_obeyed() -> None:
    """Others are refused beside it, after its death, and as senders of single commands."""
    binding = Binding()
    assert binding.refusal([A], b'a') == ''
    assert 'two controllers' in binding.refusal([A, B], b'a')
    assert 'two controllers' in binding.refusal([A, Publisher(b'c', '')])
    assert 'another one than /controller' in binding.refusal([A], b'b')
    assert '/intruder commands the robot' in binding.refusal([B])
    assert 'an unknown node' in binding.refusal([Publisher(b'c', '')])
    assert 'not its controller' in binding.refusal([], b'b')
    assert binding.refusal([Publisher(b'd', '/controller')], b'd') == '', 'started anew'
    assert 'another one' in binding.refusal([Publisher(b'd', '/controller')], b'a')


def test_a_name_that_is_not_known_yet_is_bound_by_its_publisher() -> None:
    """Discovery tells the publisher before its node: the first command is not lost for it."""
    binding = Binding()
    assert binding.refusal([Publisher(b'a', '')], b'a') == ''
    assert binding.refusal([A], b'a') == ''
    assert binding.bound == '/controller'
    assert binding.refusal([B]) != ''


def test_others_stop_the_robot_for_a_while() -> None:
    """After a command of another one the robot rests for five control periods."""
    supervision = make()
    command = np.array([1.0, 0.0])
    check(supervision.command(command, 1.0), [1, 0], 'passing')
    check(supervision.command(command, 1.05, 'two controllers'), [0, 0], 'stopped', 'two')
    check(supervision.command(command, 1.4), [0, 0], 'stopped', 'two controllers')
    check(supervision.command(command, 1.6), [1, 0], 'passing')


@pytest.mark.parametrize(('given', 'words'), [
    ({'rate': 0}, 'rate: is 0'), ({'rate': 0.01}, 'rate: is 0.01'),
    ({'limits.silence': 100.0}, 'limits.silence: is 100'),
    ({'limits.silence': float('nan')}, 'limits.silence: is nan'),
    ({'limits.silence': '3'}, "limits.silence: is '3'"), ({'simulation': True}, 'simulation:')])
def test_a_real_robots_watchdog_stays(given: dict[str, object], words: str) -> None:
    """What would put the watchdog of a real robot to sleep is refused."""
    limits = {'x': 1.0, 'z': 1.0}
    assert unfit_for_a_robot({'limits.silence': 3}, limits, CONTRACT) == []
    assert [words in phrase for phrase in unfit_for_a_robot(given, limits, CONTRACT)] == [True]


def test_a_real_robot_has_limits_of_its_own() -> None:
    """A model cannot set the limits that guard against it, nor a stop that moves."""
    assert 'none for z' in unfit_for_a_robot({}, {'x': 1.0}, CONTRACT)[0]
    moving = replace(CONTRACT, action=replace(CONTRACT.action, stop=(1.0, 1.0)))
    assert 'only zeros' in unfit_for_a_robot({}, {'x': 1.0, 'z': 1.0}, moving)[0]


@pytest.mark.parametrize(('response', 'expected', 'state'), [
    ('stop', [0, 0], 'stopped'), ('slow', [0.3, 0], 'slowed'), ('off', [1, 0], 'passing')])
def test_margin_answers_what_leads_in(response: str, expected: list[float], state: str) -> None:
    """A command towards a hazard too near is stopped or slowed, again and again; away passes."""
    supervision = make(margin_response=response)
    for tick in range(5):
        show_hazard(supervision, 0.3, 0.1 * tick)
        check(supervision.command(np.array([1.0, 0.0]), 0.1 * tick), expected, state)
    check(supervision.command(np.array([-1.0, 0.0]), 0.5), [-1, 0], 'passing')


def test_a_hazard_that_comes_while_a_command_is_held_stops_it() -> None:
    """The last command is judged anew between two commands."""
    supervision = make(margin_response='stop')
    show_hazard(supervision, 2.7, 0.0)
    check(supervision.command(np.array([1.0, 0.0]), 0.01), [1, 0], 'passing')
    assert supervision.again(0.02) is None
    show_hazard(supervision, 0.2, 0.05)
    check(supervision.again(0.06), [0, 0], 'stopped', 'hazard at 0.20 m')


def test_a_held_command_is_slowed_once() -> None:
    """Judged anew between two commands, it keeps its factor, and stops where no scan comes."""
    supervision = make(margin_response='slow', slow_factor=0.3)
    show_hazard(supervision, 0.3)
    check(supervision.command(np.array([1.0, 0.0]), 0.01), [0.3, 0], 'slowed')
    for tick in range(2, 10):
        assert supervision.again(0.01 * tick) is None
    check(supervision.again(0.3), [0, 0], 'stopped', 'no hazards_lidar for')
    check(supervision.command(np.array([1.0, 0.0]), 0.31), [0, 0], 'stopped')


@pytest.mark.parametrize('steady', [True, False])
def test_a_new_start_knows_no_reading_of_the_time_before(steady: bool) -> None:
    """What was seen before a pause counts neither as present nor as free."""
    supervision = make(steady, margin_response='stop')
    show_hazard(supervision, 2.7)
    check(supervision.command(np.array([1.0, 0.0]), 0.01), [1, 0], 'passing')
    supervision.start(0.02)
    check(supervision.command(np.array([1.0, 0.0]), 0.03), [0, 0], 'stopped',
          'no hazards_lidar yet')


NUMBER = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])
EVENTS = st.lists(st.one_of(
    st.tuples(st.just('command'), st.tuples(NUMBER, NUMBER)),
    st.tuples(st.just('latch'), st.sampled_from(['stop', 'release'])),
    st.tuples(st.just('hazard'), st.floats(0.0, 2.0)),
    st.tuples(st.just('wait'), st.floats(0.0, 0.5))), max_size=40)


@given(EVENTS, st.sampled_from(['off', 'slow', 'stop']), st.floats(0.1, 1.0),
       st.floats(0.01, 1.0))
def test_never_beyond_limits(events: list[tuple[str, object]], response: str, magnitude: float,
                             change: float) -> None:
    """Whatever happens, what leaves is finite, within range, and the stop action when latched."""
    supervision = make(margin_response=response, magnitude=magnitude, change=change)
    now, latched, last = 0.0, False, np.zeros(2)
    for kind, value in events:
        now += 0.05
        if kind == 'latch':
            if value == 'stop':
                supervision.latch.stop(now, 'a')
            else:
                supervision.latch.release(now, 'a')
            latched = supervision.latch.held
        elif kind == 'hazard':
            show_hazard(supervision, value, now)
        elif kind == 'wait':
            now += value
            silent = supervision.silent(now)
            last = last if silent is None else silent.command
        else:
            result = supervision.command(np.array(value), now)
            assert result.state in STATES
            assert bool(result.reason) == (result.state != 'passing')
            assert np.isfinite(result.command).all()
            if latched or result.state == 'stopped':
                np.testing.assert_array_equal(result.command, [0, 0])
            else:
                reach = np.array([1.0, 3.0])
                assert (np.abs(result.command) <= magnitude * reach + 1e-9).all()
                grown = np.abs(result.command) - np.abs(last)  # towards rest it may leap
                assert (grown <= 2 * change * reach + 1e-9).all()
            last = result.command
