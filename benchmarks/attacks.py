# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Attack a running supervisor, bundles and bags, and report which attacks succeed.

    python -m benchmarks.attacks models/SafetyPointGoal1-v0

Each attack runs on its own supervisor process, with a scripted controller and a robot on a stand.
The supervisor survives an attack if the robot stopped and the operator could read why. Attacks on
the adapter are in `adapter_attacks.py`, those by files in `file_attacks.py`. With
`--missing --minutes 8` the table is made in pieces.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
from functools import partial
import math
from pathlib import Path
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from rcl_interfaces.srv import ListParameters, SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from std_srvs.srv import SetBool, Trigger

from benchmarks import run_command, tables
from benchmarks.adapter_attacks import adapter_attacks
from benchmarks.file_attacks import file_attacks
from benchmarks.robot_stand import Commander, NodeProcess, RobotStand, tampered, wait_until
from spowl_ros.control import bundle
from spowl_ros.supervisor.latch import RELEASE_AFTER_S

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract

COLUMNS = ('attack', 'tried', 'survived', 'lost', 'operator_reads')
START_S = 60.0
SETTLE_S = 0.5
"""Time limit for the effect of an attack."""


@dataclass
class Scene:
    """A supervisor under attack."""

    model: Path
    stand: RobotStand
    supervisor: NodeProcess
    controller: Commander
    others: list[Commander] = field(default_factory=list)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service of the supervisor and return its answer."""
        client = self.stand.node.create_client(kind, f'supervisor/{name}')
        assert client.wait_for_service(START_S)
        future = client.call_async(request)
        end = time.monotonic() + START_S
        while not future.done() and time.monotonic() < end:
            time.sleep(0.005)
        self.stand.node.destroy_client(client)
        return future.result()

    def drives(self) -> bool:
        """Whether the last commands moved the robot."""
        return any(not self.stand.is_stop(values) for _, values in self.stand.commands[-3:])

    def wait(self, condition: Callable[[], bool], seconds: float = START_S) -> bool:
        """Return whether a condition comes true in time."""
        return wait_until(condition, seconds)

    def moving(self, since: float) -> int:
        """Return the number of commands since a steady time that moved the robot."""
        return sum(not self.stand.is_stop(values) for when, values in self.stand.commands
                   if when >= since)

    def reads(self) -> str:
        """Return the text of `~/state`."""
        return self.stand.supervisor.message if self.stand.supervisor else ''

    def start_supervisor(self, **parameters: object) -> None:
        """Start the supervisor, or restart it."""
        self.supervisor = start_supervisor(self.model, **parameters)


@dataclass(frozen=True)
class Attack:
    """One attack."""

    name: str
    run: Callable[[Scene], str]
    """Return what was lost; empty: the supervisor survived."""
    words: str
    """Text that the operator must be able to read."""
    margin: str = 'off'
    simulated_time: bool = False


def start_supervisor(model: Path, **parameters: object) -> NodeProcess:
    """Start a supervisor that need not be released."""
    return NodeProcess('supervisor', {'model': str(model), 'autostart': True, 'simulation': True,
                                      'start_held': False, **parameters})


@contextlib.contextmanager
def scene(model: Path, contract: Contract, margin: str, simulated_time: bool = False
          ) -> Iterator[Scene]:
    """
    Run a robot on a stand whose supervisor passes the commands of a scripted controller.

    :raises TimeoutError: the robot does not start to drive
    """
    stand = RobotStand(contract, simulated_time)
    forward = [0.5, *[0.0] * (contract.action.size - 1)]
    watched: dict[str, object] = {'use_sim_time': simulated_time}
    if margin != 'off':
        watched['limits.margin_response'] = margin
    result = Scene(model, stand, start_supervisor(model, **watched),
                   Commander('controller', 'command_raw', forward, contract.control_period / 2))
    try:
        if not result.wait(lambda: result.drives() or result.supervisor.ended):
            raise TimeoutError(f'the robot does not drive: {result.reads()}')
        if result.supervisor.ended:  # it still sees its predecessor, whose farewell was lost
            result.start_supervisor(**watched)
            if not result.wait(result.drives):
                raise TimeoutError(f'the robot does not drive: {result.reads()}')
        yield result
    finally:
        for commander in (result.controller, *result.others):
            commander.close()
        result.supervisor.end()
        stand.close()


def attacks() -> list[Attack]:
    """Return every attack."""
    return [
        *(Attack(f'hazards_scan: {name}', _blind(change), 'no hazards_lidar', 'stop')
          for name, change in BLINDING.items()),
        Attack('another one commands at 1 kHz beside the controller', _beside, 'two controllers'),
        Attack('another one sends its first commands, and goes', _first, ''),
        Attack("another one commands after the controller's death", _after, 'commands the robot'),
        Attack('another one publishes command', _past, 'cannot overrule'),
        Attack('supervisor frozen for 1 s (SIGSTOP, SIGCONT)', _freeze, ''),
        Attack('supervisor killed while an operator holds the robot', _kill, 'held since'),
        Attack('a release races each of five stops', _race, 'stopped by an operator'),
        *(Attack(f'supervisor ended ({number.name}): the last command', _end(number), '')
          for number in (signal.SIGINT, signal.SIGHUP)),
        Attack('commands that are no numbers, or too many', _nonsense, 'not a finite number'),
        Attack('parameters: no numbers, no text, 2 MB of text, for each', _parameters, ''),
        Attack('parameters: use_sim_time where nobody sends /clock', _no_clock, 'no hazards_lidar',
               'stop'),
        Attack('hazards_scan: another one sends that all is free', _contradict, '2 publishers',
               'stop'),
        Attack('/clock stops', _stop_clock, 'no hazards_lidar', 'stop', True),
        Attack('/clock 1000 s ahead of the sensors', _advance_clock, 'no hazards_lidar', 'stop',
               True),
        Attack('/clock goes back by 100 s, five times', _set_clock_back, '', 'stop', True),
    ]


def _near(change: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a tampering with a scan that has a hazard 5 cm ahead."""
    def apply(message: Any) -> None:
        ranges = [math.inf] * len(message.ranges)
        ranges[0] = ranges[-1] = 0.25
        message.ranges = ranges
        change(message)
    return apply


def _beam(value: float) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        ranges = list(message.ranges)
        ranges[5] = value
        message.ranges = ranges
    return change


def _stamp(seconds: int) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        message.header.stamp.sec = seconds
        message.header.stamp.nanosec = 0
    return change


def _set(name: str, value: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        setattr(message, name, value)
    return change


def _ahead(message: Any) -> None:
    message.header.stamp.sec += 1000


BLINDING: dict[str, Callable[[Any], None]] = {
    'one beam of 16 not a number': _beam(math.nan), 'one beam negative': _beam(-1.0),
    'stamps 0': _stamp(0), 'stamps that never change': _stamp(1_700_000_000),
    'stamps 1000 s in the future': _ahead, 'no beams': _set('ranges', []),
    'range_max infinite': _set('range_max', math.inf), 'range_max 0': _set('range_max', 0.0),
    'range_min not a number': _set('range_min', math.nan),
    'angle_increment not a number': _set('angle_increment', math.nan),
}
"""Changes that could make a scan with a hazard 5 cm ahead look free."""


def _still(scene: Scene) -> str:
    """Return what is lost if the robot must stop now, and stand for a second."""
    if not scene.wait(lambda: not scene.drives(), 2.0):
        return 'the robot drives on'
    since = time.monotonic()
    time.sleep(1.0)
    lost = scene.moving(since)
    return f'{lost} commands' if lost else ''


def _blind(change: Callable[[Any], None]) -> Callable[[Scene], str]:
    def run(scene: Scene) -> str:
        scene.stand.tamper = {'hazards_scan': tampered(_near(change))}
        return _still(scene)
    return run


def _beside(scene: Scene) -> str:
    full = [1.0] * len(scene.controller.values)
    since = time.monotonic()
    intruder = Commander('intruder', 'command_raw', full, 0.001)
    scene.others.append(intruder)
    if not scene.wait(lambda: intruder.heard):
        return 'nothing, since the supervisor never heard the intruder'
    time.sleep(2.0)
    lost = sum(values == tuple(full) for when, values in scene.stand.commands if when >= since)
    return f'{lost} commands of the intruder' if lost or scene.drives() else ''


def _visit(scene: Scene, values: list[float]) -> bool:
    """Send a few commands and go; return whether the robot was stopped."""
    since = time.monotonic()
    intruder = Commander('intruder', 'command_raw', values, 0.001)
    heard = scene.wait(lambda: intruder.heard)
    time.sleep(0.01)
    intruder.close()
    return heard and scene.wait(lambda: any(
        scene.stand.is_stop(sent) for when, sent in scene.stand.commands if when > since), 1.0)


def _first(scene: Scene) -> str:
    """Send a few commands from a publisher that the ROS graph does not know yet, five times."""
    full = [1.0] * len(scene.controller.values)
    since, stopped = time.monotonic(), 0
    for _ in range(5):
        if not scene.wait(scene.drives, 30.0):
            return 'the robot stands for ever'
        stopped += _visit(scene, full)
    lost = sum(values == tuple(full) for when, values in scene.stand.commands if when >= since)
    return f'{lost} commands; {stopped} of 5 told' if lost or stopped < 5 else ''


def _after(scene: Scene) -> str:
    scene.controller.close()
    time.sleep(SETTLE_S)
    since = time.monotonic()
    scene.others.append(Commander('intruder', 'command_raw', [1.0] * len(scene.controller.values),
                                  0.01))
    time.sleep(2.0)
    lost = scene.moving(since)
    return f'{lost} commands of the intruder' if lost else ''


def _past(scene: Scene) -> str:
    """Publish `command` past the supervisor. It cannot prevent that, but reports it and stops."""
    foreign = Commander('intruder', 'command', [0.9] * len(scene.controller.values), 0.05)
    scene.others.append(foreign)
    named = scene.wait(lambda: 'intruder' in scene.reads(), 5.0)
    foreign.close()
    own = [values for _, values in scene.stand.commands[-20:] if 0.9 not in values]
    stops = own and scene.stand.is_stop(own[-1])
    return '' if named and stops else 'it is not told, or the supervisor drives on'


def _freeze(scene: Scene) -> str:
    scene.supervisor.send(signal.SIGSTOP)
    time.sleep(0.2)
    marked = [0.25, *scene.controller.values[1:]]
    scene.controller.values = marked
    time.sleep(0.5)
    scene.controller.close()  # the last command waits in a queue
    time.sleep(SETTLE_S)
    since = time.monotonic()
    scene.supervisor.send(signal.SIGCONT)
    time.sleep(1.0)
    lost = scene.moving(since)
    return f'{lost} stale commands' if lost else ''


def _kill(scene: Scene) -> str:
    scene.call(SetBool, 'stop', SetBool.Request(data=True))
    scene.supervisor.send(signal.SIGKILL)
    scene.supervisor.wait(5.0)
    since = time.monotonic()
    for _ in range(3):  # one that still sees its dead predecessor does not start
        scene.start_supervisor(start_held=True)
        scene.wait(lambda: scene.supervisor.ended or any(
            when > since for when, _ in scene.stand.commands), 40.0)
        if not scene.supervisor.ended:
            break
    time.sleep(1.0)
    lost = scene.moving(since)
    return f'{lost} commands after the restart' if lost else ''


def _race(scene: Scene) -> str:
    """Send releases and stops from two threads; each round ends with a stop."""
    def release() -> None:
        scene.call(Trigger, 'release', Trigger.Request())

    lost = 0
    for _ in range(5):
        racing = threading.Thread(target=release)
        racing.start()
        scene.call(SetBool, 'stop', SetBool.Request(data=True))
        racing.join()
        time.sleep(0.1)
        lost += scene.drives()
    released = scene.call(SetBool, 'stop', SetBool.Request(data=False)).success
    said = scene.reads()
    time.sleep(RELEASE_AFTER_S)
    freed = scene.call(Trigger, 'release', Trigger.Request()).success
    back = scene.wait(scene.drives, 5.0)
    scene.call(SetBool, 'stop', SetBool.Request(data=True))
    scene.wait(lambda: not scene.drives(), 5.0)
    if lost or released or not freed or not back:
        return f'{lost} stops undone; released by ~/stop: {released}; {said}'
    return ''


def _end(number: signal.Signals) -> Callable[[Scene], str]:
    def run(scene: Scene) -> str:
        scene.supervisor.end(number)
        time.sleep(0.2)
        return '' if scene.stand.is_stop(scene.stand.commands[-1][1]) else 'the last stop'
    return run


def _nonsense(scene: Scene) -> str:
    since = time.monotonic()
    lost = 0
    for values in ([math.nan, 0.0], [math.inf, 0.0], [1.0], [1.0] * 1000, []):
        scene.controller.values = values
        time.sleep(0.3)
        lost += any(not all(map(math.isfinite, sent)) or len(sent) != 2
                    for when, sent in scene.stand.commands if when >= since)
    return f'{lost} kinds' if lost or scene.drives() else ''


HOSTILE = ((Parameter.Type.DOUBLE, math.nan), (Parameter.Type.DOUBLE, math.inf),
           (Parameter.Type.DOUBLE, 1e308), (Parameter.Type.INTEGER, 2**63 - 1),
           (Parameter.Type.STRING, 'x' * 2_000_000), (Parameter.Type.STRING, '\x1b[2J\n'),
           (Parameter.Type.NOT_SET, None), (Parameter.Type.DOUBLE_ARRAY, [math.nan]))
"""Values that no parameter may take."""


def _parameters(scene: Scene) -> str:
    names = scene.call(ListParameters, 'list_parameters', ListParameters.Request()).result.names
    taken = []
    for name in names:
        for kind, value in HOSTILE:
            answer = scene.call(SetParameters, 'set_parameters', SetParameters.Request(
                parameters=[Parameter(name, kind, value).to_parameter_msg()]))
            if answer is None or answer.results[0].successful:
                taken.append(name)
    back = scene.wait(scene.drives, 10.0)
    return f'{sorted(set(taken))}' if taken else '' if back else 'the robot stands for ever'


def _no_clock(scene: Scene) -> str:
    scene.call(SetParameters, 'set_parameters', SetParameters.Request(
        parameters=[Parameter('use_sim_time', value=True).to_parameter_msg()]))
    return _still(scene)


def _contradict(scene: Scene) -> str:
    """Send free scans between the true ones, which have a hazard 5 cm ahead."""
    sent: list[LaserScan] = []

    def near(message: LaserScan) -> LaserScan:
        free = tampered(_set('ranges', [math.inf] * len(message.ranges)))(message)
        free.header.stamp.nanosec = max(free.header.stamp.nanosec - 1000, 0)
        sent.append(free)
        publisher.publish(free)
        return tampered(_near(lambda message: None))(message)

    publisher = scene.stand.node.create_publisher(LaserScan, 'hazards_scan',
                                                  qos_profile_sensor_data)
    scene.stand.tamper = {'hazards_scan': near}
    lost = _still(scene)
    return lost if sent else 'nothing, since nothing was sent'


def _stop_clock(scene: Scene) -> str:
    scene.stand.clock_runs = False
    return _still(scene)


def _advance_clock(scene: Scene) -> str:
    scene.stand.clock_ahead_s = 1000.0
    return _still(scene)


def _set_clock_back(scene: Scene) -> str:
    """Set the clock back under a hazard 5 cm ahead, then without it."""
    scene.stand.tamper = {'hazards_scan': tampered(_near(lambda message: None))}
    lost = _still(scene)
    since = time.monotonic()
    for _ in range(5):
        scene.stand.clock_offset_s -= 100.0
        time.sleep(0.3)
    lost = lost or (f'{scene.moving(since)} commands' if scene.moving(since) else '')
    scene.stand.mend()
    return lost or ('' if scene.wait(scene.drives, 10.0) else 'the robot stands for ever')


def attempt(model: Path, contract: Contract, attack: Attack) -> tuple[str, str]:
    """Try an attack once; return what was lost and what the operator could read."""
    with scene(model, contract, attack.margin, attack.simulated_time) as under:
        lost = attack.run(under)
        if attack.words and not under.wait(lambda: attack.words in under.reads(), 3.0):
            lost = lost or f'the operator is not told; reads {under.reads()!r}'
        return lost, under.reads()


def _tried(run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    try:
        return run()
    except TimeoutError as error:
        return f'not tried: {error}', ''


def main() -> int:
    """Try everything and write the table; fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', type=Path)
    parser.add_argument('--tries', type=int, default=3)
    parser.add_argument('--only', default='', help='part of the names of the attacks to try')
    parser.add_argument('--missing', action='store_true',
                        help='try only attacks that the table lacks')
    parser.add_argument('--minutes', type=float, default=math.inf,
                        help='begin no attack after so many minutes')
    parser.add_argument('--output', type=Path, default=Path('benchmarks/results/attacks.csv'))
    arguments = parser.parse_args()
    begin = time.monotonic()
    end = begin + 60.0 * arguments.minutes
    contract = bundle.read_contract(arguments.model)
    tries: dict[str, Callable[[], tuple[str, str]]] = {
        attack.name: partial(attempt, arguments.model, contract, attack) for attack in attacks()}
    tries |= {attack.name: partial(attack.attempt, arguments.model)
              for attack in adapter_attacks()}
    tries |= {attack.name: partial(attack.attempt, arguments.model) for attack in file_attacks()}
    table = tables.Growing(arguments.output, COLUMNS, list(tries))
    failed = False
    for name, run in tries.items():
        if arguments.only not in name or time.monotonic() > end or (
                arguments.missing and not table.lacks(name, arguments.tries)):
            continue
        results = [_tried(run) for _ in range(arguments.tries)]
        lost = [text for text, _ in results if text]
        row = dict(zip(COLUMNS, (name, len(results), len(results) - len(lost),
                                 '; '.join(dict.fromkeys(lost)), results[-1][1]), strict=True))
        failed = failed or bool(lost)
        print(row, flush=True)
        table.put(row)
    print(f'{(time.monotonic() - begin) / 60.0:.1f} minutes')
    return int(failed)


if __name__ == '__main__':
    run_command(main)
