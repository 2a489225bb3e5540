# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Children end with their parent, in time, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from spowl_ros.control.contract import LONGEST_STOP_RAMP
from spowl_ros.system import running
from spowl_ros.system.running import Child

SLEEP = [sys.executable, '-c', 'import time; print("up", flush=True); time.sleep(60)']
STUBBORN = [sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGTERM, '
            'signal.SIG_IGN); print("up", flush=True); time.sleep(60)']


@pytest.fixture
def run() -> Iterator[Callable[[list[str]], Child]]:
    """Return a function that starts a command; what it started is stopped whatever happens."""
    children: list[Child] = []

    def start(command: list[str]) -> Child:
        children.append(running.start('child', command, os.environ))
        return children[-1]

    yield start
    running.stop(children)
    for child in children:
        child.output.close()


def first_line(child: Child) -> str:
    """Return the first line that a child writes."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if lines := child.read_lines():
            return lines[0]
        time.sleep(0.01)
    raise TimeoutError('the child wrote nothing')


def test_stopping_ends_a_willing_child_at_once(run: Callable[[list[str]], Child]) -> None:
    """SIGTERM suffices, and nothing is killed."""
    child = run(SLEEP)
    assert first_line(child) == 'up'
    start = time.monotonic()
    running.stop([child])
    assert time.monotonic() - start < 1
    assert child.process.returncode == -signal.SIGTERM


def test_stopping_kills_a_child_that_ignores_it(run: Callable[[list[str]], Child],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not end by itself is killed in time."""
    assert running.TERMINATE_S > LONGEST_STOP_RAMP
    monkeypatch.setattr(running, 'TERMINATE_S', 0.5)
    child = run(STUBBORN)
    first_line(child)
    start = time.monotonic()
    running.stop([child])
    assert 0.5 <= time.monotonic() - start < 1.0
    assert child.process.returncode == -signal.SIGKILL


def test_the_last_words_of_an_ended_child_are_read(run: Callable[[list[str]], Child]) -> None:
    """What a child wrote before its end can be read after it, both streams in order."""
    child = run([sys.executable, '-c', 'import sys; print("out", flush=True); '
                                       'print("err", file=sys.stderr); sys.exit(3)'])
    assert child.process.wait(20) == 3
    assert child.read_lines() == ['out', 'err']


def test_children_end_when_the_parent_is_killed() -> None:
    """SIGKILL of the parent leaves no orphan."""
    code = ('import os, sys, time\n'
            'from spowl_ros.system import running\n'
            f'child = running.start("sleep", {SLEEP!r}, os.environ)\n'
            'print(child.process.pid, flush=True); time.sleep(60)')
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
