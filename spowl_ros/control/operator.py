# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lets a person take over from plan and policy while holding a dead-man's button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import threading

import numpy as np
from numpy.typing import ArrayLike

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.control.contract import ActionSpec
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import LEVELS, Level

OPERATOR = 'operator'
"""Name of the operator as a decision's source, or as the one who stopped the robot."""
INPUTS = ('off', 'joy', 'command')
_ROUNDING = 1e-3
"""By how much a joystick's axis may exceed 1."""


@dataclass(frozen=True)
class OperatorSettings:
    """Whether and how a person can take over."""

    input: str = setting(
        'off', "source of the operator's commands: sensor_msgs/Joy on `joy`, or messages of "
               '`command_type` on `command_operator`, sent only while a button is held',
        choices=INPUTS)
    button: int = setting(4, "number of the joystick's dead-man's button, from 0", low=0, high=255)
    axes: str = setting('1 0', "numbers of the joystick's axes, one for each actuator, with a "
                               'minus if the axis is reversed; an axis at 0 is the stop command')
    timeout: float = setting(0.3, 'seconds without a message after which the operator counts as '
                                  'silent; an older one is a stop', low=0.02, high=5.0)
    silence: str = setting(
        'stop', 'what happens if the operator falls silent while driving: stop: the robot '
                'stands until the operator is heard again or ~/hand_back is called; release: '
                'plan and policy drive on',
        choices=('stop', 'release'))
    overrules: str = setting(
        'policy', 'highest level of a monitor that the operator overrules; nobody overrules the '
                  'supervisor', choices=tuple(LEVELS)[1:])


@dataclass(frozen=True)
class Takeover:
    """What a person wants at one decision."""

    action: tuple[float, ...]
    """In [-1, 1], one per actuator; empty: the robot is to stop."""
    reason: str
    overrules: Level = Level.STOP

    @classmethod
    def recorded(cls, decision: Decision) -> Takeover | None:
        """Return the takeover behind a recorded decision; None if there was none."""
        if decision.monitor != OPERATOR:
            return None
        return cls(decision.action if decision.source == OPERATOR else (), decision.reason)


class OperatorCommands:
    """
    Receives a person's commands in one thread and returns them in another.

    :raises SpowlError: axes are not integers, or not one for each actuator
    """

    def __init__(self, settings: OperatorSettings, spec: ActionSpec) -> None:
        self._settings, self._spec = settings, spec
        self._rest = spec.rest
        self._lock = threading.Lock()
        self._action: tuple[float, ...] | None = None
        self._heard = -math.inf
        self._axes: list[tuple[int, float]] = []
        if settings.input == 'joy':
            try:
                self._axes = [(abs(int(word)), -1.0 if word.startswith('-') else 1.0)
                              for word in settings.axes.split()]
            except ValueError:
                self._axes = []
            if len(self._axes) != spec.size:
                raise SpowlError(f"'operator.axes' is {settings.axes!r}, wanted the number of an "
                                 f'axis for each of {", ".join(spec.names)}')

    def hear_joystick(self, axes: Sequence[float], buttons: Sequence[int], now: float) -> None:
        """
        Take a joystick's state.

        :param axes: each in [-1, 1]
        :param now: steady clock, seconds
        :raises SpowlError: an axis or a button is missing or beyond what a joystick can say
        """
        if self._settings.button >= len(buttons) or max(
                index for index, _ in self._axes) >= len(axes):
            raise SpowlError(f'a joystick with {len(axes)} axes and {len(buttons)} buttons; axes '
                             f'{self._settings.axes} and button {self._settings.button} are '
                             'wanted')
        pushed = np.array([sign * axes[index] for index, sign in self._axes])
        held = buttons[self._settings.button]
        if not (np.abs(pushed) <= 1.0 + _ROUNDING).all() or held not in (0, 1):
            raise SpowlError(f'a joystick with axes at {pushed.tolist()} and a button at {held}; '
                             '-1 to 1 and 0 or 1 are needed')
        pushed = np.clip(pushed, -1.0, 1.0)
        action = self._rest + pushed * np.where(pushed > 0.0, 1.0 - self._rest, 1.0 + self._rest)
        self._hear(tuple(action.tolist()) if held else None, now)

    def hear_command(self, command: ArrayLike, now: float) -> None:
        """Take a command, shape (A,), in the actuators' units, finite."""
        self._hear(tuple(self._spec.action(command).tolist()), now)

    def mishear(self, now: float) -> None:
        """Take a message that cannot be understood: the button may be held, so that is a stop."""
        self._hear((), now)

    def _hear(self, action: tuple[float, ...] | None, now: float) -> None:
        with self._lock:
            self._action, self._heard = action, now

    def hand_back(self, now: float) -> str:
        """Let plan and policy drive again after a silence; return why not, or an empty text."""
        with self._lock:
            if self._action is None:
                return 'no operator drives'
            if now - self._heard <= self._settings.timeout:
                return 'the operator drives; let go of the button first'
            self._action = None
            return ''

    def take(self, now: float) -> Takeover | None:
        """Return what the operator wants; None while plan and policy drive."""
        with self._lock:
            if self._action is None:
                return None
            silent = now - self._heard
            if silent > self._settings.timeout:
                if self._settings.silence == 'release':
                    self._action = None
                    return None
                return Takeover((), f'the operator is silent for {silent:.2f} s, limit '
                                f'{self._settings.timeout:g} s')
            if not self._action:
                return Takeover((), "the operator's message cannot be understood")
            return Takeover(self._action, 'the operator drives',
                            LEVELS[self._settings.overrules])
