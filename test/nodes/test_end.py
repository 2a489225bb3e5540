# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A process that ends in order leaves no file of DDS in shared memory."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import pytest

SHARED_MEMORY = Path('/dev/shm')
WAIT_S = 60.0
CLIENT = """
import signal, sys, threading
import rclpy
from spowl_ros.clients.spinning import spinning
end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
with spinning(lambda: rclpy.create_node("client")) as node:
    end.wait()
sys.stdout.flush()
import os
os._exit(0)  # as the commands end
"""
BIN = Path(sys.executable).parent


def mapped(pid: int) -> set[Path]:
    """Return the files in shared memory of a process."""
    names = re.findall(r'/dev/shm/(\S*fast\S*)', Path(f'/proc/{pid}/maps').read_text())
    return {SHARED_MEMORY / name for name in names}


@pytest.mark.slow
@pytest.mark.parametrize('command', [
    [str(BIN / 'diff_drive')], [str(BIN / 'supervisor')], [str(BIN / 'controller')],
    [sys.executable, '-c', CLIENT]], ids=['node', 'supervisor', 'controller', 'client'])
def test_an_ordinary_end_leaves_no_shared_memory(command: Sequence[str], ros_domain: int) -> None:
    """Also where the user keeps ROS 2 on this machine, which makes DDS use shared memory."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'})
    deadline = time.monotonic() + WAIT_S
    ports = range(7400 + 250 * ros_domain, 7650 + 250 * ros_domain)
    while not (used := mapped(process.pid)) or len(used) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(3.0)  # it handles signals itself once it spins
    used = mapped(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    left = {path for path in used if path.exists() and (
        (port := re.search(r'_port(\d+)', path.name)) is None or int(port[1]) in ports)}
    assert used and not left


@pytest.mark.slow
@pytest.mark.parametrize('node', ['diff_drive', 'supervisor'])
def test_a_refused_start_leaves_no_shared_memory(node: str, ros_domain: int) -> None:
    """A wrong parameter ends a node that is in the network already."""
    before = set(SHARED_MEMORY.glob('fast*'))
    ports = range(7400 + 250 * ros_domain, 7650 + 250 * ros_domain)
    done = subprocess.run([str(BIN / node), '--ros-args', '-p', 'nonsense:=1'], check=False,
                          env={**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
                          capture_output=True, timeout=WAIT_S)
    assert done.returncode == 2
    left = {path for path in set(SHARED_MEMORY.glob('fast*_port*')) - before
            if int(re.findall(r'_port(\d+)', path.name)[0]) in ports}
    assert not left
