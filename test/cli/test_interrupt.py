# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals to end, several at once: exit code 130, one line, and no process is left."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

import psutil
import pytest

from spowl_ros.base.errors import INTERRUPTED
from spowl_ros.cli._interrupt import LATEST_S

SPOWL = Path(sys.prefix) / 'bin' / 'spowl'
BUNDLE = Path(__file__).resolve().parents[2] / 'models' / 'SafetyPointGoal1-v0'
EVALUATE = ('evaluate', str(BUNDLE), '--episodes', '20')
LOSES = """
import time
from spowl_ros.cli._interrupt import INTERRUPTS
INTERRUPTS.handle()
class Sleeper:
    def __del__(self):
        print('up', flush=True)
        time.sleep(60)
try:
    Sleeper()
    time.sleep(60)
except KeyboardInterrupt:
    INTERRUPTS.ignore(130)
"""


def wait_until_it_works(process: psutil.Process, children: int) -> None:
    """Wait for a command whose libraries are loaded and whose worker processes have started."""
    end = time.monotonic() + 150.0
    while time.monotonic() < end:
        workers = [child for child in process.children(recursive=True)
                   if 'spawn_main' in ' '.join(child.cmdline())]
        files = {Path(file.path).name for file in process.memory_maps()}
        if len(workers) == children and any('onnxruntime' in name for name in files):
            return
        time.sleep(0.1)
    raise TimeoutError('it never worked')


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'workers'), [(signal.SIGTERM, 0), (signal.SIGINT, 2)])
def test_repeated_signals_end_a_command_once(number: signal.Signals, workers: int) -> None:
    """Three signals within 20 ms, to the whole process group, are one request to end."""
    options = ('--workers', str(workers)) if workers else ()
    process = subprocess.Popen([SPOWL, *EVALUATE, *options], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    watched = psutil.Process(process.pid)
    wait_until_it_works(watched, workers)
    children = watched.children(recursive=True)
    for _ in range(3):
        signal_group(process.pid, number)
        time.sleep(0.01)
    _, said = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, said
    assert said.splitlines()[-1] == 'spowl: interrupted'
    assert 'Traceback' not in said
    assert not psutil.wait_procs(children, timeout=5.0)[1]


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal as a terminal does; the group may have ended."""
    for child in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        try:
            child.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def test_interrupt_in_a_destructor_is_not_lost() -> None:
    """Python ignores exceptions in a destructor; the interrupt comes again after it."""
    process = subprocess.Popen([sys.executable, '-c', LOSES], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == 'up\n'
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - start < LATEST_S / 2, 'it was ended by force'
    assert process.returncode == INTERRUPTED
    assert said == ''
