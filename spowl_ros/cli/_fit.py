# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Check whether a robot fits a model; what this check refuses would not start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import changed, declared, unknown
from spowl_ros.control import bundle
from spowl_ros.robot import adaptation, config
from spowl_ros.robot.topics import RobotCommand, topics
from spowl_ros.system.nodes import check_robot

if TYPE_CHECKING:
    from spowl_ros.control.bundle import Bundle
    from spowl_ros.control.contract import Contract
    from spowl_ros.robot.config import RobotConfig


def fit(robot_file: Path, model: Path) -> tuple[RobotConfig, Contract]:
    """
    Return a robot, and the model's contract with the robot's topics; reads files only.

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
                        loaded: Bundle) -> list[str]:
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
