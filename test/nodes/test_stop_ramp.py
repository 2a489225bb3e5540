# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Controller and supervisor bring a robot to rest by the ramp of its contract."""

from __future__ import annotations

import dataclasses
from pathlib import Path
import signal
import time

import numpy as np
import pytest
from std_srvs.srv import SetBool

from benchmarks.faults import System, running
from benchmarks.operation import answer, wait
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.sim.environment import contract
from spowl_ros.training.untrained import COMPACT, export_untrained

pytestmark = pytest.mark.slow
RAMP_S = 0.8


def way_to_rest(system: System, since: float) -> np.ndarray:
    """Return the commands since a time, from the last that is no stop on, to the stop command."""
    stand = system.stand
    stopped, _ = stand.wait_for_command(since, True, 30.0)
    return np.array([values for when, values in list(stand.commands)
                     if since - 1.0 < when <= stopped])


@pytest.mark.parametrize('task', ['SafetyAntGoal1-v0', 'SafetyDoggoGoal1-v0',
                                  'SafetyPointGoal1-v0'])
def test_a_stop_and_a_shutdown_are_ramps(task: str, tmp_path: Path, ros_domain: int) -> None:
    """By ~/stop and by the end of the supervisor: several steps, none large, then rest."""
    original = contract(task, 5)
    agreed = dataclasses.replace(original, action=dataclasses.replace(
        original.action, stop_ramp=RAMP_S))
    export_untrained(tmp_path / 'bundle', agreed,
                     dataclasses.replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
                     PlannerSettings.compact(iterations=2, samples=32, policy_candidates=8,
                                             elites=8))
    with running(tmp_path / 'bundle', agreed) as system:
        stop = system.stand.node.create_client(SetBool, 'supervisor/stop')
        began = time.monotonic()
        assert answer(stop, SetBool.Request(data=True)).success
        check(way_to_rest(system, began), agreed.control_period)
        system.start('supervisor')
        wait(lambda: system.stand.commands[-1][0] > began + 1.0
             and not system.stand.is_stop(system.stand.commands[-1][1]))
        began = time.monotonic()
        assert system.nodes['supervisor'].end(signal.SIGINT) == 0
        check(way_to_rest(system, began), agreed.control_period)


def check(commands: np.ndarray, period: float) -> None:
    """Make sure that the last commands approach rest by small steps and reach it."""
    size = np.abs(commands).max(axis=1)
    assert size[-1] == 0.0
    last_steps = -np.diff(size)[-2:]
    assert (last_steps <= period / RAMP_S * 1.01).all()
