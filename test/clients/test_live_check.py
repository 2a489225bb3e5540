# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`spowl check --live` sees what is there, says what is not, and moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import subprocess
import sys

import pytest

from benchmarks.robot_stand import NodeProcess
from spowl_ros.base.share import share_directory

pytestmark = pytest.mark.slow

SHARE = share_directory()


def check() -> tuple[int, str]:
    """Return exit code and output for the example robot."""
    done = subprocess.run(
        [sys.executable, '-m', 'spowl_ros.cli.main', 'check',
         str(SHARE / 'config' / 'robot' / 'diff_drive.yaml'),
         str(SHARE / 'models' / 'SafetyPointGoal1-v0'), '--live', '--seconds', '1'],
        capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def robot(ros_domain: int) -> Iterator[Callable[..., NodeProcess]]:
    """Return a function that starts the simulated robot."""
    started: list[NodeProcess] = []

    def start(**parameters: object) -> NodeProcess:
        started.append(NodeProcess('diff_drive', parameters))
        return started[-1]
    yield start
    for process in started:
        process.end()


def test_a_robot_that_is_there(robot: Callable[..., NodeProcess]) -> None:
    """Its topics, the adapter's inputs and whoever hears the commands are seen, and it stands."""
    process = robot()
    _, output = check()
    for name in ('scan (/scan): ok', 'odom (/odom): ok', 'goal_pose (/goal_pose): ok',
                 'cmd_vel (/cmd_vel): ok'):
        assert name in output, output
    assert 'no message' not in output and 'refused' not in output, output
    process.end()
    assert '0 goals, 0 collisions' in process.output


def test_a_base_that_hears_another_type(robot: Callable[..., NodeProcess]) -> None:
    """Commands that nobody would hear, and a goal that nobody sends, are problems by name."""
    robot(cmd_vel_type='Twist', goals=False)
    code, output = check()
    assert code == 1
    assert 'who listens expects geometry_msgs/msg/Twist' in output, output
    assert 'goal_pose (/goal_pose): nobody publishes it' in output, output
