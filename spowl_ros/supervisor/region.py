# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The region around hazards into which no command may drive.

The region needs no difference of two scans. Its size follows from the measured speed, the age of
the scan and the time in which the robot comes to rest:

    radius = margin + (speed + acceleration * hold) * (hold + lookahead + ramp)
    hold = age + period,  ramp = seconds in which a stop reaches the stop command

Acceleration adds to the speed from its measurement on, up to the top speed. What lies beyond the
range of the scan counts as a hazard there, but for it the ramp is driven at half the top speed at
most, the mean of a ramp from full command. Inside the region a command may turn the robot on the
spot, or drive it straight if that leaves behind or passes every hazard. Nothing else gets through.

Only a stop is known to bring the robot to rest, and how soon. So a robot that moves one way is not
commanded the other way while hazards are in its way: it is stopped first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.avoidance import DRIVES
from spowl_ros.control.contract import SCAN_RANGE, Contract, Field
from spowl_ros.control.validity import InvalidReading, Stamps, check_finite
from spowl_ros.supervisor.settings import SupervisionSettings

_HYSTERESIS = 0.05
"""Metres by which a hazard must be farther away to leave the region than to enter it."""
_SCANS_KEPT = 3
"""The nearest distance of this many scans counts: noise then cannot hide a hazard."""
_BESIDE = math.radians(60.0)
"""Beyond this angle to the line of travel, the robot passes a hazard rather than nears it."""
_FUTURE_PERIODS = 1.5


@dataclass(frozen=True)
class Verdict:
    """What the region lets through of a command."""

    command: NDArray[np.float64]
    """Shape (A,), difference from rest, in actuators' half ranges."""
    reason: str = ''
    """Why the command was changed; empty if it was not."""
    unknown: bool = False
    """Whether the command was replaced because a reading is missing."""


class _Sensor:
    """The last readings of one field."""

    def __init__(self, field: Field, future: float) -> None:
        self.field = field
        self.readings: deque[NDArray[np.float64]] = deque(maxlen=_SCANS_KEPT)
        self._future = future
        self.forget()

    def forget(self) -> None:
        """Have no reading, as at the start."""
        self.readings.clear()
        self.measured = -math.inf
        """Steady time of the newest reading, seconds."""
        self.refusal = ''
        self.stamps = Stamps(round(self.field.timeout * 1e9), round(self._future * 1e9))


class HazardRegion:
    """
    Keeps commands from driving into hazards; callers pass in the time.

    :param steady: whether the steady clock gives the age of a reading; not in lock-step
    """

    def __init__(self, contract: Contract, steady: bool) -> None:
        self._steady = steady
        self._period = contract.control_period
        self._action = contract.action
        # In lock-step the clock's message may come after the scan's, and leaps between episodes.
        future = _FUTURE_PERIODS * self._period if steady else 3600.0
        self.scans = [_Sensor(field, future) for field in contract.fields
                      if field.hazard_radius is not None]
        """Those that show hazards."""
        self._velocity = next((_Sensor(field, future) for field in contract.fields
                               if field.sensor == 'linear_velocity'), None)
        self._sensors = {sensor.field.name: sensor
                         for sensor in (*self.scans, self._velocity) if sensor is not None}
        self._drive = DRIVES.get(contract.robot)
        self._inside = False
        self._forget_thrust()

    @property
    def fields(self) -> list[Field]:
        """Return the fields that the region needs: scans with hazards, and the velocity."""
        return [sensor.field for sensor in self._sensors.values()]

    def begin(self) -> None:
        """Forget all readings: another episode begins, perhaps at another time and place."""
        for sensor in self._sensors.values():
            sensor.forget()
        self._inside = False
        self._forget_thrust()

    def _forget_thrust(self) -> None:
        """Believe that the robot rests."""
        self._thrust = {1.0: -math.inf, -1.0: -math.inf}
        """Direction, 1 forwards, to when a thrust that way last passed; steady time, seconds."""
        self._coasts = math.inf
        """Since when no thrust has passed."""
        self._rested = -math.inf
        """When the robot last was at rest, for a stop had passed for long enough."""

    def see(self, name: str, values: NDArray[Any], stamp_ns: int, now: float,
            now_ns: int | None = None) -> None:
        """
        Store a reading of a field; an invalid one does not count.

        :param values: closeness, shape (sectors,), or velocity in the robot's axes, shape (3,)
        :param now: the steady clock, seconds
        :param now_ns: the node's clock; by default the stamp
        """
        sensor = self._sensors[name]
        now_ns = stamp_ns if now_ns is None else now_ns
        try:
            numbers = check_finite(values, name).reshape(-1)
            if numbers.size != sensor.field.size:
                raise InvalidReading(f'{numbers.size} values, wanted {sensor.field.size}')
            if not ((numbers >= sensor.field.low) & (numbers <= sensor.field.high)).all():
                raise InvalidReading('values that its sensor cannot measure')
            sensor.stamps.check(stamp_ns, now_ns)
        except InvalidReading as error:
            self.refuse(name, str(error))
            return
        sensor.readings.append(numbers)
        sensor.measured = now - max(0.0, (now_ns - stamp_ns) * 1e-9)
        sensor.refusal = ''

    def refuse(self, name: str, reason: str) -> None:
        """Record why a field's message is no reading."""
        sensor = self._sensors[name]
        sensor.refusal = reason
        if not self._steady and 'does not change' not in reason:
            sensor.readings.clear()

    def judge(self, wanted: NDArray[np.float64], now: float,
              settings: SupervisionSettings) -> Verdict:
        """
        Return the part of a command that may pass.

        :param wanted: shape (A,), difference from rest, in actuators' half ranges
        :param now: the steady clock, seconds
        """
        if now - self._coasts > self._rest_s(settings):
            self._rested = now
        rest = np.zeros_like(wanted)
        share, forward, direction = self._course(wanted)
        verdict = Verdict(wanted)
        for sensor in self.scans:
            if problem := self._problem(sensor, now):
                verdict = Verdict(rest, problem, unknown=True)
                break
        else:
            if wanted.any() and self.scans:
                verdict = self._passed(wanted, share, forward, direction, now, settings)
        self._note(self._course(verdict.command)[0], now)
        return verdict

    def _course(self, wanted: NDArray[np.float64]
                ) -> tuple[float, NDArray[np.float64] | None, float]:
        """
        Return how much of a command drives straight, and where.

        :return: share of full thrust, the action of full thrust, and its bearing, radians; the
            action is None for a robot of which nobody knows where it goes
        """
        if self._drive is None:
            return float(wanted.any()), None, 0.0
        direction, parts = self._drive
        forward = np.array(parts)
        return float(wanted @ forward / (forward @ forward)), forward, direction

    def _rest_s(self, settings: SupervisionSettings) -> float:
        """Return the seconds in which a stop brings the robot to rest."""
        return settings.lookahead + settings.ramp(self._action)

    def _note(self, share: float, now: float) -> None:
        """Record which thrust passed."""
        if share:
            self._thrust[math.copysign(1.0, share)], self._coasts = now, math.inf
        else:
            self._coasts = min(self._coasts, now)

    def _passed(self, wanted: NDArray[np.float64], share: float,
                forward: NDArray[np.float64] | None, direction: float, now: float,
                settings: SupervisionSettings) -> Verdict:
        """Return the part of a command that may pass, while all scans are current."""
        bearing = direction + (math.pi if share < 0.0 else 0.0)
        bearings = [bearing]
        if forward is not None and share and self._rolls(-math.copysign(1.0, share), direction,
                                                         now, settings):
            bearings.append(bearing + math.pi)
        inside, nearest, blocker = False, math.inf, ''
        for sensor in self.scans:
            for way in bearings:
                near, blocked, text = self._look(sensor, way, now, settings)
                inside |= near
                if blocked < nearest:
                    nearest, blocker = blocked, text
        self._inside = inside
        if not inside:
            return Verdict(wanted)
        if forward is None:
            return Verdict(np.zeros_like(wanted),
                           f'{blocker}: where this robot would go is not known')
        if blocker and share:
            return Verdict(wanted - share * forward, f'{blocker}: only what leads out passes')
        straight = share * forward if share else wanted
        return Verdict(straight, '' if np.allclose(straight, wanted, atol=1e-9) else
                       'hazard near: it drives straight out, without turning')

    def _rolls(self, sign: float, direction: float, now: float,
               settings: SupervisionSettings) -> bool:
        """
        Return whether the robot may still move one way along its line of travel.

        :param sign: 1 forwards, -1 backwards
        :param direction: bearing of forwards, radians
        """
        sensor, thrust = self._velocity, self._thrust[sign]
        if sensor is None or not sensor.readings or self._problem(sensor, now):
            return thrust > self._rested
        hold = self._age(sensor, now) + self._period
        along = max(sign * (reading[0] * math.cos(direction) + reading[1] * math.sin(direction))
                    for reading in sensor.readings)
        return (not now - thrust > hold
                or along * (hold + self._rest_s(settings)) > settings.margin)

    def _look(self, sensor: _Sensor, direction: float, now: float,
              settings: SupervisionSettings) -> tuple[bool, float, str]:
        """Return whether hazards are near, the nearest blocking one's distance and its reason."""
        field = sensor.field
        assert field.hazard_radius is not None
        closeness = np.max(sensor.readings, axis=0)
        seen = closeness > 0.0
        centres = (1.0 - closeness) * SCAN_RANGE
        hold = self._age(sensor, now) + self._period
        speed, age = self._speed(now, settings)
        faster = settings.acceleration * max(hold, age + self._period)
        top = max(settings.top_speed, speed)
        expected = min(speed + faster, top)
        ramp = settings.ramp(self._action)
        reach = hold + self._rest_s(settings)
        radius = settings.margin + expected * reach + (_HYSTERESIS if self._inside else 0.0)
        blind = radius - max(0.0, expected - top / 2.0) * ramp
        edges = centres - field.hazard_radius
        near = edges < np.where(seen, radius, blind)
        if not near.any():
            return False, math.inf, ''
        if self._drive is None:
            blocks = near
        else:
            width = 2.0 * math.pi / closeness.size
            bearings = (np.arange(closeness.size) + 0.5) * width
            turned = np.abs(np.remainder(bearings - direction + math.pi, 2.0 * math.pi) - math.pi)
            angle = np.maximum(turned - width / 2.0, 0.0)
            left = angle >= math.pi / 2.0 - 1e-6
            clearance = np.where(near, centres, 0.0) * np.sin(angle) - field.hazard_radius
            beside = (angle >= _BESIDE) & (clearance >= settings.margin / 2.0)
            creeping = speed * reach <= settings.margin
            passed = creeping & (clearance >= settings.margin)
            blocks = near & ~(left | beside | passed)
        if not blocks.any():
            return True, math.inf, ''
        edge = float(edges[blocks].min())
        return True, edge, f'{field.name}: ' + (
            f'hazard at {edge:.2f} m within {radius:.2f} m' if seen[blocks].any() else
            f'it sees {edge:.2f} m, and at this speed {blind:.2f} m must be free')

    def _age(self, sensor: _Sensor, now: float) -> float:
        """Return the age of a field's newest reading, seconds; 0 in lock-step."""
        return max(0.0, now - sensor.measured) if self._steady else 0.0

    def _speed(self, now: float, settings: SupervisionSettings) -> tuple[float, float]:
        """Return the robot's speed, m/s, and its age, s; the top speed if it is not known."""
        sensor = self._velocity
        if sensor is None or not sensor.readings or self._problem(sensor, now):
            return settings.top_speed, 0.0
        speeds = (np.hypot(reading[0], reading[1]) for reading in sensor.readings)
        return float(max(speeds)), self._age(sensor, now)

    def _problem(self, sensor: _Sensor, now: float) -> str:
        """Return why a field has no current reading; empty if it has one."""
        why = f' ({sensor.refusal})' if sensor.refusal else ''
        if not sensor.readings:
            return f'no {sensor.field.name} yet{why}'
        age = now - sensor.measured
        if self._steady and not age <= sensor.field.timeout:
            return f'no {sensor.field.name} for {age:.2f} s{why}'
        return ''
