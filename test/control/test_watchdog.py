# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A watchdog acts when one piece of work takes too long, and at nothing else."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from spowl_ros.control.watchdog import Watchdog

WAIT_S = 10.0


def acts(work: Callable[[], int | None], seconds: float) -> list[str]:
    """Return what a watchdog with limits at 0.1 and 0.2 seconds has done after some time."""
    done: list[str] = []
    watchdog = Watchdog(work, [(0.1, lambda: done.append('stop')),
                               (0.2, lambda: done.append('end'))])
    time.sleep(seconds)
    watchdog.end()
    return done


def test_work_that_hangs_is_acted_on_once_for_each_limit() -> None:
    """Both limits are passed in their order, each once."""
    assert acts(lambda: 7, 1.0) == ['stop', 'end']


def test_an_action_that_fails_does_not_keep_the_next_one_back() -> None:
    """Where stopping fails, the process ends all the same."""
    done: list[str] = []
    watchdog = Watchdog(lambda: 7, [(0.1, lambda: done[7]), (0.2, lambda: done.append('end'))])
    time.sleep(1.0)
    watchdog.end()
    assert done == ['end']


def test_work_that_goes_on_is_left_alone() -> None:
    """Many short pieces of work, and none at all, are no work that hangs."""
    assert acts(lambda: time.monotonic_ns(), 0.6) == []
    assert acts(lambda: None, 0.6) == []


@pytest.mark.slow
def test_a_suspended_process_is_not_taken_for_one_that_hangs() -> None:
    """After a suspension that was longer than the limit, nothing is done."""
    program = textwrap.dedent("""
        import time
        from spowl_ros.control.watchdog import Watchdog
        began = time.monotonic()
        Watchdog(lambda: int((time.monotonic() - began) / 2.0), [(4.0, lambda: print('acted'))])
        print('ready', flush=True)
        time.sleep(7.0)
        print('done')
    """)
    process = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == 'ready\n'
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(5.0)
    os.kill(process.pid, signal.SIGCONT)
    assert process.communicate(timeout=WAIT_S + 10.0)[0] == 'done\n'
