# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Faults that real processes are put through, and how long the robot waits for a safe command.

Each fault is provoked on a running controller and supervisor while a robot on a stand publishes
sensors. `fault_table.py` repeats all of them and writes the table; the tests do each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from benchmarks.robot_stand import NodeProcess, RobotStand, start_pair, tampered

START_S = 60.0
RECOVERY_S = 30.0
HOLD_PERIODS = 3


@dataclass
class System:
    """What a fault is done to."""

    stand: RobotStand
    controller: NodeProcess
    supervisor: NodeProcess
    model: Path
    simulated_time: bool = False
    intruder: Any = None
    burners: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def close(self) -> None:
        """End everything."""
        self.controller.end()
        self.supervisor.end()
        self.stand.close()


@dataclass(frozen=True)
class Fault:
    """One fault: how to provoke it, how to end it, and what is to be expected."""

    name: str
    provoke: Callable[[System], float | None]
    """May return the steady time of the fault, where it needs to prepare."""
    mend: Callable[[System], Any] = lambda system: system.stand.mend()
    simulated_time: bool = False
    safe: str = 'stop'
    """'stop': the stop action must come; 'drive': commands must go on; 'either': some command."""


    def is_right(self, robot_gets: str) -> bool:
        """Whether what the robot got is what is to be expected."""
        return robot_gets in {'stop': ('stop',), 'drive': ('commands',),
                              'either': ('stop', 'commands')}[self.safe]


@dataclass(frozen=True)
class Outcome:
    """What happened at one provocation."""

    fault: str
    seconds_to_safe: float
    """From the fault to the arrival of the stop action; nan where driving on was right."""
    seconds_to_recover: float
    """From the end of the fault to the first command that is not the stop action."""
    robot_gets: str
    """'stop', 'commands' or 'nothing'."""
    says: str
    """What the controller's and the supervisor's diagnostics said."""


@contextlib.contextmanager
def running(model: Path, contract: Any, simulated_time: bool = False) -> Iterator[System]:
    """Run a stand, a controller and a supervisor that drive."""
    controller, supervisor = start_pair(model, simulated_time)
    stand = RobotStand(contract, simulated_time)
    system = System(stand, controller, supervisor, model, simulated_time)
    try:
        wait_until_driving(system)
        yield system
    finally:
        system.close()


def wait_until_driving(system: System, timeout: float = START_S) -> float:
    """
    Wait for a second of commands without a stop; return the steady time of the first of them.

    :raises TimeoutError: it did not come to drive
    """
    start = time.monotonic()
    needed = 5
    while time.monotonic() < start + timeout:
        recent = [entry for entry in system.stand.commands[-needed:] if entry[0] > start]
        if len(recent) == needed and not any(system.stand.is_stop(v) for _, v in recent):
            return recent[0][0]
        time.sleep(0.01)
    raise TimeoutError(f'the robot does not drive: {describe(system)}')


def describe(system: System) -> str:
    """Return what an operator reads: the worst of the controller's and the supervisor's."""
    texts = []
    for name, status in sorted(system.stand.diagnostics.items()):
        if status.level != b'\x00':
            texts.append(f'{name}: {status.message}')
    return '; '.join(texts)


def put_through(system: System, fault: Fault) -> Outcome:
    """Provoke a fault on a driving system, wait for what is right, and mend it."""
    stand, period = system.stand, system.stand.contract.control_period
    start = time.monotonic()
    start = fault.provoke(system) or start
    if fault.safe == 'stop':
        first = stand.wait_for_command(start, stop=True, timeout=20 * period + 5.0)
        to_safe = math.nan if first is None else first[0] - start
        time.sleep(HOLD_PERIODS * period)
        since = math.inf if first is None else first[0]
        stops = [stand.is_stop(values) for when, values in stand.commands
                 if since <= when <= since + HOLD_PERIODS * period]
        gets = 'stop' if stops and all(stops) else 'commands'
    else:
        time.sleep(10 * period)
        to_safe = math.nan
        recent = [values for when, values in stand.commands if when >= start]
        drives = sum(not stand.is_stop(values) for values in recent)
        gets = 'nothing' if len(recent) < 6 else (
            'commands' if drives > 0.8 * len(recent) else 'stop')
    time.sleep(1.1)  # diagnostics come once a second
    says = describe(system)
    mended = time.monotonic()
    fault.mend(system)
    recovered = wait_until_driving(system)
    return Outcome(fault.name, to_safe, recovered - mended, gets, says)


def all_faults(contract: Any) -> list[Fault]:
    """Return every fault, in the order in which the table lists them."""
    from spowl_ros.nodes import conversion

    topics = [entry.topic for entry in conversion.inputs(contract)]
    scan = next(entry.topic for entry in conversion.inputs(contract)
                if entry.parts[0].sensor == 'scan')
    body = topics[0]
    return [
        *(Fault(f'{topic} silent', _silence(topic)) for topic in topics),
        Fault('all sensors silent (robot or simulator dead)', _silence(*topics)),
        Fault(f'{scan}: not a number', _tamper(scan, _fill(math.nan))),
        Fault(f'{body}: infinite', _tamper(body, _infinite)),
        Fault(f'{scan}: wrong length', _tamper(scan, _shorten)),
        Fault(f'{body}: another frame', _tamper(body, _reframe)),
        Fault(f'{body}: stamps 10 s in the past', _tamper(body, _shift(-10))),
        Fault(f'{body}: stamps 10 s in the future', _tamper(body, _shift(10))),
        Fault(f'{body}: the same stamp again and again', _freeze(body)),
        Fault(f'{body} at a tenth of its rate', _divide(body)),
        Fault('all sensors at ten times their rate', _speed(10.0), safe='drive'),
        Fault('controller killed (SIGKILL)', _signal('controller', signal.SIGKILL),
              _restart_controller),
        Fault('controller stopped (SIGSTOP)', _signal('controller', signal.SIGSTOP),
              _signal('controller', signal.SIGCONT)),
        Fault('two controllers at once', _second_controller, _expel),
        Fault('operator stop (~/stop)', _operator(True), _operator(False)),
        Fault('both cores saturated', _saturate, _relieve, safe='either'),
        Fault('/clock stopped', _stop_clock, simulated_time=True),
        Fault('/clock set back 100 s', _set_clock_back, simulated_time=True, safe='drive'),
    ]


def _silence(*topics: str) -> Callable[[System], float | None]:
    def provoke(system: System) -> None:
        system.stand.silent = set(topics)
    return provoke


def _tamper(topic: str, change: Callable[[Any], None]) -> Callable[[System], float | None]:
    def provoke(system: System) -> None:
        system.stand.tamper = {topic: tampered(change)}
    return provoke


def _fill(value: float) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        message.ranges = [value] * len(message.ranges)
    return change


def _infinite(message: Any) -> None:
    message.linear_acceleration.x = math.inf


def _shorten(message: Any) -> None:
    message.ranges = message.ranges[:-1]


def _reframe(message: Any) -> None:
    message.header.frame_id = 'map'


def _shift(seconds: int) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        message.header.stamp.sec += seconds
    return change


def _freeze(topic: str) -> Callable[[System], float | None]:
    def provoke(system: System) -> None:
        last_ns = system.stand.last_stamp_ns

        def change(message: Any) -> None:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(last_ns, 10**9)
        system.stand.tamper = {topic: tampered(change)}
    return provoke


def _divide(topic: str) -> Callable[[System], float | None]:
    def provoke(system: System) -> None:
        system.stand.divide = {topic: (system.stand.measurements, 10)}
    return provoke


def _speed(factor: float) -> Callable[[System], float | None]:
    def provoke(system: System) -> None:
        system.stand.speed = factor
    return provoke


def _signal(process: str, number: signal.Signals) -> Callable[[System], float | None]:
    def send(system: System) -> None:
        getattr(system, process).send(number)
    return send


def _restart_controller(system: System) -> None:
    system.controller.end()
    system.controller = start_pair_controller(system)


def start_pair_controller(system: System) -> NodeProcess:
    """Start a controller for a running system."""
    return NodeProcess('controller', {
        'model': str(system.model), 'autostart': True, 'use_sim_time': system.simulated_time},
        {'command': 'command_raw'})


def _second_controller(system: System) -> float:
    """Send commands as a second controller would that did not look around."""
    node = system.stand.node
    system.intruder = node.create_publisher(Float64MultiArray, 'command_raw', 1)
    time.sleep(1.0)  # until the supervisor has found it
    start = time.monotonic()
    for _ in range(5):
        system.intruder.publish(
            Float64MultiArray(data=[1.0] * system.stand.contract.action.size))
        time.sleep(system.stand.contract.control_period / 5)
    return start


def _expel(system: System) -> None:
    system.stand.node.destroy_publisher(system.intruder)


def _operator(stop: bool) -> Callable[[System], float | None]:
    def call(system: System) -> None:
        client = system.stand.node.create_client(SetBool, 'supervisor/stop')
        client.wait_for_service(5.0)
        client.call_async(SetBool.Request(data=stop))
    return call


def _saturate(system: System) -> float:
    # Ordinary priority, whatever this process has: a real-time loop would end everything.
    burn = [sys.executable, '-c', 'import os\nos.sched_setscheduler('
            '0, os.SCHED_OTHER, os.sched_param(0))\nwhile True: pass']
    system.burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    return time.monotonic()


def _relieve(system: System) -> None:
    for burner in system.burners:
        burner.kill()
        burner.wait()


def _stop_clock(system: System) -> None:
    system.stand.clock_runs = False


def _set_clock_back(system: System) -> None:
    system.stand.clock_offset_s -= 100.0
