# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Controller and supervisor bring a robot to rest by the ramp of its contract, or of its file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from benchmarks import errands
from benchmarks.faults import System, running
from benchmarks.operation import answer, wait
from benchmarks.robot_stand import RobotStand, program
from spowl_ros.base.children import end_with_parent
from spowl_ros.base.share import share_directory
from spowl_ros.control.contract import Contract
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.sim.environment import contract
from spowl_ros.training.untrained import COMPACT, export_untrained

pytestmark = pytest.mark.slow
RAMP_S = 0.8


HANGS = """
import time
from spowl_ros.control.planner import Planner
plan, made = Planner.plan, []
def hang(*args, **values):
    made.append(1)
    if len(made) > 30:
        time.sleep(60.0)
    return plan(*args, **values)
Planner.plan = hang
"""


def export(task: str, directory: Path) -> Contract:
    """Write a bundle of random networks whose stop is a ramp; return its contract."""
    original = contract(task, 5)
    agreed = dataclasses.replace(original, action=dataclasses.replace(
        original.action, stop_ramp=RAMP_S))
    export_untrained(directory, agreed,
                     dataclasses.replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
                     PlannerSettings.compact(iterations=2, samples=32, policy_candidates=8,
                                             elites=8))
    return agreed


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
    agreed = export(task, tmp_path / 'bundle')
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


@pytest.mark.parametrize('hangs', [False, True])
def test_a_controller_that_ends_or_hangs_ramps_by_itself(hangs: bool, tmp_path: Path,
                                                         ros_domain: int) -> None:
    """Without a supervisor the controller's own last commands are a ramp."""
    agreed = export('SafetyAntGoal1-v0', tmp_path / 'bundle')
    stand = RobotStand(agreed)
    process = subprocess.Popen(
        [sys.executable, '-c', (HANGS if hangs else '') + program('controller'), '--ros-args',
         '-p', f'model:={tmp_path / "bundle"}', '-p', 'autostart:=true'],
        preexec_fn=end_with_parent(), stderr=subprocess.DEVNULL)
    try:
        wait(lambda: len(stand.commands) > 5
             and not any(stand.is_stop(values) for _, values in stand.commands[-5:]))
        began = stand.commands[-1][0]
        if not hangs:
            process.send_signal(signal.SIGINT)
        stopped, _ = stand.wait_for_command(began, True, 60.0)
        commands = np.array([values for when, values in list(stand.commands)
                             if began - 1.0 < when <= stopped])
        assert np.abs(commands).max() > 0.3  # else a ramp is no different from a step
        check(commands / np.array(agreed.action.high), agreed.control_period)
    finally:
        process.kill()
        process.wait()
        stand.close()


def test_the_robot_on_wheels_brakes_by_the_ramp_of_its_file(tmp_path: Path,
                                                            ros_domain: int) -> None:
    """Stopped under way, it gets smaller and smaller commands, and then it stands."""
    example = share_directory() / 'config' / 'robot' / 'diff_drive.yaml'
    file = tmp_path / 'robot.yaml'
    file.write_text(example.read_text().replace(
        'command:\n', f'command:\n  stop_ramp: {RAMP_S}\n'))
    model = share_directory() / 'models' / 'SafetyPointGoal1-v0'
    commands: list[float] = []
    with errands.driving(model, 0, file) as sender:
        sender.create_subscription(
            Float64MultiArray, 'command',
            lambda message: commands.append(abs(message.data[0])), 100)
        stop = sender.create_client(SetBool, 'supervisor/stop')
        sender.send(*map(float, sender.world.goal))
        wait(lambda: commands and commands[-1] > 0.04, 150.0)  # full is 0.05
        began = len(commands)
        assert answer(stop, SetBool.Request(data=True)).success
        wait(lambda: len(commands) > began and commands[-1] == 0.0)
        assert sum(0.0 < size < 0.9 * commands[began - 1] for size in commands[began:]) >= 3
        assert (np.diff(commands[began + 1:]) <= 1e-6).all()
        time.sleep(1.0)
        rest = sender.odometry[-1][1:]
        time.sleep(0.5)
        assert sender.odometry[-1][1:] == rest
