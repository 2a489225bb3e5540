# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a running system leaves behind, and how its end is forced."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

from spowl_ros.cli._nodes import INTERRUPTED
from spowl_ros.system import running

LATEST_S = 0.5
STUCK = f"""
import time
from spowl_ros.cli import _nodes
from spowl_ros.system.running import RunningSystem
with RunningSystem(()) as nodes:
    _nodes.LATEST_S = {LATEST_S}
    _nodes.watch_signals(nodes)
    print('up', flush=True)
    time.sleep(60)
"""


def test_only_what_the_run_made_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tracer's files of this run go; those of a tracer that was there before stay."""
    monkeypatch.setattr(running, 'SHARED_MEMORY', tmp_path)
    before, made, other = (tmp_path / name for name in (
        'lttng-ust-wait-6', 'lttng-ust-wait-6-0', 'somebody_elses'))
    before.touch()
    with running.RunningSystem(()):
        made.touch()
        other.touch()
    assert set(tmp_path.iterdir()) == {before, other}


def test_what_does_not_heed_an_interrupt_is_ended() -> None:
    """Whatever holds the command up, as a library being loaded, it is gone in time."""
    process = subprocess.Popen([sys.executable, '-c', STUCK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == 'up\n'
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == INTERRUPTED
    assert LATEST_S <= time.monotonic() - start < LATEST_S + 2.5
    process.stdout.close()
