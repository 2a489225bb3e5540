# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What to do when a hazard is too near: drive straight away from it, without any network."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spowl_ros.control.contract import Contract
    from spowl_ros.control.hazards import Nearest

Action = tuple[float, ...]

DRIVES: dict[str, tuple[float, Action]] = {
    'Point': (0.0, (1.0, 0.0)), 'Car': (-math.pi / 2.0, (1.0, 1.0))}
"""
Robot to an action, and the bearing in radians from its x axis into which that drives it.

Others can only be stopped.
"""


def avoid(contract: Contract, hazards: Sequence[Nearest], stop: Action) -> Action:
    """
    Return the action that brings the nearest hazard farther away.

    A hazard ahead is braked for and backed away from, one behind is driven away from. A hazard to
    the side that does not come nearer is let be: the robot stops.

    :param stop: the stop action, in [-1, 1]
    """
    if contract.robot not in DRIVES or not hazards:
        return stop
    direction, forward = DRIVES[contract.robot]
    nearest = min(hazards, key=lambda hazard: hazard.distance)
    ahead = math.cos(nearest.bearing - direction)
    if abs(ahead) < 0.2 and nearest.closing_speed <= 0.0:
        return stop
    return tuple(-math.copysign(part, ahead) if part else 0.0 for part in forward)
