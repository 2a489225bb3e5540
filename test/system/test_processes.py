# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Children end with their parent, in time, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from spowl_ros.control.contract import LONGEST_STOP_RAMP
from spowl_ros.system import processes
from spowl_ros.system.processes import ProcessGroup

SLEEP = [sys.executable, '-c', 'import time; print("up", flush=True); time.sleep(60)']
STUBBORN = [sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGTERM, '
            'signal.SIG_IGN); print("up", flush=True); time.sleep(60)']


@pytest.fixture
def group() -> Iterator[ProcessGroup]:
    """Return a group that is stopped whatever happens."""
    group = ProcessGroup()
    yield group
    group.stop()
    group.close()


def first_line(group: ProcessGroup) -> str:
    """Return the first line that the first child writes."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if lines := group.children[0].read_lines():
            return lines[0]
        time.sleep(0.01)
    raise TimeoutError('the child wrote nothing')


def test_stopping_ends_a_willing_child_at_once(group: ProcessGroup) -> None:
    """SIGTERM suffices, and nothing is reported as killed."""
    group.start('sleep', SLEEP, os.environ)
    assert first_line(group) == 'up'
    start = time.monotonic()
    assert group.stop() == []
    assert time.monotonic() - start < 1
    assert group.children[0].process.returncode == -signal.SIGTERM


def test_stopping_kills_a_child_that_ignores_it(group: ProcessGroup,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not end by itself is killed in time and named."""
    assert processes.TERMINATE_S > LONGEST_STOP_RAMP
    monkeypatch.setattr(processes, 'TERMINATE_S', 0.5)
    group.start('stubborn', STUBBORN, os.environ)
    first_line(group)
    start = time.monotonic()
    assert [child.name for child in group.stop()] == ['stubborn']
    assert 0.5 <= time.monotonic() - start < 1.0


def test_an_ended_child_is_seen_with_its_last_words(group: ProcessGroup) -> None:
    """What a child wrote before its end can be read after it, both streams in order."""
    code = 'import sys; print("out", flush=True); print("err", file=sys.stderr); sys.exit(3)'
    group.start('brief', [sys.executable, '-c', code], os.environ)
    group.children[0].process.wait(20)
    assert [child.name for child in group.ended()] == ['brief']
    assert group.children[0].read_lines() == ['out', 'err']


def test_children_end_when_the_parent_is_killed() -> None:
    """SIGKILL of the parent leaves no orphan."""
    code = ('import os, sys, time\n'
            'from spowl_ros.system.processes import ProcessGroup\n'
            f'group = ProcessGroup(); group.start("sleep", {SLEEP!r}, os.environ)\n'
            'print(group.children[0].process.pid, flush=True); time.sleep(60)')
    parent = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(child)
