# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The arbiter's invariants, under any sequence of readings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.arbiter import Arbiter
from spowl_ros.control.monitors.base import Level, Reading, Rule

LEVELS = {'off': Level.PLAN, 'policy': Level.POLICY, 'monitor': Level.MONITOR, 'stop': Level.STOP}
STATES = st.sampled_from(['alarm', 'between', 'clear', 'unknown'])
RULES = st.builds(Rule, level=st.sampled_from(list(LEVELS)), trigger=st.integers(1, 3),
                  release=st.integers(1, 6))


def reading(monitor: str, state: str) -> Reading:
    """Return a reading in one of the four states."""
    if state == 'unknown':
        return Reading(monitor)
    return Reading(monitor, 1.0, 1.0, alarm=state == 'alarm', clear=state == 'clear',
                   reason='too much' if state == 'alarm' else '')


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Rule], list[dict[str, str]]]:
    """Draw the rules of some monitors and their states over some decisions."""
    rules = draw(st.dictionaries(st.sampled_from('abcde'), RULES, min_size=1))
    step = st.fixed_dictionaries(dict.fromkeys(rules, STATES))
    return rules, draw(st.lists(step, max_size=60))


@given(histories())
def test_invariants(history: tuple[dict[str, Rule], list[dict[str, str]]]) -> None:
    """Never below a tripped monitor, always a level and a reason, never a chatter, a way back."""
    rules, steps = history
    arbiter = Arbiter(rules)
    alarms = dict.fromkeys(rules, 0)
    clears = dict.fromkeys(rules, 0)
    level, rises = Level.PLAN, dict.fromkeys(rules, None)
    for now, states in enumerate(steps):
        was_tripped = {name: name in arbiter.tripped for name in rules}
        for name, state in states.items():
            arbiter.update(reading(name, state))
            if state != 'unknown':
                alarms[name] = alarms[name] + 1 if state == 'alarm' else 0
                clears[name] = clears[name] + 1 if state == 'clear' else 0
        verdict = arbiter.verdict()
        for name, rule in rules.items():
            if alarms[name] >= rule.trigger:
                assert name in arbiter.tripped
                assert verdict.level >= LEVELS[rule.level]
            if clears[name] >= rule.release:
                assert name not in arbiter.tripped
            if name in arbiter.tripped and not was_tripped[name]:
                rises[name] = now
            if was_tripped[name] and name not in arbiter.tripped and rises[name] is not None:
                assert now - rises[name] >= rule.release  # no faster than the dwell time
        leaders = [name for name in rules
                   if name in arbiter.tripped and LEVELS[rules[name].level] == verdict.level]
        assert verdict.monitor in (leaders if verdict.level > Level.PLAN else [''])
        assert bool(verdict.reason) == (verdict.level > Level.PLAN)
        if verdict.level < level:  # something led before and was released
            assert any(was_tripped[name] and name not in arbiter.tripped for name in rules)
        level = verdict.level
    for _ in range(max(rule.release for rule in rules.values())):
        for name in rules:
            arbiter.update(reading(name, 'clear'))
    assert arbiter.verdict().level is Level.PLAN


def test_reason_while_held() -> None:
    """After the alarm the reason says that the monitor is not yet clear."""
    arbiter = Arbiter({'a': Rule(level='stop', release=2)})
    arbiter.update(reading('a', 'alarm'))
    assert arbiter.verdict().reason == 'too much'
    arbiter.update(reading('a', 'clear'))
    assert arbiter.verdict().reason == 'a not yet clear: too much'
    arbiter.update(reading('a', 'clear'))
    assert arbiter.verdict().level is Level.PLAN


def test_rules_change_while_tripped() -> None:
    """A monitor switched off leads nothing from the next decision on."""
    arbiter = Arbiter({'a': Rule(level='stop')})
    arbiter.update(reading('a', 'alarm'))
    arbiter.change({'a': Rule(level='off')})
    assert arbiter.verdict().level is Level.PLAN
    assert 'a' in arbiter.tripped


def test_reset_does_not_release() -> None:
    """A new episode begins to count anew, but a tripped monitor stays tripped."""
    arbiter = Arbiter({'a': Rule(level='stop', trigger=2, release=2)})
    arbiter.update(reading('a', 'alarm'))
    arbiter.reset()
    arbiter.update(reading('a', 'alarm'))
    assert arbiter.verdict().level is Level.PLAN
    arbiter.update(reading('a', 'alarm'))
    arbiter.reset()
    assert arbiter.verdict().level is Level.STOP


def test_unknown_monitor_is_refused() -> None:
    """A reading without a rule is an error in the program, and said so."""
    with pytest.raises(SpowlError, match="no rule for monitor 'b'"):
        Arbiter({'a': Rule()}).update(reading('b', 'alarm'))
