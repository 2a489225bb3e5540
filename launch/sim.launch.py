# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Drive a simulated robot: simulator, supervisor, controller and, if asked for, a recorder."""

from spowl_ros.system import launching
from spowl_ros.system import nodes as system


def generate_launch_description():
    """Return the arguments with their descriptions, and the nodes."""
    return launching.description(system.SimulationArguments(log_level='info'), system.simulation)
