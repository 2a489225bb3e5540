# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A stop may be a ramp to the stop command, where it rests; without one it is at once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.control import bundle
from spowl_ros.control.contract import Contract
from spowl_ros.control.controller import Controller
from spowl_ros.control.observation import Observation
from spowl_ros.robot import config
from spowl_ros.sim.environment import Environment, contract
from spowl_ros.supervisor.rules import Supervision
from spowl_ros.supervisor.settings import SupervisionSettings

TASKS = ('SafetyAntGoal1-v0', 'SafetyDoggoGoal1-v0', 'SafetyPointGoal1-v0')


def ramped(original: Contract, seconds: float) -> Contract:
    """Return a contract with a ramp."""
    return dataclasses.replace(original, action=dataclasses.replace(
        original.action, stop_ramp=seconds))


def test_old_contracts_have_none_and_new_ones_keep_it() -> None:
    """What was written before reads as before, and is written as before; the ramp travels."""
    old = contract(TASKS[0], 5)
    assert 'stop_ramp' not in old.to_dict()['action'] and old.action.stop_ramp == 0.0
    new = ramped(old, 0.6)
    assert Contract.from_dict(new.to_dict()) == new
    np.testing.assert_array_equal(old.action.stopping(np.ones(old.action.size), 0.1),
                                  old.action.rest)
    with pytest.raises(SpowlError, match='action.stop_ramp is 9.0 s, wanted 0 to 3 s'):
        ramped(old, 9.0)


@pytest.mark.parametrize('task', TASKS)
def test_the_supervisor_ramps_in_time_and_rests(task: str) -> None:
    """From the far end to rest in T seconds, no step larger, whatever the pace of its calls."""
    agreed = ramped(contract(task, 5), 1.0)
    high = np.array(agreed.action.high)
    for pace in (agreed.control_period, agreed.control_period / 10.0):
        supervision = Supervision(agreed, SupervisionSettings())
        supervision.start(0.0)
        now = 0.0
        while not np.array_equal(supervision.command(high, now).command, high):
            now += agreed.control_period
        began, last = now, high
        while not supervision.rests:
            now += pace
            command = supervision.stopped('a test', now).command
            assert (last - command <= high * pace * 1.001).all() and (command >= 0.0).all()
            last = command
            assert now - began < 3.0
        assert now - began == pytest.approx(1.0, abs=2 * pace)
        np.testing.assert_array_equal(supervision.stopped('a test', now + 1.0).command,
                                      agreed.action.stop)


def test_the_supervisor_limits_the_ramp() -> None:
    """A bundle cannot make stops slower than the supervisor's own limit; at 0 they are at once."""
    agreed = ramped(contract(TASKS[2], 5), 3.0)
    for limit, calls in ((0.5, 5), (0.0, 1)):
        supervision = Supervision(agreed, SupervisionSettings(stop_ramp=limit))
        supervision.start(0.0)
        supervision.command(np.array(agreed.action.high), 0.1)
        for call in range(calls):
            assert not supervision.rests
            supervision.stopped('a test', 0.1 + 0.1001 * (call + 1))
        assert supervision.rests


def test_the_controller_ramps_when_it_stops(untrained_bundle: Path) -> None:
    """A stop by a monitor leads to rest step by step, and there it stays."""
    loaded = bundle.load(untrained_bundle)
    controller = Controller(dataclasses.replace(loaded, contract=ramped(loaded.contract, 2.0)))
    count = len(loaded.contract.fields)
    actions = []
    for step in range(12):
        values = np.full(loaded.contract.size, 0.1, np.float32)
        values[0] = math.nan if step > 2 else 0.1
        now_ns = 10**12 + step * 10**8
        decision = controller.decide(Observation(
            values=values, now_ns=now_ns, stamps_ns=np.full(count, now_ns),
            silences=np.zeros(count)))
        actions.append(np.array(decision.action))
    assert decision.source == 'stop'
    rest = loaded.contract.action.rest
    distances = [float(np.abs(action - rest).max()) for action in actions[2:]]
    assert distances[0] > 0.1
    assert distances[1] == pytest.approx(distances[0] - 0.05)
    assert distances == sorted(distances, reverse=True) and distances[-1] == 0.0


@pytest.mark.parametrize('task', TASKS[:2])
def test_a_legged_robot_takes_the_ramp_in_simulation(task: str) -> None:
    """Its simulation takes every command of the way, and the last one is the stop command."""
    environment = Environment(task, action_repeat=5)
    agreed = ramped(contract(task, 5), 1.5)
    environment.reset(1)
    action = np.ones(agreed.action.size)
    environment.step(action)
    way = list(agreed.action.way_to_stop(action, agreed.control_period))
    assert len(way) == math.ceil(1.5 / agreed.control_period) - 1
    for part in (*way, agreed.action.rest):
        assert np.isfinite(environment.step(np.array(part)).observation).all()


def test_a_robots_file_may_give_the_ramp(untrained_bundle: Path) -> None:
    """For bundles that have none; one that is too long does not fit."""
    agreed = bundle.read_contract(untrained_bundle)
    robot = read(config.RobotConfig, {'command': {'stop_ramp': 0.4}})
    assert robot.applied_to(agreed).action.stop_ramp == 0.4
    with pytest.raises(SpowlError, match='command.stop_ramp: 4.0 s is not from 0 to 3 s'):
        read(config.RobotConfig, {'command': {'stop_ramp': 4.0}}).check(agreed)
