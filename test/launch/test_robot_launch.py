# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file of a robot, run by the real launch where that is installed."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('launch_pytest', reason='launch_pytest comes with ROS 2 and is not installed; '
                    'test/nodes/test_two_robots.py drives the same nodes as `spowl robot`')

import launch  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
import launch_pytest  # noqa: E402
import launch_ros.actions  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / 'launch' / 'robot.launch.py'
ROBOT = ROOT / 'config' / 'robot' / 'diff_drive.yaml'
MODEL = ROOT / 'models' / 'SafetyPointGoal1-v0'
PATIENCE_S = 120.0


@launch_pytest.fixture
def driving(ros_domain: int) -> launch.LaunchDescription:
    """Launch a simulated robot and, in its namespace, what drives it."""
    if not (MODEL / 'manifest.json').is_file():
        pytest.skip(f'there is no bundle in {MODEL}')
    return launch.LaunchDescription([
        launch_ros.actions.Node(package='spowl_ros', executable='diff_drive', namespace='red'),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
            launch_arguments={'robot': str(ROBOT), 'model': str(MODEL),
                              'namespace': 'red'}.items()),
        launch_pytest.actions.ReadyToTest()])


@pytest.mark.launch(fixture=driving)
def test_the_robot_gets_velocities(ros_domain: int) -> None:
    """Through adapter, controller and supervisor, laser and odometry become a velocity."""
    from geometry_msgs.msg import TwistStamped
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('watcher', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    speeds: list[float] = []
    node.create_subscription(TwistStamped, '/red/cmd_vel',
                             lambda message: speeds.append(message.twist.linear.x), 10)
    deadline = time.monotonic() + PATIENCE_S
    while not any(abs(speed) > 0.05 for speed in speeds) and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    context.shutdown()
    assert any(abs(speed) > 0.05 for speed in speeds), f'{len(speeds)} velocities, all zero'


def ros2_launch(*arguments: str) -> subprocess.Popen[str]:
    """Run `ros2 launch` with the launch file."""
    return subprocess.Popen(
        [Path(sys.prefix) / 'bin' / 'ros2', 'launch', LAUNCH_FILE, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_arguments_are_described(ros_domain: int) -> None:
    """`ros2 launch --show-args` says what each argument means."""
    output, _ = ros2_launch('--show-args').communicate(timeout=60)
    for name in ('robot', 'model', 'namespace', 'autostart', 'use_sim_time', 'record'):
        assert f"'{name}':" in output
    assert 'no description' not in output


def test_a_robot_that_does_not_fit_starts_nothing(ros_domain: int, tmp_path: Path) -> None:
    """A misfit ends the launch with one line, before any node."""
    robot = tmp_path / 'robot.yaml'
    robot.write_text('inputs: {gyroscope: {topic: imu}}')
    output, _ = (process := ros2_launch(f'robot:={robot}', f'model:={MODEL}')).communicate(
        timeout=60)
    assert process.returncode == 1
    assert "did you mean 'gyro'" in output
    assert 'process started' not in output


def test_ctrl_c_ends_it_well(ros_domain: int) -> None:
    """SIGINT ends every node, without an error."""
    process = ros2_launch(f'robot:={ROBOT}', f'model:={MODEL}')
    time.sleep(15.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert 'Traceback' not in output
