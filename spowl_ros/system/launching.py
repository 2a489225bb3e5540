# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Shared code of the launch files; imported only where `launch` is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from spowl_ros.base.settings import declared, parsed
from spowl_ros.base.share import PACKAGE
from spowl_ros.system.nodes import (
    NodeSpec,
    ReplayArguments,
    RobotArguments,
    SimulationArguments,
)
from spowl_ros.system.running import NodeEnded, reason_of

T = TypeVar('T', bound=SimulationArguments | RobotArguments | ReplayArguments)


def description(defaults: T, nodes: Callable[[T], Sequence[NodeSpec]]) -> LaunchDescription:
    """
    Return the launch description of a system.

    :param defaults: its arguments, each declared by `spowl_ros.base.settings.setting`
    :param nodes: returns the nodes for the arguments given at launch
    """
    entries = declared(defaults)

    def start(context: LaunchContext) -> list[LogInfo | Node]:
        given = parsed(defaults, {
            entry.name: LaunchConfiguration(entry.name).perform(context) for entry in entries})
        specs = nodes(given)
        return [LogInfo(msg=given.greeting(specs)), *map(node_action, specs)]

    arguments = [
        DeclareLaunchArgument(entry.name, default_value=str(entry.default),
                              description=entry.description, choices=entry.choices or None)
        for entry in entries]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def node_action(spec: NodeSpec) -> Node:
    """Return the launch action of a node; the end of the node ends the launch."""
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.executable,
        namespace=spec.namespace,
        parameters=[dict(spec.parameters)],
        remappings=list(spec.remappings),
        ros_arguments=['--log-level', f'{spec.logger}:={spec.log_level}',
                       '--enclave', spec.enclave],
        output='screen',
        on_exit=_end_of_one,
    )


def _end_of_one(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """
    Shut down when a node ends, unless a shutdown is under way (else Ctrl-C gives code 1).

    :raises NodeEnded: the node failed; launch reports it in one line, shuts down and exits with 1
    """
    if context.is_shutdown:
        return None
    if event.returncode != 0:
        raise NodeEnded(f'{event.process_name} ended {reason_of(event.returncode)}')
    return Shutdown(reason=f'{event.process_name} has finished')
