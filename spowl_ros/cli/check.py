# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Check whether a robot fits a model, before anything moves.

Without --live the command only reads files and refuses what `spowl robot` would refuse. With
--live it listens to the robot's topics and shows each input's rate, age and range, and whether a
node subscribes to the commands. If the robot has an adapter, the adapter runs too; without a
controller it only tells the robot to stand.

Exit code: 0 it fits, 1 an input has a problem, 2 it does not fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import changed, declared, unknown
from spowl_ros.cli._numbers import between
from spowl_ros.control import bundle
from spowl_ros.robot import adaptation, config
from spowl_ros.robot.topics import RobotCommand, topics
from spowl_ros.system.nodes import adapter, check_namespace, check_robot

if TYPE_CHECKING:
    from rich.table import Table

    from spowl_ros.control.contract import Contract
    from spowl_ros.robot.report import Heard

HELP = 'check whether a robot fits a model'
PROBLEM = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('robot', type=Path, metavar='ROBOT.yaml')
    parser.add_argument('model', type=Path, metavar='BUNDLE', help='directory of the bundle')
    parser.add_argument('--live', action='store_true', help="listen to the robot's topics")
    parser.add_argument('--seconds', type=between(float, 0.1, 3600.0), default=5.0,
                        help='for so long (default: 5)')
    parser.add_argument('--namespace', default='', help="the robot's namespace")
    parser.add_argument('--use-sim-time', action='store_true', help='take the time from /clock')


def run(args: argparse.Namespace) -> int:
    """Check, and print what was found."""
    check_namespace(args.namespace)
    robot, contract = fit(args.robot, args.model)
    if not args.live:
        print_mapping(contract, robot)
        return 0

    from spowl_ros.clients.live_check import listen
    from spowl_ros.system.running import RunningSystem

    specs = adapter(robot, args.model, args.namespace, args.use_sim_time)
    with RunningSystem(specs):
        heard, neighbours = listen(contract, robot, args.namespace, args.seconds,
                                   args.use_sim_time)
    print_heard(heard)
    for neighbour in neighbours:
        print(f'{neighbour.name} ({neighbour.topic}): {neighbour.problem or "ok"}')
    return PROBLEM if any(entry.problems() for entry in heard) or any(
        neighbour.problem for neighbour in neighbours) else 0


def fit(robot_file: Path, model: Path) -> tuple[config.RobotConfig, Contract]:
    """
    Return a robot, and the model's contract with the robot's topics; reads files only.

    What this refuses would not start.

    :raises SpowlError: a node would refuse this robot and model at its start
    """
    robot = config.load(robot_file)
    loaded = bundle.load(model)
    contract = robot.applied_to(loaded.contract)
    topics(contract, robot)
    RobotCommand(robot, contract.action)
    if robot.adapter:
        adaptation.makeable(contract)
    found = [problem for node, given in robot.parameters.items()
             for problem in _parameter_problems(node, given, loaded)]
    if found:
        raise SpowlError('; '.join(found))
    check_robot(robot, contract)
    return robot, contract


def _parameter_problems(node: str, given: dict[str, bool | int | float | str],
                        loaded: bundle.Bundle) -> list[str]:
    """Return why a node does not accept these parameters; empty if it does."""
    from spowl_ros.control.settings import ControllerSettings
    from spowl_ros.nodes import adapter, controller, recorder, supervisor

    tables: dict[str, tuple[Any, ...]] = {
        'adapter': (adapter.AdapterSettings(),), 'recorder': (recorder.RecorderSettings(),),
        'supervisor': (supervisor.SupervisorNodeSettings(),),
        'controller': (controller.ControllerNodeSettings(),
                       ControllerSettings(planner=loaded.settings))}
    names = {entry.name for table in tables[node] for entry in declared(table)}
    found = [str(unknown('parameter', name, sorted(names)))
             for name in sorted(given.keys() - names)]
    for table in tables[node]:
        own = {entry.name for entry in declared(table)}
        accepted = table
        for name in sorted(given.keys() & own):  # each by itself, so that all are named
            try:
                accepted = changed(accepted, {name: given[name]})
            except SpowlError as error:
                found.append(str(error))
        if isinstance(accepted, ControllerSettings):
            try:
                loaded.settings.at_run_time(accepted.planner.to_dict())
            except SpowlError as error:
                found.append(str(error))
    return [f'parameters.{node}: {problem}' for problem in found]


def print_mapping(contract: Contract, robot: config.RobotConfig) -> None:
    """Print where each field comes from and where commands go."""
    from rich.console import Console

    print(f'{contract.task} every {contract.control_period:g} s\n')
    table = _table('field', 'topic', 'read from', 'values', 'frame', 'time-out')
    for field in contract.fields:
        given = robot.inputs.get(field.name, config.Input())
        read_from = f'{given.type} {given.field}' if given.type else given.joint or field.sensor
        table.add_row(field.name, field.topic, read_from,
                      _with_unit(str(field.size), given.unit or field.unit),
                      given.frame or 'any', f'{field.timeout:g} s')
    Console().print(table)
    command = robot.command
    print(f'\ncommand: {command.type} on {command.topic}, '
          f'{", ".join(command.joints or contract.action.names)} ({contract.action.kind})\n'
          'The robot fits the model.')


def print_heard(heard: list[Heard]) -> None:
    """
    Print what each topic sent, and what is wrong with it.

    Rate: messages per second. Age: median age at arrival. Gap: longest time between two messages.
    """
    from rich.console import Console

    table = _table('field', 'topic', 'rate', 'age', 'gap', 'range', '')
    for entry in heard:
        if entry.arrivals:
            ages = sorted(entry.ages)
            figures = [f'{entry.rate:.1f} Hz', f'{ages[len(ages) // 2] * 1e3:.0f} ms',
                       f'{entry.longest_gap * 1e3:.0f} ms',
                       _with_unit(f'{entry.low:.3g} to {entry.high:.3g}', entry.field.unit)]
        else:
            figures = ['-'] * 4
        table.add_row(entry.field.name, entry.topic, *figures,
                      '[red]problem[/]' if entry.problems() else '[green]ok[/]')
    Console().print(table)
    for entry in heard:
        for problem in entry.problems():
            print(f'{entry.field.name} ({entry.topic}): {problem}')


def _with_unit(text: str, unit: str) -> str:
    return text if unit == '1' else f'{text} {unit}'


def _table(*heads: str) -> Table:
    """Return an empty table that wraps long text and cuts nothing."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    return Table(*(Column(head, overflow='fold') for head in heads), box=SIMPLE_HEAD,
                 show_edge=False, padding=0)
