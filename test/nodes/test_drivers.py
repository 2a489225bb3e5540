# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Controller and supervisor as processes: life cycle, parameters, bad input, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import itertools
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from benchmarks import faults
from benchmarks.bad_starts import bad_starts, try_to_start
from benchmarks.faults import System, put_through, running
from benchmarks.operation import wait
from benchmarks.robot_stand import NodeProcess, RobotStand
from spowl_ros.control.contract import Contract

pytestmark = pytest.mark.slow

ANSWER_S = 20.0
SIMULATED = {'simulation': True, 'start_held': False}
"""Of a supervisor that need not be released."""


@pytest.fixture
def start() -> Iterator[Callable[..., NodeProcess]]:
    """Return a function that starts a node and ends it with the test."""
    started: list[NodeProcess] = []

    def start(name: str, **parameters: object) -> NodeProcess:
        started.append(NodeProcess(name, parameters))
        return started[-1]
    yield start
    for process in started:
        process.end()


def call(stand: RobotStand, kind: type, name: str, request: Any) -> Any:
    """Call a service and return its response."""
    client = stand.node.create_client(kind, name)
    assert client.wait_for_service(ANSWER_S)
    future = client.call_async(request)
    wait(future.done)
    stand.node.destroy_client(client)
    return future.result()


def transition(stand: RobotStand, node: str, number: int) -> tuple[bool, str]:
    """Ask for a transition; return whether it succeeded and the state's label afterwards."""
    done = call(stand, ChangeState, f'{node}/change_state',
                ChangeState.Request(transition=Transition(id=number))).success
    return done, call(stand, GetState, f'{node}/get_state',
                      GetState.Request()).current_state.label


def set_parameter(stand: RobotStand, node: str, name: str, value: Any) -> Any:
    """Set a parameter; return whether it was taken, and why not."""
    client = AsyncParameterClient(stand.node, node)
    assert client.wait_for_services(ANSWER_S)
    future = client.set_parameters([Parameter(name, value=value)])
    wait(future.done)
    return future.result().results[0]


@pytest.mark.parametrize('node', ['controller', 'supervisor'])
def test_life_cycle(untrained_bundle: Path, stand: RobotStand, node: str,
                    start: Callable[..., NodeProcess]) -> None:
    """Every state is reached and left again; deactivating sends the stop action."""
    start(node, model=str(untrained_bundle), **(SIMULATED if node == 'supervisor' else {}))
    for _ in range(2):
        assert transition(stand, node, Transition.TRANSITION_CONFIGURE) == (True, 'inactive')
        assert transition(stand, node, Transition.TRANSITION_ACTIVATE) == (True, 'active')
        wait(lambda: stand.commands)
        before = time.monotonic()
        assert transition(stand, node, Transition.TRANSITION_DEACTIVATE) == (True, 'inactive')
        wait(lambda since=before: stand.commands[-1][0] > since)
        assert stand.is_stop(stand.commands[-1][1])
        assert transition(stand, node, Transition.TRANSITION_CLEANUP) == (
            True, 'unconfigured')
        stand.commands.clear()


def test_a_signal_ends_the_look_for_others(untrained_bundle: Path, stand: RobotStand,
                                           start: Callable[..., NodeProcess]) -> None:
    """A node that still looks whether it is the only driver ends without waiting for that."""
    supervisor = start('supervisor', model=str(untrained_bundle), autostart=True, **SIMULATED)
    wait(lambda: stand.node.count_publishers('command'))
    before = time.monotonic()
    assert supervisor.end(signal.SIGTERM) == 0
    assert time.monotonic() - before < 2.0
    assert supervisor.output == ''


def test_drives_and_ends_with_a_stop(driving: System) -> None:
    """Commands come at the control rate, each with a decision; SIGINT ends with the stop."""
    stand = driving.stand
    time.sleep(1.0)
    period = stand.contract.control_period
    times = [when for when, _ in stand.commands]
    assert len(times) > 0.5 / period
    assert stand.decisions[-1][1].source in ('plan', 'policy')
    assert driving.nodes['controller'].end(signal.SIGINT) == 0
    assert driving.nodes['supervisor'].end(signal.SIGTERM) == 0
    assert stand.is_stop(stand.commands[-1][1])


def test_threads_come_first_where_that_is_allowed(driving: System) -> None:
    """Every thread of both has its real-time priority, or an ordinary one if need be."""
    ask = 'import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(40))'
    allowed = subprocess.run([sys.executable, '-c', ask], stderr=subprocess.DEVNULL,
                             check=False).returncode == 0
    for node, priority in (('controller', 40), ('supervisor', 45)):
        threads = Path(f'/proc/{driving.nodes[node].pid}/task')
        wait(lambda threads=threads, wanted=priority if allowed else 0: {
            os.sched_getparam(int(thread.name)).sched_priority
            for thread in threads.iterdir()} == {wanted})


def test_settings_change_between_two_decisions(driving: System) -> None:
    """A good value is used and recorded from the next decision on, a bad one refused."""
    stand = driving.stand
    for name, value, words in (
            ('planner.iterations', 99, 'out of range'),
            ('planner.horizon', 7, "'horizon' is fixed in the bundle"),
            ('sensor_margin.rule.level', 'fly', "wanted one of 'off', 'policy'"),
            ('rate', 2.0, 'read-only'),
            ('deadline_fraction', 0.3, 'clean it up first'),
            ('values.slack', 'much', 'type')):
        result = set_parameter(stand, 'controller', name, value)
        assert not result.successful
        assert words in result.reason
    refused = set_parameter(stand, 'supervisor', 'command_type', 'TwistStamped')
    assert 'clean it up first' in refused.reason
    stand.decisions.clear()
    assert set_parameter(stand, 'controller', 'planner.iterations', 1).successful
    changed = wait(lambda: [decision for _, decision in stand.decisions if decision.settings])
    assert json.loads(changed[0].settings)['settings']['planner.iterations'] == 1
    assert changed[0].plan.iterations <= 1
    assert set_parameter(stand, 'supervisor', 'limits.magnitude', 0.001).successful
    wait(lambda: all(abs(value) <= 0.001 for value in stand.commands[-1][1]))
    assert transition(stand, 'supervisor', Transition.TRANSITION_DEACTIVATE) == (True, 'inactive')
    assert set_parameter(stand, 'supervisor', 'limits.magnitude', 0.002).successful
    assert transition(stand, 'supervisor', Transition.TRANSITION_ACTIVATE) == (True, 'active')
    wait(lambda: 0.001 < max(abs(value) for value in stand.commands[-1][1]) <= 0.002)


@pytest.mark.parametrize(('node', 'remapping'),
                         [('controller', (('command', 'command_raw'),)), ('supervisor', ())])
def test_a_second_one_does_not_start(driving: System, untrained_bundle: Path, node: str,
                                     remapping: tuple[tuple[str, str], ...]) -> None:
    """It says that there is one, and how to go on, and the first drives on."""
    second = NodeProcess(node, {'model': str(untrained_bundle), 'autostart': True,
                                **(SIMULATED if node == 'supervisor' else {})}, remapping)
    assert second.wait(ANSWER_S) == 2
    lines = second.output.strip().splitlines()
    assert len(lines) == 1
    assert f'/{node} publishes' in lines[0]
    assert 'two cannot drive one robot' in lines[0]
    assert faults.wait_until_driving(driving) > 0


@pytest.mark.parametrize(('rate', 'sent'), [(1.0, 1), (0.0, 0)])
def test_an_operators_stop_is_sent_at_once_but_in_lock_step(
        untrained_bundle: Path, stand: RobotStand, start: Callable[..., NodeProcess],
        rate: float, sent: int) -> None:
    """A stop adds no command in lock-step, where each is a step; the next one is the stop."""
    start('supervisor', model=str(untrained_bundle), rate=rate, autostart=True, **SIMULATED,
          **{'limits.silence': 100.0})
    raw = stand.node.create_publisher(Float64MultiArray, 'command_raw', 1)
    wait(lambda: raw.get_subscription_count() and stand.node.count_publishers('command'))
    wait(lambda: stand.supervisor is not None or raw.publish(
        Float64MultiArray(data=[0.5, 0.5])) or time.sleep(0.2))
    time.sleep(0.5)
    stand.commands.clear()
    assert call(stand, SetBool, 'supervisor/stop', SetBool.Request(data=True)).success
    time.sleep(0.5)
    assert [stand.is_stop(values) for _, values in stand.commands] == [True] * sent
    raw.publish(Float64MultiArray(data=[0.5, 0.5]))
    wait(lambda: len(stand.commands) > sent)
    assert stand.is_stop(stand.commands[-1][1])


def test_the_reason_of_a_stop_is_the_present_one(untrained_bundle: Path, stand: RobotStand,
                                                 start: Callable[..., NodeProcess]) -> None:
    """A robot that is stopped already is reported to be stopped by the operator as well."""
    start('supervisor', model=str(untrained_bundle), autostart=True, **SIMULATED)
    raw = stand.node.create_publisher(Float64MultiArray, 'command_raw', 1)
    wait(lambda: raw.get_subscription_count() and stand.node.count_publishers('command'))
    wait(lambda: (stand.supervisor is not None and 'no command' in stand.supervisor.message)
         or raw.publish(Float64MultiArray(data=[0.5, 0.5])) or time.sleep(0.5))
    assert call(stand, SetBool, 'supervisor/stop', SetBool.Request(data=True)).success
    wait(lambda: stand.supervisor.message == 'stopped: stopped by an operator')


@pytest.mark.parametrize(('node', 'parameters', 'words'), [
    ('controller', {}, "parameter 'model' is empty"),
    ('supervisor', {'model': '/nowhere'}, 'there is no model in /nowhere'),
    ('supervisor', {'modle': 'x'}, "no parameter 'modle'; similar ones are model"),
    ('supervisor', {'rate': 'fast'}, "'rate' is 'fast' (str), wanted a number"),
    ('supervisor', {'rate': -1.0}, "'rate' is -1.0, wanted a number from 0 to 1000"),
])
def test_bad_parameters_end_in_one_line(ros_domain: int, node: str,
                                        parameters: dict[str, object], words: str) -> None:
    """
    One line that names the thing, what it had and what was wanted; exit code 2.

    What a controller refuses beside this is in `faults.bad_starts`.
    """
    process = NodeProcess(node, {'autostart': True, **parameters})
    assert process.wait(ANSWER_S) == 2
    line, = process.output.strip().splitlines()
    assert line.startswith('error: ')
    assert words in line


def test_each_bad_start_once(driving: System) -> None:
    """The process ends at once and says why; meanwhile the supervisor keeps the robot stopped."""
    driving.nodes.pop('controller').end()
    for bad in bad_starts():
        refusal = try_to_start(driving, bad)
        assert refusal.code == 2, refusal
        assert bad.words in refusal.says, refusal
        assert refusal.says.splitlines()[-1].startswith('error: '), refusal
        assert 'Traceback' not in refusal.says, refusal
        assert refusal.robot_gets == 'stop', refusal


def test_each_fault_once(driving: System, contract: Contract) -> None:
    """Whatever fails, the robot gets what is right, someone says why, and it drives again."""
    for fault in faults.all_faults(contract):
        if fault.world == 'stand' and not fault.tested_elsewhere:
            put_to_the_test(driving, fault)


def test_faults_of_simulated_time(untrained_bundle: Path, contract: Contract,
                                  ros_domain: int) -> None:
    """A clock that stops stops the robot; one set back begins no episode."""
    with running(untrained_bundle, contract, 'stand with simulated time') as system:
        for fault in faults.all_faults(contract):
            if fault.world == 'stand with simulated time':
                put_to_the_test(system, fault)
        made = [decision for _, decision in system.stand.decisions][5:]
        assert any(after.now_ns < before.now_ns for before, after in itertools.pairwise(made))
        assert all(decision.step > 0 for decision in made)


def test_faults_of_a_whole_simulation(untrained_bundle: Path, contract: Contract,
                                      ros_domain: int) -> None:
    """A robot whose supervisor is killed stops by itself; the others outlive their robot."""
    with running(untrained_bundle, contract, 'simulator') as system:
        for fault in faults.all_faults(contract):
            if fault.world == 'simulator':
                put_to_the_test(system, fault)


def put_to_the_test(system: System, fault: faults.Fault) -> None:
    """Put a system through a fault once."""
    outcome = put_through(system, fault)
    assert fault.is_right(outcome.robot_gets), outcome
    if fault.safe == 'stop':
        # Times are measured by benchmarks/fault_table.py; here others share the machine.
        assert outcome.seconds_to_safe < 2.0, outcome
