# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replaying a bag needs no ROS: numpy, ONNX Runtime and rosbags are enough."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

ALONE = '''
import importlib.metadata
from pathlib import Path
import sys


class Absent:
    """Says of everything but these that it is not installed."""

    here = {'numpy', 'onnxruntime', 'rosbags', 'ruamel', 'yaml', 'lz4', 'apsw', 'zstandard',
            'backports', 'typing_extensions', 'spowl_ros', *sys.stdlib_module_names}

    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] not in self.here:
            raise ImportError(f'{name} is not installed here')


sys.meta_path.insert(0, Absent())
from spowl_ros.control import bundle
from spowl_ros.replay.replay import replay

model = bundle.load(Path(sys.argv[2]))
found = replay(Path(sys.argv[1]), model)
assert found.identical, found.differences
assert not {'rclpy', 'sensor_msgs'} & set(sys.modules)
print(len(found.replayed))
'''


def test_a_bag_replays_where_no_ros_is(lock_step_bag: Path, untrained_bundle: Path) -> None:
    """Where importing rclpy or any message package raises, each decision is the recorded one."""
    done = subprocess.run([sys.executable, '-c', ALONE, str(lock_step_bag),
                           str(untrained_bundle)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
