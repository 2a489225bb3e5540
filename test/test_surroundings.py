# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The tests' own surroundings: what other processes of the machine do changes no result."""

from __future__ import annotations

import os
from pathlib import Path
import re
import subprocess
import sys
import time
from types import ModuleType

import pytest

NODE = """
import time
import rclpy
rclpy.init()
node = rclpy.create_node('stranger')
print('up', flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize('ours', [False, True], ids=['a stranger', 'our own'])
def test_killed_process_leaves_shared_memory(surroundings: ModuleType, ros_domain: int,
                                             ours: bool) -> None:
    """Files of a killed process count when a test started it, not when a stranger did."""
    ports = range(7400 + 250 * ros_domain, 7650 + 250 * ros_domain)
    before = set(surroundings.SHARED_MEMORY.glob('*fast*'))
    watch = surroundings.SharedMemoryWatch()
    environment = {**os.environ, 'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}
    if not ours:
        del environment[surroundings.SESSION_MARK]
    node = subprocess.Popen([sys.executable, '-c', NODE], env=environment,
                            stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    assert node.stdout.readline() == 'up\n'
    occupied = ros_domain in surroundings.domains_in_use()
    time.sleep(10 * surroundings.SHARED_MEMORY_LOOK_S)
    maps = Path(f'/proc/{node.pid}/maps').read_text().split()
    node.kill()
    node.wait()
    node.stdout.close()
    counted = watch.close()
    left = set()
    for path in surroundings.SHARED_MEMORY.glob('*fast*'):
        port = re.search(r'_port(\d+)', path.name)
        if port and int(port[1]) in ports:
            left |= {path} & watch.files()
            path.unlink()
        elif path not in before and re.sub(
                r'/sem\.(.*)_mutex$', r'/\1', str(path).removesuffix('_el')) in maps:
            path.unlink()  # data, and the multicast port that all domains share
    assert occupied, 'the domain of a running node counts as free'
    assert left
    assert left <= counted if ours else not counted
