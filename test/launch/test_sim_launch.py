# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file of the simulation, run by the real launch where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('launch_pytest', reason='launch_pytest comes with ROS 2 and is not installed; '
                    'test/cli/test_sim.py runs the same scenarios through `spowl sim`')

import launch  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
import launch_pytest  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / 'launch' / 'sim.launch.py'
EPISODE_S = 180.0


def simulation(**arguments: str) -> launch.LaunchDescription:
    """Return a description that includes the launch file with these arguments."""
    return launch.LaunchDescription([
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
                                 launch_arguments=arguments.items()),
        launch_pytest.actions.ReadyToTest(),
    ])


@pytest.fixture
def bundle_directory() -> Path:
    """Return the shipped bundle: PyTorch, to make another one, is not to be expected here."""
    directory = ROOT / 'models' / 'SafetyPointGoal1-v0'
    if not (directory / 'manifest.json').is_file():
        pytest.skip(f'there is no bundle in {directory}')
    return directory


@launch_pytest.fixture
def driving(ros_domain: int, bundle_directory: Path) -> launch.LaunchDescription:
    """Launch an endless simulation in a namespace."""
    return simulation(model=str(bundle_directory), episodes='0', namespace='robot1')


@pytest.mark.launch(fixture=driving)
def test_decisions_are_made_in_the_namespace(ros_domain: int) -> None:
    """The controller publishes decisions, and the robot gets commands, under the namespace."""
    from diagnostic_msgs.msg import DiagnosticArray
    import rclpy
    from std_msgs.msg import Float64MultiArray

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('watcher', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    seen: set[str] = set()
    subscriptions = [
        node.create_subscription(kind, topic, lambda _, topic=topic: seen.add(topic), 10)
        for kind, topic in ((DiagnosticArray, '/robot1/controller/decision'),
                            (Float64MultiArray, '/robot1/command_raw'),
                            (Float64MultiArray, '/robot1/command'))]
    deadline = time.monotonic() + EPISODE_S
    while len(seen) < len(subscriptions) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    context.shutdown()
    assert len(seen) == len(subscriptions)


@pytest.fixture
def ros2_launch(ros_domain: int) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that runs `ros2 launch` with the launch file."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([Path(sys.prefix) / 'bin' / 'ros2', 'launch', LAUNCH_FILE,
                                 *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    return start


def test_it_ends_by_itself_after_the_last_episode(
    ros2_launch: Callable[..., subprocess.Popen[str]], bundle_directory: Path
) -> None:
    """One episode, then the simulator has finished and everything ends well."""
    process = ros2_launch(f'model:={bundle_directory}', 'episodes:=1', 'log_level:=info')
    output, _ = process.communicate(timeout=EPISODE_S)
    assert process.returncode == 0, output
    assert 'episode 1: return' in output
    assert 'has finished' in output
    assert 'Traceback' not in output


def test_ctrl_c_ends_it_well(
    ros2_launch: Callable[..., subprocess.Popen[str]], bundle_directory: Path
) -> None:
    """SIGINT while driving ends every node, without an error."""
    process = ros2_launch(f'model:={bundle_directory}', 'episodes:=0')
    time.sleep(15.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert 'Traceback' not in output


def test_a_mistake_is_reported_in_one_line(
    ros2_launch: Callable[..., subprocess.Popen[str]]
) -> None:
    """A bad argument ends the launch with its reason and exit code 1."""
    process = ros2_launch('rate:=fast')
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "'rate' is 'fast' (str), wanted a number from 0 to 1000" in output
