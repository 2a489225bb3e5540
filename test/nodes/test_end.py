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
from types import ModuleType

import pytest

LOCAL = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
WAIT_S = 60.0
CLIENT = """
import os, signal, threading
import rclpy
from spowl_ros.clients.spinning import spinning
end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
with spinning(lambda: rclpy.create_node("client")) as node:
    end.wait()
os._exit(0)  # as the commands end
"""
BIN = Path(sys.executable).parent


@pytest.mark.slow
@pytest.mark.parametrize('command', [
    [str(BIN / 'diff_drive')], [str(BIN / 'supervisor')], [str(BIN / 'controller')],
    [sys.executable, '-c', CLIENT]], ids=['node', 'supervisor', 'controller', 'client'])
def test_an_ordinary_end_leaves_no_shared_memory(command: Sequence[str], ros_domain: int,
                                                 surroundings: ModuleType) -> None:
    """Also where the user keeps ROS 2 on this machine, which makes DDS use shared memory."""
    watch = surroundings.SharedMemoryWatch()
    process = subprocess.Popen(command, env=LOCAL | os.environ, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + WAIT_S
    while not watch.ours:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(3.0)  # also in the middle of its start it must not leave any
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert not watch.close()


@pytest.mark.slow
@pytest.mark.parametrize('node', ['diff_drive', 'supervisor'])
def test_a_refused_start_leaves_no_shared_memory(node: str, ros_domain: int,
                                                 surroundings: ModuleType) -> None:
    """A wrong parameter ends a node that is in the network already."""
    before = surroundings.SharedMemoryWatch.files()
    done = subprocess.run([str(BIN / node), '--ros-args', '-p', 'nonsense:=1'], check=False,
                          env=LOCAL | os.environ, capture_output=True, timeout=WAIT_S)
    assert done.returncode == 2
    first = surroundings.DDS_PORT_BASE + surroundings.DDS_PORTS_PER_DOMAIN * ros_domain
    ports = range(first, first + surroundings.DDS_PORTS_PER_DOMAIN)
    new = surroundings.SharedMemoryWatch.files() - before
    assert not {path for path in new if int(re.findall(r'_port(\d+)', path.name)[0]) in ports}


PAGE = """
import sys
from spowl_ros.nodes.viewer import ViewerNode
from spowl_ros.ros.process import run
from spowl_ros.view.page import Page

def show(page, frames, history):
    raise RuntimeError('the page fails')

Page.show, Page.visitors = show, 1
sys.exit(run(ViewerNode, ['--ros-args', '-p', 'port:=0', '-p', 'open_browser:=false']))
"""


def test_a_page_that_can_show_nothing_ends_its_node(ros_domain: int) -> None:
    """What nobody updates any more would look like a robot at rest."""
    done = subprocess.run([sys.executable, '-c', PAGE], capture_output=True, text=True,
                          check=False, timeout=60.0)
    assert done.returncode not in (0, -signal.SIGKILL)
    assert 'the page fails' in done.stderr and 'Traceback' not in done.stderr
