# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Alive means deciding: whatever hangs, dies or is frozen is noticed, and the robot stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
import psutil
import pytest

from benchmarks.faults import System, running
from benchmarks.operation import wait
from benchmarks.robot_stand import ORDINARY, RobotStand, program
from spowl_ros.base.children import end_with_parent
from spowl_ros.control.contract import Contract

pytestmark = pytest.mark.slow

WAIT_S = 40.0
OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR
HANGS = """
import ctypes
from spowl_ros.control.planner import Planner
plan, made, lock = Planner.plan, [], ctypes.create_string_buffer(64)
def hang(*args, **values):
    made.append(1)
    if len(made) > 30:
        for _ in range(2):  # as a graph that never returns: in a library, without the GIL
            ctypes.CDLL(None).pthread_mutex_lock(lock)
    return plan(*args, **values)
Planner.plan = hang
"""
SPOWL = Path(sys.executable).parent / 'spowl'


@pytest.fixture
def start(untrained_bundle: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a controller in whose process a program runs first."""
    started: list[subprocess.Popen[str]] = []

    def start(first: str, *more: str, **parameters: object) -> subprocess.Popen[str]:
        given = {'model': untrained_bundle, 'autostart': 'true', **parameters}
        started.append(subprocess.Popen(
            [sys.executable, '-c',
             f'{ORDINARY}{first}\n{program("controller")}',
             '--ros-args', *more,
             *(part for key, value in given.items() for part in ('-p', f'{key}:={value}'))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=end_with_parent()))
        return started[-1]
    yield start
    for process in started:
        process.kill()
        process.communicate()


def hung(stand: RobotStand) -> DiagnosticStatus:
    """Return what the diagnostics say once decisions are overdue."""
    return wait(lambda: next((status for name, status in list(stand.diagnostics.items())
                              if name == 'controller: decisions'
                              and 'no decision for' in status.message), None))


def test_a_decision_that_hangs_ends_the_process(
        stand: RobotStand, start: Callable[..., subprocess.Popen[str]]) -> None:
    """The robot is stopped, diagnostics say so, and the process ends with one clear line."""
    process = start(HANGS, decision_timeout=3.0)
    wait(lambda: len(stand.commands) > 10)
    status = hung(stand)
    assert status.level == ERROR
    assert {item.key: float(item.value) for item in status.values
            if item.key == 'age_s'}['age_s'] > 0.0
    assert stand.is_stop(stand.commands[-1][1])
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    line = output.strip().splitlines()[-1]
    assert line.startswith('error: the controller hangs in one decision (')
    assert 'hang; the robot was told to stop' in line.replace(')', '')
    assert stand.is_stop(stand.commands[-1][1])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_that_hangs(
        stand: RobotStand, start: Callable[..., subprocess.Popen[str]],
        number: signal.Signals) -> None:
    """Told to end, it stops the robot and ends in bounded time, though a decision never does."""
    process = start(HANGS, decision_timeout=600.0)
    wait(lambda: len(stand.commands) > 10)
    hung(stand)
    began = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=WAIT_S)
    assert time.monotonic() - began < 10.0
    assert process.returncode == 1
    assert 'the controller hangs in one decision' in output
    assert stand.is_stop(stand.commands[-1][1])


def test_a_signal_ends_a_process_that_hangs_while_it_starts(
        stand: RobotStand, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Also a library that does not return in the main thread, as at the warm-up, holds nobody."""
    process = start(HANGS.replace('len(made) > 30', "not print('hangs', flush=True)").replace(
        'Planner.plan', 'Planner._warm_up'))
    assert process.stdout is not None and process.stdout.readline() == 'hangs\n'
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert 'did not end within' in output


def test_nobody_reads_what_it_writes(
        stand: RobotStand, start: Callable[..., subprocess.Popen[str]]) -> None:
    """A node whose lines fill a pipe goes on driving."""
    flood = ('import threading, sys\n'
             'def flood():\n'
             '    while True:\n'
             '        try:\n'
             "            sys.stderr.write('x' * 4096)\n"
             '        except BlockingIOError: pass\n'
             '        threading.Event().wait(0.01)\n'
             'threading.Thread(target=flood, daemon=True).start()')
    process = start(flood, '--log-level', 'debug')
    wait(lambda: any(not stand.is_stop(values) for _, values in stand.commands))
    time.sleep(3.0)
    stand.commands.clear()
    wait(lambda: sum(not stand.is_stop(values) for _, values in stand.commands) > 10)
    assert process.poll() is None


def of(system: System, name: str) -> DiagnosticStatus | None:
    """Return the last status of a part."""
    return system.stand.diagnostics.get(name)


def said(system: System, name: str, words: str) -> bool:
    """Whether a part says something now."""
    status = of(system, name)
    return status is not None and words in status.message


@pytest.mark.parametrize('death', [signal.SIGKILL, signal.SIGSTOP])
def test_each_reports_the_others_death(untrained_bundle: Path, contract: Contract,
                                       ros_domain: int, death: signal.Signals) -> None:
    """Within about two control periods, on /diagnostics and ~/state; and that it is back."""
    with running(untrained_bundle, contract) as system:
        wait(lambda: (status := of(system, 'controller: state')) is not None
             and status.values and status.values[0].value == 'alive')
        for victim, reporter in (('supervisor', 'controller: state'),
                                 ('controller', 'supervisor')):
            words = f'the {victim} hangs or has died'
            system.nodes[victim].send(death)
            began = time.monotonic()
            wait(lambda: said(system, reporter, words))  # noqa: B023
            assert time.monotonic() - began < 2 * contract.control_period + 1.0  # a busy machine
            assert of(system, reporter).level == ERROR
            if victim == 'controller':
                wait(lambda: words in system.stand.supervisor.message)  # noqa: B023
            if death == signal.SIGSTOP:
                system.nodes[victim].send(signal.SIGCONT)
            else:
                system.start(victim)
            wait(lambda: not said(system, reporter, words))  # noqa: B023


def test_a_frozen_command_line_leaves_no_robot_driving(
        untrained_bundle: Path, ros_domain: int) -> None:
    """Whoever froze `spowl sim` cannot end it any more; its nodes end by themselves."""
    process = subprocess.Popen(
        [SPOWL, 'sim', f'model:={untrained_bundle}', 'episodes:=0', 'rate:=1.0'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        children = wait(lambda: (found := psutil.Process(process.pid).children())
                        and len(found) == 3 and found)
        time.sleep(10.0)
        os.kill(process.pid, signal.SIGSTOP)
        wait(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in children), 15.0)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(20.0)
