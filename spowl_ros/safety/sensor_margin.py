# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Monitor: distance and closing speed to hazards from the raw scans, without any network."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING, Any

from spowl_ros.contract import SCAN_RANGE
from spowl_ros.safety.reading import Reading, Rule
from spowl_ros.settings import group, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spowl_ros.contract import Contract, Field
    from spowl_ros.observation import Observation


@dataclass(frozen=True)
class SensorMarginSettings:
    """How near a hazard may come."""

    rule: Rule = group(Rule, level='off', release=2)
    margin: float = setting(0.05, 'metres kept free around the edge of a hazard',
                            low=0.0, high=3.0)
    lookahead: float = setting(0.3, 'seconds for which the closing speed is extrapolated',
                               low=0.0, high=10.0)
    hysteresis: float = setting(0.05, 'metres beyond the margin from which it is clear',
                                low=0.0, high=3.0)


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


class HazardTracker:
    """
    Follow the nearest hazard of every scan that has one, and how fast it comes nearer.

    Needs the contract's scan fields with a ``hazard_radius``; with none it sees nothing.
    """

    def __init__(self, contract: Contract) -> None:
        slices = contract.slices
        self._scans: list[tuple[int, Field, slice]] = [
            (index, field, slices[field.name]) for index, field in enumerate(contract.fields)
            if field.sensor == 'scan' and field.hazard_radius is not None]
        self._last: dict[str, tuple[int, float, float]] = {}

    def reset(self) -> None:
        """Forget past scans; closing speeds are zero at the next."""
        self._last.clear()

    def update(self, observation: Observation) -> list[Nearest]:
        """Return the nearest hazard of each scan that sees one."""
        seen = (self.see(field, observation.values[part], int(observation.stamps_ns[index]))
                for index, field, part in self._scans)
        return [nearest for nearest in seen if nearest is not None]

    @property
    def fields(self) -> list[Field]:
        """Return the scan fields that it follows."""
        return [field for _, field, _ in self._scans]

    def see(self, field: Field, closeness: NDArray[Any], stamp_ns: int) -> Nearest | None:
        """
        Take one scan; return its nearest hazard, None where it sees none.

        :param closeness: shape (sectors,), 1 at the robot's centre, 0 beyond the scan's range
        :param stamp_ns: when it was measured, nanoseconds
        """
        sector = int(closeness.argmax())
        if not closeness[sector] > 0.0:
            self._last.pop(field.name, None)
            return None
        assert field.hazard_radius is not None
        distance = (1.0 - float(closeness[sector])) * SCAN_RANGE - field.hazard_radius
        speed = 0.0
        if field.name in self._last:
            last_ns, last_distance, speed = self._last[field.name]
            elapsed = (stamp_ns - last_ns) * 1e-9
            if elapsed > 0.0:
                speed = (last_distance - distance) / elapsed
        self._last[field.name] = (stamp_ns, distance, speed)
        bearing = (sector + 0.5) * 2.0 * math.pi / closeness.size
        return Nearest(field.name, distance, math.remainder(bearing, 2.0 * math.pi), speed)


class SensorMarginMonitor:
    """Alarm when a hazard is within the margin, or will be within the look-ahead."""

    name = 'sensor_margin'

    def __init__(self, settings: SensorMarginSettings) -> None:
        self.settings = settings

    def check(self, hazards: list[Nearest]) -> Reading:
        """Judge the nearest hazards; the value is minus the distance expected, in metres."""
        margin, lookahead = self.settings.margin, self.settings.lookahead
        worst, hazard = -math.inf, None
        for nearest in hazards:
            expected = nearest.distance - lookahead * max(nearest.closing_speed, 0.0)
            if -expected > worst:
                worst, hazard = -expected, nearest
        if hazard is not None and worst > -margin:
            return Reading(self.name, worst, -margin, alarm=True, reason=(
                f'{hazard.field}: hazard at {hazard.distance:.2f} m, '
                f'nearing at {hazard.closing_speed:.2f} m/s, margin {margin:.2f} m'))
        return Reading(self.name, worst, -margin,
                       clear=worst <= -(margin + self.settings.hysteresis))
