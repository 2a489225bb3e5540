# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Drive your robot with the same nodes as `ros2 launch spowl_ros robot.launch.py`.

The command first checks that the robot's file fits the model, then starts the nodes. Ctrl-C stops
the robot and ends every node. The end of any node does the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spowl_ros.base.errors import INTERRUPTED
from spowl_ros.cli._nodes import add_launch_arguments, follow, launch_arguments, watch_signals
from spowl_ros.cli.check import fit
from spowl_ros.control.run_record import RunRecord
from spowl_ros.system import nodes as system

HELP = 'drive a robot of your own'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the launch file."""
    add_launch_arguments(parser, system.RobotArguments())


def run(args: argparse.Namespace) -> int:
    """Start the nodes and wait."""
    arguments = launch_arguments(system.RobotArguments(), args.arguments)
    specs = system.robot(arguments)
    driver = next(spec for spec in specs if spec.executable == 'controller').parameters
    fit(Path(str(driver['robot'])), Path(str(driver['model'])))

    from spowl_ros.clients.listener import listening
    from spowl_ros.system.running import RunningSystem

    print(arguments.greeting(specs), flush=True)
    record = RunRecord('')
    nodes = RunningSystem(specs)
    interrupted = watch_signals(nodes)
    with nodes, listening(record, arguments.namespace) as listener:
        follow(nodes, listener, interrupted, print)
        for line in nodes.stop():
            print(line)
    print(record.table())
    return INTERRUPTED if interrupted.is_set() else 0
