# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop decides when it must, with what there is, and never twice on the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
from pathlib import Path
import threading
import time

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle, loop
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.loop import DecisionLoop, SteadyLatency
from spowl_ros.control.settings import ControllerSettings

PERIOD_NS = 100_000_000


class Harness:
    """A loop with a clock that is set by hand."""

    def __init__(self, loaded: Bundle, rate: float) -> None:
        self.contract = loaded.contract
        self.decisions: list[Decision] = []
        self.failures: list[Exception] = []
        self.now_ns = 10**12
        self.loop = DecisionLoop(Controller(loaded), lambda: self.now_ns,
                                 lambda decision, arrival: self.decisions.append(decision),
                                 self.failures.append, rate, deadline=0.5)
        self.loop.start()

    def sense(self, stamp_ns: int | None = None, leave_out: str = '') -> None:
        """Put every field, or all but one."""
        stamp_ns = self.now_ns if stamp_ns is None else stamp_ns
        for field in self.contract.fields:
            if field.name != leave_out:
                self.loop.put([(field.name, np.full(field.size, 0.1))], stamp_ns)

    def wait(self, count: int, timeout: float = 20.0) -> None:
        """Wait for a number of decisions."""
        end = time.monotonic() + timeout
        while len(self.decisions) < count and time.monotonic() < end:
            time.sleep(0.002)
        assert len(self.decisions) >= count


@pytest.fixture
def make(untrained_bundle: Path) -> Iterator[Callable[[float], Harness]]:
    """Return a function that starts a loop, which the test's end ends."""
    loaded = bundle.load(untrained_bundle)
    started: list[Harness] = []

    def make(rate: float) -> Harness:
        started.append(Harness(loaded, rate))
        return started[-1]
    yield make
    for harness in started:
        harness.loop.end()


def test_lock_step_answers_each_measurement_once(make: Callable[[float], Harness]) -> None:
    """One decision for each complete measurement, none without, however long it takes."""
    harness = make(0.0)
    time.sleep(0.3)
    assert not harness.decisions
    for count in range(1, 4):
        harness.now_ns += PERIOD_NS
        harness.sense(leave_out='gyro')
        time.sleep(0.05)
        assert len(harness.decisions) == count - 1
        harness.sense()
        harness.wait(count)
    time.sleep(0.3)
    assert [decision.step for decision in harness.decisions] == [0, 1, 2]
    assert all(not any(decision.silences) and not decision.deadline_missed
               for decision in harness.decisions)


def test_lock_step_repeats_exactly(make: Callable[[float], Harness]) -> None:
    """The same measurements give the same decisions, whatever the clock shows meanwhile."""
    runs = []
    for offset in (0, 12345):
        harness = make(0.0)
        for count in range(1, 6):
            harness.now_ns += PERIOD_NS + offset
            harness.sense(stamp_ns=count * PERIOD_NS)
            harness.wait(count)
        runs.append([(decision.now_ns, decision.action, decision.source)
                     for decision in harness.decisions])
    assert runs[0] == runs[1]


def test_silence_is_decided_on(make: Callable[[float], Harness]) -> None:
    """Without sensors there is a stop each period, with the reason."""
    harness = make(1.0)
    harness.wait(2)
    assert {decision.source for decision in harness.decisions} == {'stop'}
    assert harness.decisions[0].reason.startswith('waiting for accelerometer')
    harness.sense()
    count = len(harness.decisions)
    harness.wait(count + 3)
    assert harness.decisions[-1].source == 'stop'
    assert 'limit 0.170 s' in harness.decisions[-1].reason


def test_sensors_faster_than_decisions(make: Callable[[float], Harness]) -> None:
    """Of measurements that come at ten times the rate, only each ninth or so is decided on."""
    harness = make(1.0)
    for _ in range(50):
        harness.now_ns += PERIOD_NS // 10
        harness.sense()
        time.sleep(PERIOD_NS / 1e10)
    decided = [decision for decision in harness.decisions if decision.stamps_ns]
    assert 4 <= len(decided) <= 8


def test_receivers_make_way_for_a_loop_that_waits_only(
        make: Callable[[float], Harness], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a decision is made, messages are stored at once, or they would queue behind it."""
    harness = make(1.0)
    deciding, go_on = threading.Event(), threading.Event()
    publish = harness.loop._publish

    def hold(decision: Decision, arrival: float) -> None:
        publish(decision, arrival)
        deciding.set()
        go_on.wait(20.0)

    harness.loop._publish = hold
    made_way: list[float] = []
    sleep = time.sleep

    def count(seconds: float) -> None:
        made_way.append(seconds)
        sleep(0.01)

    monkeypatch.setattr(loop.time, 'sleep', count)
    harness.sense()
    assert len(made_way) == 1
    assert deciding.wait(20.0)
    harness.now_ns += PERIOD_NS
    harness.sense()
    harness.sense()
    assert len(made_way) == 1
    go_on.set()
    monkeypatch.undo()
    harness.wait(2)


def test_a_clock_set_back_begins_anew(make: Callable[[float], Harness]) -> None:
    """After it, the planner has forgotten, and measurements of the new time are answered."""
    harness = make(0.0)
    for count in (1, 2):
        harness.now_ns += PERIOD_NS
        harness.sense()
        harness.wait(count)
    harness.now_ns = PERIOD_NS
    harness.loop.clock_set_back()
    harness.sense()
    harness.wait(3)
    assert harness.decisions[2].step == 2
    assert math.isnan(harness.decisions[2].plan.model_error)


def test_settings_change_between_decisions(make: Callable[[float], Harness],
                                           untrained_bundle: Path) -> None:
    """New settings hold from the next decision on."""
    harness = make(0.0)
    settings = ControllerSettings(planner=bundle.load(untrained_bundle).settings)
    harness.loop.change(settings.change({'planner.iterations': 1}))
    harness.sense()
    harness.wait(1)
    assert harness.decisions[0].plan.iterations == 1


def test_costs_add_up_to_the_next_decision(make: Callable[[float], Harness]) -> None:
    """What was observed since the last decision is recorded with the next."""
    harness = make(0.0)
    harness.loop.put_cost(1.0)
    harness.loop.put_cost(0.5)
    harness.sense()
    harness.wait(1)
    assert harness.decisions[0].cost == 1.5


def test_a_cost_is_not_lost_to_a_stop(make: Callable[[float], Harness],
                                      untrained_bundle: Path) -> None:
    """A decision without an observation leaves it to the next one, and so does a hand-over."""
    harness = make(1.0)
    settings = harness.loop._controller.settings.change({'budget.limit': 100.0})
    harness.loop.change(settings)
    for cost in (0.0, 3.0):
        harness.now_ns += PERIOD_NS
        harness.loop.put_cost(cost)
        harness.sense()
        harness.wait(len(harness.decisions) + 1)

    def interrupt() -> None:
        harness.now_ns -= 100 * PERIOD_NS
        harness.loop.clock_set_back()
        harness.loop.put_cost(7.0)
        before = len(harness.decisions)
        harness.wait(before + 2)
        assert harness.decisions[-1].reason.startswith('waiting for')

    def spent() -> float:
        harness.now_ns += PERIOD_NS
        harness.sense()
        end = time.monotonic() + 20.0
        while not harness.decisions[-1].stamps_ns and time.monotonic() < end:
            time.sleep(0.002)
        return harness.decisions[-1].budget_spent

    interrupt()
    assert spent() == 10.0
    interrupt()
    harness.loop.hand_over(Controller(bundle.load(untrained_bundle), settings))
    assert spent() == 17.0


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize('after', [0.0, 1.0])
def test_a_cost_that_is_none_is_not_a_cost_of_zero(make: Callable[[float], Harness], bad: float,
                                                   after: float) -> None:
    """Whatever comes before or after it, the cost of that decision may be any."""
    harness = make(0.0)
    for cost in (0.5, bad, after):
        harness.loop.put_cost(cost)
    harness.sense()
    harness.wait(1)
    harness.loop.put_cost(0.5)
    harness.now_ns += PERIOD_NS
    harness.sense()
    harness.wait(2)
    assert harness.decisions[0].cost == math.inf
    assert harness.decisions[1].cost == 0.5


def test_what_ends_the_loop_is_reported(make: Callable[[float], Harness]) -> None:
    """An error in deciding reaches whoever can stop the robot."""
    harness = make(0.0)
    error = SpowlError('the planner is broken')

    def fail(*_: object, **__: object) -> Decision:
        raise error
    harness.loop._controller.decide = fail  # a fault that the real one cannot be given
    harness.sense()
    end = time.monotonic() + 10.0
    while not harness.failures and time.monotonic() < end:
        time.sleep(0.01)
    assert harness.failures == [error]


def test_commands_go_out_at_a_constant_latency() -> None:
    """Nearly all are held back to the same time after their sensors; the rest go at once."""
    random = np.random.default_rng(0)
    latency = SteadyLatency(0.05)
    taken = []
    for _ in range(400):
        arrival = time.monotonic() - random.uniform(0.002, 0.004)
        latency.wait(arrival)
        taken.append(time.monotonic() - arrival)
    settled = np.array(taken[100:])
    assert 0.003 < latency.seconds < 0.006
    assert np.percentile(settled, 5) > 0.003


def test_a_latency_is_never_held_beyond_the_deadline() -> None:
    """However late decisions are, the time to which others wait stays below the longest."""
    latency = SteadyLatency(0.002)
    for _ in range(20):
        latency.wait(time.monotonic() - 1.0)
    assert latency.seconds == 0.002


def test_a_slow_stretch_is_forgotten() -> None:
    """Commands are held back for as many decisions as are remembered, not for minutes."""
    latency = SteadyLatency(0.02)
    for taken in [0.001] * 300 + [0.01] * 40:
        latency.follow(taken)
    assert latency.seconds == pytest.approx(0.01)
    for _ in range(290):
        latency.follow(0.001)
    assert latency.seconds == pytest.approx(0.001)


def test_a_stop_is_never_held_back(untrained_bundle: Path) -> None:
    """What is not a plan's or the policy's command goes out at once."""
    loaded = bundle.load(untrained_bundle)
    sent: list[tuple[str, float]] = []
    loop = DecisionLoop(Controller(loaded), time.time_ns,
                        lambda decision, arrival: sent.append(
                            (decision.source, time.monotonic() - arrival)),
                        lambda error: None, 1.0, deadline=0.5, steady=True)
    loop._latency.seconds = 0.04  # as after many slow decisions
    loop.start()
    for number in range(8):
        for field in loaded.contract.fields:
            value = np.nan if number >= 4 and field.name == 'gyro' else 0.1
            loop.put([(field.name, np.full(field.size, value))], time.time_ns())
        time.sleep(loaded.contract.control_period)
    loop.end()
    held = [seconds for source, seconds in sent if source in ('plan', 'policy')]
    stops = [seconds for source, seconds in sent if source == 'stop']
    assert held
    assert stops
    assert min(held) >= 0.039
    assert min(stops) < 0.02


def test_an_episode_begins_by_word_and_not_by_a_leap(make: Callable[[float], Harness]) -> None:
    """The next measurement, one period later, is decided on anew; what is older is forgotten."""
    harness = make(0.0)
    for count in range(1, 4):
        harness.now_ns += PERIOD_NS
        harness.sense()
        harness.wait(count)
    harness.now_ns += PERIOD_NS
    harness.loop.begin_episode(harness.now_ns)
    harness.sense(leave_out='gyro')
    time.sleep(0.2)
    assert len(harness.decisions) == 3
    harness.sense()
    harness.wait(4)
    assert [decision.step for decision in harness.decisions] == [0, 1, 2, 0]
