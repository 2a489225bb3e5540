# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Measure gaps in the commands of real processes at model changes, rollbacks and takeovers.

A controller and a supervisor drive a robot on a stand in real time; each event is provoked many
times. The gap is the longest time between two commands, from the request until one second after it
has taken effect. The usual gap is the longest one in an equally long time before.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
import threading
import time
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from benchmarks import run_command
from benchmarks.faults import System, running, wait_until_driving
from spowl_ros.control import bundle
from spowl_ros.ros.qos import LATCHED

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S = 20.0
AFTER_S = 1.0


class Operator:
    """Sends requests to a running system, as an operator does."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.node = system.stand.node
        self.model: DiagnosticStatus | None = None
        self.node.create_subscription(DiagnosticStatus, 'controller/model', self._on_model,
                                      LATCHED)
        self._set = self.node.create_client(SetParameters, 'controller/set_parameters')
        self._rollback = self.node.create_client(Trigger, 'controller/rollback')

    def _on_model(self, status: DiagnosticStatus) -> None:
        self.model = status

    def set(self, name: str, value: Any) -> str:
        """Set a parameter of the controller; return the reason of a refusal, or an empty text."""
        message: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        result = answer(self._set, SetParameters.Request(parameters=[message])).results[0]
        return '' if result.successful else result.reason

    def take_back(self) -> Trigger.Response:
        """Call `~/rollback`."""
        return answer(self._rollback, Trigger.Request())

    def said(self, words: str) -> DiagnosticStatus:
        """Return the text of `~/model` once it contains these words."""
        return wait(lambda: self.model if self.model is not None
                    and words in self.model.message else None)


class Joystick:
    """A person's joystick; sends its state fifty times per second."""

    def __init__(self, system: System) -> None:
        self.axes, self.held = [0.0, 0.0], False
        self._publisher = system.stand.node.create_publisher(Joy, 'joy', 10)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sending."""
        self._ended.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._ended.wait(0.02):
            self._publisher.publish(Joy(axes=self.axes, buttons=[0, 0, 0, 0, int(self.held)]))


def take_over(system: System, joystick: Joystick, push: float) -> float:
    """Hold the button and push both axes; return the seconds until the robot gets it."""
    joystick.axes = [push, push]
    began = time.monotonic()
    joystick.held = True
    return float(wait(lambda: next((
        when - began for when, values in list(system.stand.commands)
        if when >= began and max(abs(value - push * high) for value, high in zip(
            values, system.stand.contract.action.high)) < 1e-3), None)))


def wait(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """
    Return a condition's value once it is true.

    :raises TimeoutError: it does not become true
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.005)
    raise TimeoutError('it did not come to pass')


def answer(client: Any, request: Any) -> Any:
    """Return a service's answer."""
    wait(client.service_is_ready)
    future = client.call_async(request)
    wait(future.done, ANSWER_S)
    return future.result()


def longest_gap(system: System, since: float, until: float) -> float:
    """Return the longest time between two commands that arrived between two steady times."""
    arrivals = [when for when, _ in list(system.stand.commands) if since <= when <= until]
    return max((later - earlier for earlier, later in zip(arrivals, arrivals[1:])),
               default=float('inf'))


def measured(system: System, act: Callable[[], None]) -> tuple[float, float]:
    """Return the usual longest gap and the longest gap around an act, seconds."""
    began = time.monotonic()
    act()
    time.sleep(AFTER_S)
    ended = time.monotonic()
    return (longest_gap(system, began - (ended - began), began),
            longest_gap(system, began - 0.2, ended))


def main() -> None:
    """Measure, print and write the gaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bundle', type=Path)
    parser.add_argument('successor', type=Path, help='another bundle of the same contract')
    parser.add_argument('--times', type=int, default=10)
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    rows: list[tuple[str, float, float]] = []
    with running(args.bundle, bundle.read_contract(args.bundle)) as system:
        system.start('controller', **{'operator.input': 'joy'})
        wait_until_driving(system)
        operator = Operator(system)
        joystick = Joystick(system)
        operator.said('drives since')
        waits: list[float] = []

        def change() -> None:
            assert not operator.set('model', str(args.successor))
            operator.said('took over')

        def back() -> None:
            assert operator.take_back().success
            operator.said('drives again')

        def let_go() -> None:
            joystick.held = False

        time.sleep(3.0)
        for _ in range(args.times):
            for event, act in (
                    ('change', change), ('rollback', back),
                    ('takeover', lambda: waits.append(take_over(system, joystick, 0.5))),
                    ('hand back', let_go)):
                rows.append((event, *measured(system, act)))
        joystick.close()
    print(f'a takeover reaches the robot within {1e3 * sorted(waits)[len(waits) // 2]:.1f} ms in '
          f'the median, {1e3 * max(waits):.1f} ms at most')
    for event in dict.fromkeys(row[0] for row in rows):
        usual, gaps = zip(*(row[1:] for row in rows if row[0] == event))
        print(f'{event:10} longest gap {1e3 * max(gaps):.1f} ms, '
              f'median {1e3 * sorted(gaps)[len(gaps) // 2]:.1f} ms; usual median '
              f'{1e3 * sorted(usual)[len(usual) // 2]:.1f} ms, longest {1e3 * max(usual):.1f} ms')
    if args.csv:
        with args.csv.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(('event', 'usual_ms', 'gap_ms'))
            writer.writerows((event, f'{1e3 * usual:.1f}', f'{1e3 * gap:.1f}')
                             for event, usual, gap in rows)


if __name__ == '__main__':
    run_command(main)
