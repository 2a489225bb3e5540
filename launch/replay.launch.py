# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Play a bag onto topics, with a controller that decides in its shadow."""

from spowl_ros.system import launching
from spowl_ros.system import nodes as system


def generate_launch_description():
    """Return the arguments with their descriptions, and the nodes."""
    return launching.description(system.ReplayArguments(), system.replay)
