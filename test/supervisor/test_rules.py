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
from spowl_ros.supervisor.rules import STATES, Supervised, Supervision, SupervisionSettings

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


def show_hazard(supervision: Supervision, distances: list[float], now: float = 0.0) -> None:
    """Let it see scans 0.1 s apart with a hazard's edge at some distances ahead, metres."""
    for index, distance in enumerate(distances):
        closeness = np.zeros(16, np.float32)
        closeness[0] = 1.0 - (distance + 0.2) / 3.0
        supervision.see(SCAN, closeness, round((now + 0.1 * index) * 1e9), now)


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


@pytest.mark.parametrize('command', [[np.nan, 0.0], [np.inf, 0.0], [0.0], [0.0, 0.0, 0.0], []])
def test_stops_at_nonsense(command: list[float]) -> None:
    """What is not a finite number for each actuator never reaches them."""
    check(make().command(np.array(command), 0.1), [0, 0], 'stopped', 'not a finite number')


def test_stop_latches_until_released() -> None:
    """An operator's stop outlasts every command and silence."""
    supervision = make()
    supervision.latch(True)
    check(supervision.command(np.array([1.0, 0.0]), 0.1), [0, 0], 'stopped', 'operator')
    check(supervision.silent(9.0), [0, 0], 'stopped', 'operator')
    supervision.latch(False)
    check(supervision.command(np.array([1.0, 0.0]), 9.1), [1, 0], 'passing')


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


def test_two_controllers_stop_the_robot() -> None:
    """Commands from two senders at once stop it; one that took over long after does not."""
    supervision = make()
    command = np.array([1.0, 0.0])
    check(supervision.command(command, 1.0, 'a'), [1, 0], 'passing')
    check(supervision.command(command, 1.05, 'b'), [0, 0], 'stopped', 'two controllers')
    check(supervision.command(command, 1.1, 'a'), [0, 0], 'stopped', 'two controllers')
    check(supervision.command(command, 2.0, 'b'), [1, 0], 'passing')


def test_margin_stops_or_slows_an_approach_only() -> None:
    """A hazard coming nearer stops or slows the robot; one it leaves does not hold it."""
    command = np.array([1.0, 0.0])
    for response, expected, state in (('stop', [0, 0], 'stopped'), ('slow', [0.3, 0], 'slowed'),
                                      ('off', [1, 0], 'passing')):
        supervision = make(margin_response=response)
        show_hazard(supervision, [0.5, 0.3])
        check(supervision.command(command, 0.1), expected, state)
        show_hazard(supervision, [0.1, 0.15], now=1.0)
        supervision.latch(False)
        check(supervision.command(command, 1.1), [1, 0], 'passing')


def test_margin_needs_its_scan() -> None:
    """With the margin watched, a silent scan is no clear way."""
    supervision = make(margin_response='slow')
    check(supervision.command(np.array([1.0, 0.0]), 5.0), [0, 0], 'stopped', 'no hazards_lidar')


NUMBER = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])
EVENTS = st.lists(st.one_of(
    st.tuples(st.just('command'), st.tuples(NUMBER, NUMBER)),
    st.tuples(st.just('latch'), st.booleans()),
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
            latched = bool(value)
            supervision.latch(latched)
        elif kind == 'hazard':
            show_hazard(supervision, [value], now)
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
                assert (np.abs(result.command - last) <= 2 * change * reach + 1e-9).all()
            last = result.command
