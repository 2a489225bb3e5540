# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The launch file of a replay, run by the real launch where that is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('launch_pytest', reason='launch_pytest comes with ROS 2 and is not installed; '
                    'test/evaluation/test_replay_live.py plays bags with `spowl replay --live`')

import launch  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
import launch_pytest  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / 'models' / 'SafetyPointGoal1-v0'
LAUNCH_FILE = ROOT / 'launch' / 'replay.launch.py'
PATIENCE_S = 120.0


def ros2_launch(*arguments: str | Path) -> subprocess.Popen[str]:
    """Run `ros2 launch`."""
    return subprocess.Popen([Path(sys.prefix) / 'bin' / 'ros2', 'launch', *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an episode of the shipped bundle, recorded by the simulation's launch file."""
    if not (MODEL / 'manifest.json').is_file():
        pytest.skip(f'there is no bundle in {MODEL}')
    path = tmp_path_factory.mktemp('bags') / 'bag'
    recording = ros2_launch(ROOT / 'launch' / 'sim.launch.py', f'model:={MODEL}', 'episodes:=1',
                            f'record:={path}')
    output, _ = recording.communicate(timeout=PATIENCE_S)
    assert recording.returncode == 0, output
    assert path.is_dir()
    return path


class Audience:
    """Hears what is played and what the shadow says."""

    def __init__(self) -> None:
        from rclpy import Context, create_node, init
        from rclpy.executors import SingleThreadedExecutor
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import LaserScan
        from std_msgs.msg import Float64MultiArray

        self._context = Context()
        init(context=self._context)
        self.node = create_node('audience', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.heard: Counter[str] = Counter()
        self.loops = 0
        self._last_s = 0.0
        self.node.create_subscription(Clock, '/clock', self._on_clock, 1000)
        for kind, topic in ((LaserScan, '/hazards_scan'), (Float64MultiArray, '/shadow/command'),
                            (Float64MultiArray, '/recorded/command')):
            self.node.create_subscription(
                kind, topic, lambda _, topic=topic: self.heard.update([topic]), 1000)

    def _on_clock(self, message) -> None:
        now_s = message.clock.sec + message.clock.nanosec * 1e-9
        self.loops += now_s < self._last_s
        self._last_s = now_s

    def listen(self, loops: int) -> None:
        """Listen until everything was heard and the clock has been set back so often."""
        deadline = time.monotonic() + PATIENCE_S
        while (len(self.heard) < 3 or self.loops < loops) and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        """Leave the network."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.shutdown()


@pytest.fixture
def audience(ros_domain: int) -> Iterator[Audience]:
    """Return somebody who listens."""
    audience = Audience()
    yield audience
    audience.close()


@launch_pytest.fixture
def playing(ros_domain: int, bag: Path) -> launch.LaunchDescription:
    """Launch an endless replay."""
    return launch.LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
            launch_arguments={'bag': str(bag), 'model': str(MODEL), 'rate': '10.0',
                              'loop': 'true'}.items()),
        launch_pytest.actions.ReadyToTest()])


@pytest.mark.launch(fixture=playing)
def test_a_shadow_decides_on_what_is_played_again_and_again(audience: Audience) -> None:
    """Sensors on their topics, commands of the shadow and of the recording on others only."""
    audience.listen(loops=1)
    assert audience.heard.keys() == {'/hazards_scan', '/shadow/command', '/recorded/command'}
    assert audience.loops >= 1
    assert audience.node.count_publishers('/command') == 0
    assert audience.node.count_publishers('/command_raw') == 0


def test_it_ends_by_itself_with_the_bag(ros_domain: int, bag: Path) -> None:
    """Without loop:=true the end of the bag ends everything, without an error."""
    process = ros2_launch(LAUNCH_FILE, f'bag:={bag}', f'model:={MODEL}', 'rate:=10.0')
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert '[player-2]: process has finished cleanly' in output
    assert 'Traceback' not in output


def test_ctrl_c_ends_it_well(ros_domain: int, bag: Path, audience: Audience) -> None:
    """SIGINT while playing ends both nodes, without an error."""
    process = ros2_launch(LAUNCH_FILE, f'bag:={bag}', f'model:={MODEL}', 'loop:=true')
    audience.listen(loops=0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert 'Traceback' not in output


def test_arguments_are_described(ros_domain: int) -> None:
    """`ros2 launch --show-args` says what each argument means."""
    output, _ = ros2_launch(LAUNCH_FILE, '--show-args').communicate(timeout=60)
    for name in ('bag', 'model', 'robot', 'namespace', 'params_file', 'rate', 'loop'):
        assert f"'{name}':" in output
    assert 'no description' not in output


@pytest.mark.parametrize(('arguments', 'said'), [
    ([], 'no bag is named; name one with bag:=PATH'),
    (['bag:=/no/bag'], 'no such bag: /no/bag'),
    (['bag:=.'], 'is not a bag'),
    (['bag:=.', 'rate:=fast'], "'rate' is 'fast' (str), wanted a number from 0.01 to 100"),
])
def test_a_mistake_is_reported_in_one_line(arguments: list[str], said: str, ros_domain: int,
                                           tmp_path: Path) -> None:
    """A bad argument ends the launch before any node, with its reason and exit code 1."""
    process = ros2_launch(LAUNCH_FILE, f'model:={MODEL}', *arguments)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in output
    assert 'process started' not in output
