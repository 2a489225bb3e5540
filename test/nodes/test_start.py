# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A node that is told to end while it starts, ends with code 0 and says nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import importlib, os, signal, sys, time
from spowl_ros import nodes

def tell(*_):
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.1)

class Stream:
    flush = tell

importlib.import_module = tell  # of the node's libraries
sys.stdout = Stream()
nodes.main()
"""


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM'])
def test_a_second_signal_changes_nothing(name: str) -> None:
    """Told once while it imports and once more while it ends, a node ends without a traceback."""
    done = subprocess.run([sys.executable, '-c', PROGRAM.format(name=name)], capture_output=True,
                          text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, '')
