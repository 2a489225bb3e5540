# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the supervisor, and which of them a real robot must not be driven with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spowl_ros.base.settings import setting
from spowl_ros.control.contract import LONGEST_STOP_RAMP, ActionSpec, Contract

GREATEST_SILENCE = 5.0
"""Longest silence of a real robot's commands, control periods."""


@dataclass(frozen=True)
class SupervisionSettings:
    """What commands the supervisor lets through."""

    magnitude: float = setting(
        1.0, "greatest command, as a fraction of the actuators' range on each side of the stop "
             'command', low=0.0, high=1.0)
    change: float = setting(
        1.0, 'greatest change from one command to the next, as a fraction of the whole range; '
             "the contract's limit holds too; a stop command passes at once", low=0.001, high=1.0)
    silence: float = setting(
        1.7, 'control periods of the steady clock without a command after which the robot stops; '
        f'at most {GREATEST_SILENCE:g} on a real robot', low=1.0, high=100.0)
    margin_response: str = setting(
        'auto', 'response to a command that drives towards a hazard too near: off passes it, '
        'slow scales it, stop replaces it by one that leads away; auto is stop on a real robot '
        'and off on a simulated one', choices=('auto', 'off', 'slow', 'stop'))
    margin: float = setting(0.05, 'metres kept free around the edge of a hazard',
                            low=0.0, high=3.0)
    lookahead: float = setting(
        0.6, 'seconds until the stop command has brought the robot to rest, including the '
             "actuators' delay; the ramp to the stop command comes on top", low=0.0, high=10.0)
    top_speed: float = setting(
        1.5, 'greatest speed of the robot, m/s; used as its speed if the speed is not measured',
        low=0.01, high=100.0)
    acceleration: float = setting(
        3.0, 'greatest acceleration of the robot, m/s^2', low=0.01, high=1000.0)
    stop_ramp: float = setting(
        1.0, 'longest time in seconds until a stop reaches the stop command; a shorter ramp of '
             'the contract is kept; 0: every stop is immediate', low=0.0, high=LONGEST_STOP_RAMP)
    slow_factor: float = setting(0.3, 'factor on a slowed command',
                                 low=0.0, high=1.0)

    def resolved(self, simulation: bool) -> SupervisionSettings:
        """Return the settings with the response that `auto` means."""
        if self.margin_response != 'auto':
            return self
        return replace(self, margin_response='off' if simulation else 'stop')

    def ramp(self, action: ActionSpec) -> float:
        """Return the seconds in which a stop ramps from the far end of the range to rest."""
        return min(action.stop_ramp, self.stop_ramp)


def unfit_for_a_robot(given: Mapping[str, Any], limits: Mapping[str, float],
                      contract: Contract) -> list[str]:
    """
    Return the reasons not to drive a real robot with these settings; empty if there are none.

    :param given: parameters of the supervisor by name; those left out have their defaults
    :param limits: of the robot's own file, actuator to greatest magnitude; they narrow the
        contract's limits, which come from the model that the supervisor must guard against
    """
    found = []
    if missing := [name for name in contract.action.names if name not in limits]:
        found.append(f"limits: none for {', '.join(missing)} in the robot's file; give the "
                     'greatest magnitude that may reach each actuator')
    if given.get('simulation', False) is not False:
        found.append('simulation: is for simulated robots; leave it out')
    rate = given.get('rate', 1.0)
    if rate != 1.0:
        found.append(f"rate: is {rate!r}; a real robot's clock runs at rate 1, which its watchdog "
                     'relies on')
    silence = given.get('limits.silence', SupervisionSettings.silence)
    if not isinstance(silence, (int, float)) or not 1.0 <= silence <= GREATEST_SILENCE:
        found.append(f'limits.silence: is {silence!r}; a real robot is stopped after 1 to '
                     f'{GREATEST_SILENCE:g} control periods without a command')
    if any(contract.action.stop):
        found.append(f"the model's stop command is {list(contract.action.stop)}; only zeros bring "
                     'a real robot to rest')
    return found
