# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Drives straight away from a hazard that is too near, without any network."""

from __future__ import annotations

from collections.abc import Sequence
import math

from spowl_ros.control.contract import Contract
from spowl_ros.control.hazards import Nearest

Action = tuple[float, ...]

DRIVES: dict[str, tuple[float, Action]] = {
    'Point': (0.0, (1.0, 0.0)), 'Car': (-math.pi / 2.0, (1.0, 1.0))}
"""
Robot to the bearing, radians from its x axis, in which it drives, and the action that does so.

Other robots can only be stopped.
"""
_ROOM_M = 0.3
"""Metres that must be free of hazards where the robot drives to get away from one."""
_WAY = math.radians(60.0)
"""Angle to the line of travel within which a hazard is on the robot's way."""


def avoid(contract: Contract, hazards: Sequence[Nearest], stop: Action) -> Action:
    """
    Return the action that drives away from the nearest hazard.

    The robot backs away from a hazard ahead and drives forward from one behind. It stops if the
    hazard is to the side and does not come nearer, or if another one is on the way out.

    :param stop: the stop action, in [-1, 1]
    """
    if contract.robot not in DRIVES or not hazards:
        return stop
    direction, forward = DRIVES[contract.robot]
    nearest = min(hazards, key=lambda hazard: hazard.distance)
    ahead = math.cos(nearest.bearing - direction)
    if abs(ahead) < 0.2 and nearest.closing_speed <= 0.0:
        return stop
    way_out = direction if ahead < 0.0 else direction + math.pi
    if min(hazard.free(way_out, _WAY) for hazard in hazards) < _ROOM_M:
        return stop
    return tuple(-math.copysign(part, ahead) if part else 0.0 for part in forward)
