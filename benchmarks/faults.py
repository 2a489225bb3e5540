# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of real processes, and the time until the robot gets a safe command.

Each fault is provoked on a running controller and supervisor while a robot on a stand publishes
sensors, or while they drive the simulator. A bad start is a controller that joins a supervisor and
must refuse to start. `fault_table.py` repeats all and writes the table; the tests do each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
from dataclasses import dataclass, field
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from benchmarks.robot_stand import (
    ORDINARY,
    Commander,
    EmergencyStop,
    NodeProcess,
    Observer,
    RobotStand,
    SimulatorObserver,
    tampered,
)
from spowl_ros.base.children import end_with_parent
from spowl_ros.robot.topics import topics
from spowl_ros.ros.process import LOG_PERIOD_S
from spowl_ros.supervisor.latch import RELEASE_AFTER_S
from spowl_ros.system import nodes as systems
from spowl_ros.system.parameters import Value

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract

START_S = 60.0
HOLD_PERIODS = 3
ESTOP_TIMEOUT_S = 0.5
"""Longest silence of an e-stop, by the supervisor's default."""
WORLDS = ('stand', 'stand with a margin', 'stand with simulated time', 'simulator')
"""What controller and supervisor drive."""


@dataclass
class System:
    """The system under fault."""

    stand: Any
    """The `Observer` of what the robot gets, often a `RobotStand`."""
    nodes: dict[str, NodeProcess]
    """Controller, supervisor, and the simulator if there is one."""
    specs: dict[str, systems.NodeSpec]
    """Start arguments of each node."""
    intruder: Any = None
    estop: Any = None
    burners: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, **parameters: Value) -> None:
        """Start a node, or restart it, with other parameters if need be."""
        if name in self.nodes:
            self.nodes[name].end()
        spec = self.specs[name]
        self.nodes[name] = NodeProcess(name, {**spec.parameters, **parameters},
                                       spec.remappings)

    def close(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.end()
        self.stand.close()


@dataclass(frozen=True)
class Fault:
    """One fault: how to provoke it, how to end it, and the expected outcome."""

    name: str
    provoke: Callable[[System], float | None]
    """May return the steady time of the fault if it needs preparation."""
    mend: Callable[[System], Any] = lambda system: system.stand.mend()
    world: str = WORLDS[0]
    safe: str = 'stop'
    """'stop': the stop action must come; 'drive': commands must go on; 'either': some command."""

    within_s: float = 0.0
    """Time that the stop may take longer than others, seconds."""
    from_start: bool = False
    """Whether no command may move the robot from the fault on."""
    tested_elsewhere: bool = False
    """Whether a test of its own has this fault."""

    def is_right(self, robot_gets: str) -> bool:
        """Whether the robot got what was expected."""
        return robot_gets in {'stop': ('stop',), 'drive': ('commands',),
                              'either': ('stop', 'commands')}[self.safe]


@dataclass(frozen=True)
class Outcome:
    """Outcome of one provocation."""

    fault: str
    seconds_to_safe: float
    """From the fault to the arrival of the stop action; nan if driving on was right."""
    seconds_to_recover: float
    """From the end of the fault to the first command that is not the stop action."""
    robot_gets: str
    """'stop', 'commands' or 'nothing'."""
    says: str
    """Diagnostics of controller and supervisor."""


@contextlib.contextmanager
def running(model: Path, contract: Contract, world: str = WORLDS[0],
            controller: Mapping[str, Value] | None = None,
            **parameters: Value) -> Iterator[System]:
    """
    Run a controller and a supervisor that drive in one of `WORLDS`.

    :param controller: further parameters of the controller alone
    :param parameters: of both nodes
    """
    simulator = world == 'simulator'
    specs = {spec.executable: spec for spec in systems.simulation(systems.SimulationArguments(
        task=contract.task, model=str(model), episodes=0, rate=1.0))}
    if not simulator:
        del specs['simulator']
        specs = {name: dataclasses.replace(spec, parameters={
            **spec.parameters, **parameters, 'use_sim_time': world == WORLDS[2],
            **((controller or {}) if name == 'controller' else {}),
            **({'limits.margin_response': 'stop'}
               if world == WORLDS[1] and name == 'supervisor' else {})})
            for name, spec in specs.items()}
    stand: Observer = SimulatorObserver(contract) if simulator else RobotStand(
        contract, world == WORLDS[2])
    system = System(stand, {}, specs)
    try:
        for name in specs:
            system.start(name)
        wait_until_driving(system)
        yield system
    finally:
        system.close()


def wait_until_driving(system: System, timeout: float = START_S) -> float:
    """
    Wait for a second of commands without a stop; return the steady time of the first of them.

    :raises TimeoutError: the robot did not start to drive
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
    """Return what an operator reads: the worst message of controller and supervisor."""
    texts = []
    for name, status in sorted(system.stand.diagnostics.items()):
        if status.level != b'\x00':
            texts.append(f'{name}: {status.message}')
    return '; '.join(texts)


def put_through(system: System, fault: Fault, listen: bool = True) -> Outcome:
    """
    Provoke a fault on a driving system, wait for the right outcome, and mend the fault.

    :param listen: wait for the diagnostics, which come once a second
    """
    stand, period = system.stand, system.stand.contract.control_period
    start = time.monotonic()
    start = fault.provoke(system) or start
    if fault.safe == 'stop':
        first = stand.wait_for_command(start, stop=True, timeout=20 * period + 5.0)
        to_safe = math.nan if first is None else first[0] - start
        time.sleep(HOLD_PERIODS * period)
        since = start if fault.from_start else math.inf if first is None else first[0]
        until = (since if first is None else first[0]) + HOLD_PERIODS * period
        stops = [stand.is_stop(values) for when, values in stand.commands
                 if since <= when <= until]
        gets = 'stop' if stops and all(stops) else 'commands'
    else:
        time.sleep(10 * period)
        to_safe = math.nan
        recent = [values for when, values in stand.commands if when >= start]
        drives = sum(not stand.is_stop(values) for values in recent)
        gets = 'nothing' if len(recent) < 6 else (
            'commands' if drives > 0.8 * len(recent) else 'stop')
    says = ''
    if listen:
        time.sleep(1.1)
        says = describe(system)
    mended = time.monotonic()
    fault.mend(system)
    recovered = wait_until_driving(system)
    return Outcome(fault.name, to_safe, recovered - mended, gets, says)


def all_faults(contract: Contract) -> list[Fault]:
    """Return every fault, in the order in which the table lists them."""
    names = [entry.topic for entry in topics(contract)]
    scan = next(entry.topic for entry in topics(contract)
                if entry.parts[0].field.sensor == 'scan')
    body = names[0]
    return [
        *(Fault(f'{topic} silent', _silence(topic)) for topic in names),
        Fault('all sensors silent (robot or simulator dead)', _silence(*names)),
        Fault(f'{scan}: not a number', _tamper(scan, _fill(math.nan))),
        Fault(f'{scan}: one beam is not a number', _tamper(scan, _spoil_beam)),
        Fault(f'{scan}: infinite range_max', _tamper(scan, _unlimit)),
        Fault(f'{scan}: stamps of 0', _tamper(scan, _unstamp)),
        Fault(f'{body}: infinite', _tamper(body, _infinite)),
        Fault(f'{scan}: wrong length', _tamper(scan, _shorten)),
        Fault(f'{body}: another frame', _tamper(body, _reframe)),
        Fault(f'{body}: stamps 10 s in the past', _tamper(body, _shift(-10))),
        Fault(f'{body}: stamps 10 s in the future', _tamper(body, _shift(10))),
        Fault(f'{body}: the same stamp again and again', _freeze(body)),
        Fault(f'{body} at a tenth of its rate', _divide(body)),
        Fault('all sensors at ten times their rate', _speed(10.0), safe='drive'),
        Fault('controller killed (SIGKILL)', _signal('controller', signal.SIGKILL),
              _start('controller')),
        Fault('controller stopped (SIGSTOP)', _signal('controller', signal.SIGSTOP),
              _signal('controller', signal.SIGCONT)),
        Fault('controller ended (SIGINT)', _signal('controller', signal.SIGINT),
              _start('controller'), tested_elsewhere=True),
        Fault('supervisor ended (SIGINT)', _signal('supervisor', signal.SIGINT),
              _start('supervisor'), tested_elsewhere=True),
        Fault('supervisor frozen, a stale command waits (SIGSTOP, SIGCONT)', _freeze_supervisor,
              _signal('controller', signal.SIGCONT), from_start=True, tested_elsewhere=True),
        Fault('two controllers at once', _second_controller, _expel),
        Fault('another one commands at 1 kHz', _intrude(0.001), _expel_other),
        Fault("another one commands after the controller's death", _kill_and_intrude,
              _expel_and_start),
        Fault('operator stop (~/stop)', _stop, _release),
        Fault('e-stop pressed', _press, _let_go, tested_elsewhere=True),
        Fault('e-stop silent', _silence_estop, _let_go, within_s=ESTOP_TIMEOUT_S,
              tested_elsewhere=True),
        Fault('supervisor killed while an operator holds the robot', _kill_held, _release,
              from_start=True, within_s=START_S, tested_elsewhere=True),
        Fault('both cores saturated', saturate, relieve, safe='either'),
        Fault('hazards all around, 5 cm away', _surround, world=WORLDS[1]),
        Fault('hazards_scan silent, with a margin', _silence('hazards_scan'), world=WORLDS[1]),
        Fault('/clock stopped', _stop_clock, world=WORLDS[2]),
        Fault('/clock set back 100 s', _set_clock_back, world=WORLDS[2], safe='drive'),
        Fault('supervisor killed (SIGKILL)', _kill_supervisor, _start('supervisor'),
              world='simulator'),
        Fault('simulator stopped (SIGSTOP)', _signal('simulator', signal.SIGSTOP),
              _signal('simulator', signal.SIGCONT), world='simulator'),
        Fault('simulator killed (SIGKILL)', _signal('simulator', signal.SIGKILL),
              _start('simulator'), world='simulator'),
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


def _surround(system: System) -> None:
    """Let hazards be all around; the robot may turn, which would lead out of a gap."""
    system.stand.turning_rests = True
    system.stand.tamper = {'hazards_scan': tampered(_fill(0.25))}


def _infinite(message: Any) -> None:
    message.linear_acceleration.x = math.inf


def _spoil_beam(message: Any) -> None:
    message.ranges = [*message.ranges[:-1], math.nan]


def _unlimit(message: Any) -> None:
    message.range_max = math.inf


def _unstamp(message: Any) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


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
        system.nodes[process].send(number)
    return send


def _start(process: str) -> Callable[[System], None]:
    def start(system: System) -> None:
        system.start(process)
    return start


def _kill_supervisor(system: System) -> float:
    """Kill the supervisor when the simulator can report at once that nobody commands it."""
    while time.monotonic() - system.stand.said_stopped < 1.1 * LOG_PERIOD_S:
        time.sleep(0.05)
    start = time.monotonic()
    system.nodes['supervisor'].send(signal.SIGKILL)
    return start


def _freeze_supervisor(system: System) -> float:
    """Freeze the supervisor, then its controller: the last command waits in a queue."""
    supervisor, controller = system.nodes['supervisor'], system.nodes['controller']
    supervisor.send(signal.SIGSTOP)
    time.sleep(0.5)
    controller.send(signal.SIGSTOP)
    time.sleep(0.5)
    start = time.monotonic()
    supervisor.send(signal.SIGCONT)
    return start


def _press(system: System) -> float:
    """Press an e-stop that was heard before."""
    estop = _estop(system)
    start = time.monotonic()
    estop.pressed = True
    return start


def _silence_estop(system: System) -> float:
    estop = _estop(system)
    start = time.monotonic()
    estop.silent = True
    return start


def _estop(system: System) -> EmergencyStop:
    """Return an e-stop that the supervisor hears; the robot still drives."""
    if system.estop is None:
        system.estop = EmergencyStop(system.stand.node)
    time.sleep(0.5)
    return system.estop


def _let_go(system: System) -> None:
    """Release the e-stop, then the robot; the e-stop goes on sending."""
    system.estop.pressed = system.estop.silent = False
    _release(system)


def _kill_held(system: System) -> float:
    """Hold the robot, kill the supervisor, and start it again as on a robot."""
    _stop(system)
    time.sleep(0.5)
    system.nodes['supervisor'].send(signal.SIGKILL)
    start = time.monotonic()
    system.nodes['supervisor'].wait(START_S)
    system.start('supervisor', start_held=True)
    return start


def _second_controller(system: System) -> float:
    """Send commands like a second controller that does not check for others."""
    node, contract = system.stand.node, system.stand.contract
    publisher = node.create_publisher(Float64MultiArray, 'command_raw', 1)
    time.sleep(1.0)  # until the supervisor has found it
    command = Float64MultiArray(data=[1.0] * contract.action.size)
    start = time.monotonic()
    publisher.publish(command)
    timer = node.create_timer(contract.control_period, lambda: publisher.publish(command),
                              clock=Clock(clock_type=ClockType.STEADY_TIME))
    system.intruder = (publisher, timer)
    return start


def _expel(system: System) -> None:
    publisher, timer = system.intruder
    system.stand.node.destroy_timer(timer)
    system.stand.node.destroy_publisher(publisher)


def _intrude(period: float) -> Callable[[System], float | None]:
    """Return a commander as another node; its publisher is discovered before it sends."""
    def provoke(system: System) -> float:
        size = system.stand.contract.action.size
        start = time.monotonic()
        system.intruder = Commander('intruder', 'command_raw', [1.0] * size, period)
        return start
    return provoke


def _kill_and_intrude(system: System) -> float | None:
    system.nodes['controller'].send(signal.SIGKILL)
    return _intrude(0.01)(system)


def _expel_other(system: System) -> None:
    system.intruder.close()


def _expel_and_start(system: System) -> None:
    system.intruder.close()
    system.start('controller')


def _stop(system: System) -> None:
    call(system, SetBool, 'supervisor/stop', SetBool.Request(data=True))


def _release(system: System) -> None:
    """Release the robot as soon as a stop allows it."""
    time.sleep(RELEASE_AFTER_S)
    call(system, Trigger, 'supervisor/release', Trigger.Request())


def call(system: System, kind: type, name: str, request: Any) -> None:
    """Call a service without waiting for its answer."""
    client = system.stand.node.create_client(kind, name)
    client.wait_for_service(START_S)
    client.call_async(request)


def saturate(system: System) -> float:
    """Keep every core busy with other programs."""
    burn = [sys.executable, '-c', f'{ORDINARY}while True: pass']
    system.burners = [subprocess.Popen(burn, preexec_fn=end_with_parent())
                      for _ in range(os.cpu_count() or 1)]
    return time.monotonic()


def relieve(system: System) -> None:
    """End the programs that keep the cores busy."""
    for burner in system.burners:
        burner.kill()
        burner.wait()


def _stop_clock(system: System) -> None:
    system.stand.clock_runs = False


def _set_clock_back(system: System) -> None:
    system.stand.clock_offset_s -= 100.0
