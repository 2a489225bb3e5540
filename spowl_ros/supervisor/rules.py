# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What the supervisor does with each command: passes, limits, slows or replaces it.

Nothing learned is in here and nothing of ROS; time comes in as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING

import numpy as np

from spowl_ros.base.settings import setting
from spowl_ros.control.hazards import HazardTracker, Nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spowl_ros.control.contract import Contract, Field

_CONFLICT_PERIODS = 5.0
"""Control periods for which the robot stays stopped after two controllers were heard at once."""
_ROUNDING = 1e-6
"""By which a command may miss the contract's greatest change, for messages round."""

STATES = ('passing', 'limited', 'slowed', 'stopped')
"""What became of a command, from the least to the most intrusive."""


@dataclass(frozen=True)
class SupervisionSettings:
    """What commands the supervisor lets through."""

    magnitude: float = setting(
        1.0, "greatest command, in parts of the actuators' range around its middle",
        low=0.0, high=1.0)
    change: float = setting(
        1.0, "greatest change from one command to the next, in parts of the whole range; the "
        "contract's holds too", low=0.001, high=1.0)
    silence: float = setting(
        1.7, 'control periods of the steady clock without a command after which the robot is '
        'stopped', low=1.0, high=100.0)
    margin_response: str = setting(
        'off', 'what happens to a command while a hazard comes nearer within the margin',
        choices=('off', 'slow', 'stop'))
    margin: float = setting(0.05, 'metres kept free around the edge of a hazard',
                            low=0.0, high=3.0)
    lookahead: float = setting(0.3, 'seconds for which the closing speed is extrapolated',
                               low=0.0, high=10.0)
    slow_factor: float = setting(0.3, 'what a slowed command is multiplied by',
                                 low=0.0, high=1.0)


@dataclass(frozen=True)
class Supervised:
    """A command that may go to the actuators."""

    command: NDArray[np.float64]
    """Shape (A,), in the actuators' units."""
    state: str
    """One of STATES."""
    reason: str
    """Empty while passing."""


class Supervision:
    """
    Decide what becomes of each command.

    :param contract: actuators, scans and control period
    :param steady: whether the steady clock matters; without, as in lock-step, nothing is silent
    """

    def __init__(self, contract: Contract, settings: SupervisionSettings,
                 steady: bool = True) -> None:
        self.settings = settings
        self.contract = contract
        self.stop_command = np.array(contract.action.stop)
        self._steady = steady
        low, high = np.array(contract.action.low), np.array(contract.action.high)
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._hazards = HazardTracker(contract)
        self._nearest: dict[str, Nearest | None] = {}
        self._seen: dict[str, float] = {}
        self._last = self.stop_command
        self._heard = -math.inf
        self._source: object = None
        self._source_heard = -math.inf
        self._conflict = -math.inf
        self._latched = False
        self._refusal = ''

    @property
    def scans(self) -> list[Field]:
        """Return the scan fields whose hazards are followed."""
        return self._hazards.fields

    def latch(self, stop: bool) -> None:
        """Stop from now on, or pass commands again."""
        self._latched = stop

    def start(self, now: float) -> None:
        """Begin to count silences at a time of the steady clock, seconds."""
        self._heard = now
        self._seen = {field.name: now for field in self.scans}
        self._last = self.stop_command

    def see(self, field: Field, closeness: NDArray[np.float32], stamp_ns: int,
            now: float) -> None:
        """Take a scan, as `HazardTracker.see` does."""
        self._nearest[field.name] = self._hazards.see(field, closeness, stamp_ns)
        self._seen[field.name] = now

    def command(self, command: NDArray[np.float64], now: float, source: object = None,
                ) -> Supervised:
        """
        Judge a command.

        :param command: shape (A,), in the actuators' units
        :param now: the steady clock, seconds
        :param source: whatever identifies who sent it
        """
        self._heard = now
        if source != self._source and now - self._source_heard < self._silence:
            self._conflict = now
        self._source, self._source_heard = source, now
        if self._latched:
            return self._stopped('stopped by an operator')
        if now - self._conflict < _CONFLICT_PERIODS * self.contract.control_period:
            return self._stopped('two controllers command the robot')
        if command.shape != self.stop_command.shape or not np.isfinite(command).all():
            return self._stopped('the command is not a finite number for each actuator')
        response, reason = self._margin(now)
        if response == 'stop':
            return self._stopped(reason)
        allowed = self._middle + np.clip(command - self._middle,
                                         -self.settings.magnitude * self._half,
                                         self.settings.magnitude * self._half)
        if response == 'slow':
            allowed = self.stop_command + self.settings.slow_factor * (allowed - self.stop_command)
        parts = min(self.settings.change, self.contract.action.change * (1.0 + _ROUNDING))
        change = 2.0 * parts * self._half
        allowed = np.clip(allowed, self._last - change, self._last + change)
        self._last = allowed
        if response == 'slow':
            return Supervised(allowed, 'slowed', reason)
        if np.array_equal(allowed, command):
            return Supervised(allowed, 'passing', '')
        return Supervised(allowed, 'limited', 'command beyond its limits')

    def silent(self, now: float) -> Supervised | None:
        """
        Return the stop command when no command came for too long, else None.

        :param now: the steady clock, seconds
        """
        if not self._steady or now - self._heard < self._silence:
            return None
        reason = 'stopped by an operator' if self._latched else (
            f'no command for {self.settings.silence:g} control periods')
        return self._stopped(reason)

    @property
    def _silence(self) -> float:
        return self.settings.silence * self.contract.control_period

    def _margin(self, now: float) -> tuple[str, str]:
        """Return how hazards change the command ('off', 'slow' or 'stop'), and why."""
        if self.settings.margin_response == 'off':
            return 'off', ''
        for name, seen in self._seen.items():
            if self._steady and now - seen > self._silence:
                return 'stop', f'no {name} for {now - seen:.2f} s'
        for nearest in self._nearest.values():
            # One that does not come nearer is left alone: the robot must be able to drive off.
            if nearest is not None and nearest.closing_speed > 0.0:
                expected = nearest.distance - self.settings.lookahead * nearest.closing_speed
                if expected < self.settings.margin:
                    return self.settings.margin_response, (
                        f'{nearest.field}: hazard at {nearest.distance:.2f} m, nearing at '
                        f'{nearest.closing_speed:.2f} m/s')
        return 'off', ''

    def _stopped(self, reason: str) -> Supervised:
        self._last = self.stop_command
        return Supervised(self.stop_command, 'stopped', reason)
