# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A shadow decides on what the active controller sees, and delays it never."""

from __future__ import annotations

import math
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np
import pytest

from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.observation import Observation
from spowl_ros.control.shadow import Shadow
from spowl_ros.replay.replay import differing


def observation(active: Controller, step: int) -> Observation:
    """Return what a robot that stands still senses."""
    count = len(active.contract.fields)
    now_ns = 10**12 + step * 10**8
    return Observation(values=np.full(active.contract.size, 0.1, np.float32), now_ns=now_ns,
                       stamps_ns=np.full(count, now_ns), silences=np.zeros(count))


@pytest.fixture
def active(untrained_bundle: Path) -> Controller:
    """Return a controller."""
    return Controller(bundle.load(untrained_bundle))


def test_in_lock_step_the_same_bundle_decides_the_same(active: Controller) -> None:
    """One decision in the shadow for each, equal bit for bit, across a reset."""
    seen: list[Decision] = []
    failures: list[Exception] = []
    shadow = Shadow(Controller(active.bundle), seen.append, failures.append)
    for step in range(10):
        if step == 6:
            active.reset()
        sensed = observation(active, step)
        decision = active.decide(sensed)
        shadow.see(decision, sensed, math.inf)
        assert differing(decision, seen[-1]) == ()
    assert len(seen) == 10 and not failures
    shadow.end()
    shadow.see(decision, sensed, math.inf)
    assert len(seen) == 10


def budgeted(active: Controller) -> Controller:
    """Return a controller of the same bundle with a budget."""
    return Controller(active.bundle, active.settings.change({'budget.limit': 100.0}))


def test_a_shadow_counts_the_costs_that_the_active_one_sees(active: Controller) -> None:
    """What is spent is what the robot's episode has cost, also one that begins with a stop."""
    seen: list[Decision] = []
    shadow = Shadow(budgeted(active), seen.append, lambda error: None)
    for step in range(3):
        sensed = observation(active, step)
        shadow.see(active.decide(sensed, cost=2.0), sensed, math.inf)
    assert [decision.budget_spent for decision in seen] == [0.0, 2.0, 4.0]
    active.reset()
    active.stop(10**12, 'waiting for imu')
    for step in (4, 5):
        sensed = observation(active, step)
        shadow.see(active.decide(sensed, cost=1.0), sensed, math.inf)
    assert [decision.step for decision in seen[3:]] == [0, 1]
    assert [decision.budget_spent for decision in seen[3:]] == [0.0, 1.0]
    shadow.end()


def test_a_slow_shadow_loses_no_cost(active: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The costs of observations that it skips are counted at the next one."""
    seen: list[Decision] = []
    slow = budgeted(active)
    decide, go = slow.decide, threading.Event()

    def waiting(*args: Any, **values: Any) -> Decision:
        go.wait(20.0)
        return decide(*args, **values)

    def wait_for(count: int) -> None:
        end = time.monotonic() + 20.0
        while (len(seen) < count or shadow._busy) and time.monotonic() < end:
            time.sleep(0.005)

    monkeypatch.setattr(slow, 'decide', waiting)
    shadow = Shadow(slow, seen.append, lambda error: None)
    costs = (0.0, 2.0, math.nan, 3.0)
    for step, cost in enumerate(costs):
        sensed = observation(active, step)
        shadow.see(active.decide(sensed, cost=cost), sensed, time.monotonic() + 10.0)
        end = time.monotonic() + 20.0
        while step == 0 and not shadow._busy and time.monotonic() < end:
            time.sleep(0.005)
    go.set()
    wait_for(1)
    sensed = observation(active, 4)
    shadow.see(active.decide(sensed, cost=1.0), sensed, time.monotonic() + 10.0)
    wait_for(2)
    shadow.end()
    assert [decision.budget_spent for decision in seen] == [0.0, 6.0]


def test_a_slow_shadow_delays_nobody(active: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shows it an observation goes on at once; what it has no time for it leaves out."""
    seen: list[Decision] = []
    slow = Controller(active.bundle)
    decide = slow.decide

    def slowly(*args: Any, **values: Any) -> Decision:
        time.sleep(0.3)
        return decide(*args, **values)

    monkeypatch.setattr(slow, 'decide', slowly)
    shadow = Shadow(slow, seen.append, lambda error: None)
    decision = active.decide(observation(active, 0))
    began = time.monotonic()
    for step in range(20):
        shadow.see(decision, observation(active, step), time.monotonic() + 0.1)
    assert time.monotonic() - began < 0.3
    end = time.monotonic() + 20.0
    while not seen and time.monotonic() < end:
        time.sleep(0.01)
    shadow.end()
    assert 1 <= len(seen) <= 2


def test_a_shadow_that_fails_is_told_once(active: Controller) -> None:
    """It decides no more, and nobody else is harmed."""
    failures: list[Exception] = []
    shadow = Shadow(Controller(active.bundle), lambda decision: 1 / 0, failures.append)
    sensed = observation(active, 0)
    decision = active.decide(sensed)
    for _ in range(3):
        shadow.see(decision, sensed, math.inf)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    shadow.end()
