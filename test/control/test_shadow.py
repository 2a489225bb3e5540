# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A shadow decides on what the active controller sees, and delays it never."""

from __future__ import annotations

import math
from pathlib import Path
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
