# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The supervisor's rules: each command is passed, limited, slowed or replaced.

The module uses nothing learned and no ROS; callers pass in the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.contract import Contract
from spowl_ros.supervisor.latch import Latch
from spowl_ros.supervisor.region import HazardRegion
from spowl_ros.supervisor.settings import SupervisionSettings

_CONFLICT_PERIODS = 5.0
"""Control periods for which the robot stays stopped after another node sent a command."""
_ROUNDING = 1e-6
"""Fraction by which messages round: of the contract's greatest change, and of the stop command."""

STATES = ('passing', 'limited', 'slowed', 'stopped')
"""What the supervisor did to a command, from the least to the most intrusive."""


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
    Decides what to do with each command.

    Its `region` takes the readings of the sensors.

    :param contract: actuators, scans and control period
    :param steady: whether silences are judged by the steady clock; not in lock-step
    :param latch: the operator's stop; by default released
    :param limits: of the robot's own file, actuator to its greatest magnitude
    """

    def __init__(self, contract: Contract, settings: SupervisionSettings, steady: bool = True,
                 latch: Latch | None = None, limits: Mapping[str, float] | None = None) -> None:
        self.settings = settings
        self.contract = contract
        self.stop_command = np.array(contract.action.stop)
        self.latch = latch or Latch(held=False)
        self._steady = steady
        low, high = np.array(contract.action.low), np.array(contract.action.high)
        self._below, self._above = low - self.stop_command, high - self.stop_command
        self._half = (high - low) / 2
        own = np.array([(limits or {}).get(name, np.inf) for name in contract.action.names])
        self._least = np.minimum(np.maximum(low, -own), self.stop_command)
        self._greatest = np.maximum(np.minimum(high, own), self.stop_command)
        self.region = HazardRegion(contract, steady)
        self._last = self.stop_command
        self._heard = -math.inf
        self._conflict = -math.inf
        self._refusal = ''
        self._moved = -math.inf
        self._slowed = False

    @property
    def unguarded(self) -> str:
        """Return why no margin around hazards is guarded; empty if one is."""
        if not self.region.scans:
            return "no scan of the model's contract names hazards"
        return '' if self.settings.margin_response in ('slow', 'stop') else (
            'limits.margin_response is off')

    @property
    def silence(self) -> float:
        """Return the seconds without a command after which the robot is stopped."""
        return self.settings.silence * self.contract.control_period

    def start(self, now: float) -> None:
        """Begin to count silences; `now` is the steady clock, seconds."""
        self._heard = now
        self.begin_episode()

    def begin_episode(self) -> None:
        """Forget the last command and all readings, as at the start."""
        self._last = self.stop_command
        self.region.begin()

    def command(self, command: NDArray[np.float64], now: float, refusal: str = '') -> Supervised:
        """
        Judge a command.

        :param command: shape (A,), in the actuators' units
        :param now: the steady clock, seconds
        :param refusal: why its sender must not command the robot; empty for its controller
        """
        self._heard = now
        if refusal:
            self.conflict(now, refusal)
        if self.latch.held:
            return self.stopped(self.latch.reason, now)
        if now - self._conflict < _CONFLICT_PERIODS * self.contract.control_period:
            return self.stopped(self._refusal, now)
        if command.shape != self.stop_command.shape or not np.isfinite(command).all():
            return self.stopped('the command is not a finite number for each actuator', now)
        allowed = self.stop_command + np.clip(command - self.stop_command,
                                              self.settings.magnitude * self._below,
                                              self.settings.magnitude * self._above)
        allowed = np.clip(allowed, self._least, self._greatest)
        # neither limit turns the controller's own stop into a movement
        if not (np.abs(command - self.stop_command) <= _ROUNDING * self._half).all():
            parts = min(self.settings.change, self.contract.action.change * (1.0 + _ROUNDING))
            change = 2.0 * parts * self._half
            allowed = np.clip(allowed, self._last - change, self._last + change)
        self._moved = now
        return self._sent(allowed, command, now)

    def conflict(self, now: float, refusal: str) -> None:
        """Keep the robot stopped for a while, because another node may command it."""
        self._conflict, self._refusal = now, refusal

    def again(self, now: float) -> Supervised | None:
        """
        Judge the last command again, because hazards come nearer while it is held.

        :return: its replacement; None if it may go on
        """
        if not self._steady or self.rests:
            return None
        before = self._last
        result = self._sent(before, before, now, self._slowed)
        return None if np.array_equal(result.command, before) else result

    def silent(self, now: float) -> Supervised | None:
        """
        Return the stop command if no command came for too long, else None.

        :param now: the steady clock, seconds
        """
        if not self._steady or now - self._heard < self.silence:
            return None
        return self.stopped(
            self.latch.reason if self.latch.held else
            f'no command for {self.settings.silence:g} control periods', now)

    @property
    def rests(self) -> bool:
        """Whether the last command was the stop command itself."""
        return np.array_equal(self._last, self.stop_command)

    def _sent(self, allowed: NDArray[np.float64], command: NDArray[np.float64],
              now: float, slowed: bool = False) -> Supervised:
        """
        Return the command after the region around hazards.

        :param allowed: within its limits
        :param slowed: it was slowed before, and is not slowed again
        """
        state, reason = 'limited', 'command beyond its limits'
        response = self.settings.margin_response
        if response in ('slow', 'stop'):
            wanted = (allowed - self.stop_command) / self._half
            verdict = self.region.judge(wanted, now, self.settings)
            reason = verdict.reason or reason
            if verdict.reason and not verdict.unknown and response == 'slow':
                state = 'slowed'
                if not slowed:
                    allowed = self.stop_command + self.settings.slow_factor * (
                        allowed - self.stop_command)
            elif verdict.reason:
                allowed = self.stop_command + verdict.command * self._half
                if not verdict.command.any():
                    return self.stopped(reason, now)
        self._last, self._slowed = allowed, state == 'slowed'
        if state == 'limited' and np.array_equal(allowed, command):
            return Supervised(allowed, 'passing', '')
        return Supervised(allowed, state, reason)

    def stopped(self, reason: str, now: float) -> Supervised:
        """Return the stop command, or the next one on the ramp to it, and the caller's reason."""
        spec, period = self.contract.action, self.contract.control_period
        elapsed = min(max(now - self._moved, 0.0), period) if self._steady else period
        self._moved = now
        ramp = self.settings.ramp(spec)
        if ramp > 0.0 and np.isfinite(elapsed):
            action = spec.stopping(spec.action(self._last), elapsed * spec.stop_ramp / ramp)
            self._last = (self.stop_command if np.array_equal(action, spec.rest)
                          else spec.command(action))
        else:
            self._last = self.stop_command
        return Supervised(self._last, 'stopped', reason)
