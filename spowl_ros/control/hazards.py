# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds hazards in the raw scans: distance, bearing and closing speed; nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.contract import SCAN_RANGE, Contract, Field
from spowl_ros.control.observation import Observation


@dataclass(frozen=True)
class Nearest:
    """The nearest hazard of one scan."""

    field: str
    distance: float
    """Metres from the robot's centre to the edge of the hazard; negative inside."""
    bearing: float
    """Radians from the robot's x axis, counter-clockwise; the middle of the sector."""
    closing_speed: float
    """Metres a second; positive while it comes nearer."""
    edges: NDArray[np.float64]
    """Metres to the edges of the scan's hazards, shape (sectors,); inf where it sees none."""

    def free(self, bearing: float, width: float) -> float:
        """Return the metres to the nearest edge within an angle to both sides of a bearing."""
        sector = 2.0 * math.pi / self.edges.size
        angles = (np.arange(self.edges.size) + 0.5) * sector - bearing
        off = np.abs(np.remainder(angles + math.pi, 2.0 * math.pi) - math.pi)
        return float(self.edges[off <= width + sector / 2.0].min(initial=math.inf))


class HazardTracker:
    """
    Follows the nearest hazard of every scan and its closing speed.

    It uses the contract's scan fields that have a ``hazard_radius``; without any it sees nothing.
    """

    def __init__(self, contract: Contract) -> None:
        slices = contract.slices
        self._scans = [(index, field, slices[field.name])
                       for index, field in enumerate(contract.fields)
                       if field.hazard_radius is not None]
        self._last: dict[str, tuple[int, float, float]] = {}

    def reset(self) -> None:
        """Forget past scans; closing speeds are zero at the next scan."""
        self._last.clear()

    def update(self, observation: Observation) -> list[Nearest]:
        """Return the nearest hazard of each scan that sees one."""
        seen = (self.see(field, observation.values[part], int(observation.stamps_ns[index]))
                for index, field, part in self._scans)
        return [nearest for nearest in seen if nearest is not None]

    def see(self, field: Field, closeness: NDArray[Any], stamp_ns: int) -> Nearest | None:
        """
        Take one scan; return its nearest hazard, None where it sees none.

        A scan with a value that is not finite may hide a hazard: it counts as touched.

        :param closeness: shape (sectors,), 1 at the robot's centre, 0 beyond the scan's range
        :param stamp_ns: when it was measured, nanoseconds
        """
        assert field.hazard_radius is not None
        if not np.isfinite(closeness).all():
            self._last.pop(field.name, None)
            touched = np.full(closeness.size, -field.hazard_radius)
            return Nearest(field.name, -field.hazard_radius, 0.0, 0.0, touched)
        sector = int(closeness.argmax())
        if not closeness[sector] > 0.0:
            self._last.pop(field.name, None)
            return None
        edges = np.where(closeness > 0.0,
                         (1.0 - closeness) * SCAN_RANGE - field.hazard_radius, math.inf)
        distance = float(edges[sector])
        speed = 0.0
        if field.name in self._last:
            last_ns, last_distance, speed = self._last[field.name]
            elapsed = (stamp_ns - last_ns) * 1e-9
            if elapsed > 0.0:
                speed = (last_distance - distance) / elapsed
        self._last[field.name] = (stamp_ns, distance, speed)
        bearing = (sector + 0.5) * 2.0 * math.pi / closeness.size
        return Nearest(field.name, distance, math.remainder(bearing, 2.0 * math.pi), speed, edges)
