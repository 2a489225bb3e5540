# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Perturbations: how the robot may differ from the one in training."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract

_TYPICAL_NOISE = {
    'linear_acceleration': 0.1, 'angular_velocity': 0.02, 'linear_velocity': 0.02,
    'magnetic_field': 0.005, 'joint_position': 0.01, 'joint_velocity': 0.05,
    'ball_orientation': 0.01, 'ball_angular_velocity': 0.05, 'contact_force': 0.05,
    'height': 0.005, 'body_angular_velocity': 0.02, 'scan': 0.01,
}
"""Standard deviation of an ordinary sensor's noise by kind, in the unit of its field."""
_FACTORS = ('mass', 'strength', 'friction')
_SHARES = ('command_loss', 'sensor_loss')


@dataclass(frozen=True)
class Perturbation:
    """The changes to a robot; none by default."""

    observation_noise: float = 0.0
    """Gaussian noise on every sensor, as a multiple of an ordinary sensor's."""
    command_delay: float = 0.0
    """
    Raw steps before a command reaches the actuators; they stand still until the first arrives.
    Fractions of a raw step are rounded to physics steps.
    """
    mass: float = 1.0
    """Factor on the masses and inertias of the robot's bodies."""
    strength: float = 1.0
    """Factor on the forces of the actuators."""
    friction: float = 1.0
    """Factor on the friction of robot and floor, and on the damping of the robot's joints."""
    command_loss: float = 0.0
    """Probability that a decision's command is lost; the one before it then goes on acting."""
    sensor_loss: float = 0.0
    """Probability that a field of an observation is lost; its last reading then stays."""
    hazards: int | None = None
    """How many of the task's hazards exist; the others are unseen and cost nothing. None: all."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, value in vars(self).items():
            if name in _FACTORS:
                good = value > 0
            elif name in _SHARES:
                good = 0 <= value < 1
            else:
                good = (name == 'hazards' and value is None) or value >= 0
            if not good:
                raise SpowlError(f'perturbation {name} is {value}; that is out of its range')

    @property
    def needs_fast_simulation(self) -> bool:
        """Return whether a change needs access that the plain package does not give."""
        return (any(getattr(self, name) != 1.0 for name in _FACTORS)
                or self.hazards is not None or self.command_delay % 1.0 > 0.0)


PRESETS: dict[str, dict[str, Any]] = {
    'ordinary': {'observation_noise': 1.0, 'command_delay': 0.02, 'mass': 1.2, 'strength': 0.85},
}
"""
Perturbations by name; the delay is in seconds.

`ordinary` is how a robot that one builds differs from its simulation.
"""


def preset(name: str, raw_period: float) -> Perturbation:
    """
    Return a perturbation of PRESETS.

    :param raw_period: seconds of a raw step of the robot
    """
    values = PRESETS[name]
    delay = values.get('command_delay', 0.0) / raw_period
    return Perturbation(**{**values, 'command_delay': delay})


class RobotModel:
    """The robot in MuJoCo's model; its masses, actuators and friction can change."""

    def __init__(self, model: mujoco.MjModel) -> None:
        bodies = np.flatnonzero(model.body_rootid == model.body('agent').id)
        floor = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
        geoms = np.flatnonzero(np.isin(model.geom_bodyid, bodies) | floor)
        joints = np.flatnonzero(np.isin(model.dof_bodyid, bodies))
        parts = (
            ('mass', model.body_mass, bodies), ('mass', model.body_inertia, bodies),
            ('friction', model.geom_friction, geoms), ('friction', model.dof_damping, joints),
            ('strength', model.actuator_gainprm, np.s_[:, 0]),
            ('strength', model.actuator_biasprm, np.s_[:, :3]),
            ('strength', model.actuator_forcerange, np.s_[:]))
        self._nominal = [(factor, array, index, array[index].copy())
                         for factor, array, index in parts]

    def change(self, perturbation: Perturbation) -> None:
        """Change the nominal robot; the next reset derives the model's constants."""
        for factor, array, index, nominal in self._nominal:
            array[index] = nominal * getattr(perturbation, factor)


class SensorFaults:
    """Gaussian noise on an observation, and fields of it that are lost now and then."""

    def __init__(self, contract: Contract, perturbation: Perturbation) -> None:
        fields = contract.fields
        self._sizes = [field.size for field in fields]
        self._noise = perturbation.observation_noise
        self._scale = self._noise * np.repeat([_TYPICAL_NOISE[field.sensor] for field in fields],
                                              self._sizes)
        self._scan = np.repeat([field.sensor == 'scan' for field in fields], self._sizes)
        self._loss = perturbation.sensor_loss
        self._last: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Begin an episode: its first observation arrives whole."""
        self._last = None

    def __call__(self, observation: NDArray[np.float64],
                 rng: np.random.Generator) -> NDArray[np.float64]:
        """
        Return the observation, shape (n,), with noise and as far as it arrived.

        Scans stay in [0, 1], empty sectors stay empty. Of a lost field the last reading stays.
        """
        if self._noise:
            empty = self._scan & (observation == 0.0)
            observation = observation + self._scale * rng.standard_normal(observation.shape)
            observation[self._scan] = observation[self._scan].clip(0.0, 1.0)
            observation[empty] = 0.0
        if self._loss:
            if self._last is not None:
                lost = rng.random(len(self._sizes)) < self._loss
                observation = np.where(np.repeat(lost, self._sizes), self._last, observation)
            self._last = observation
        return observation


class CommandDelay:
    """Commands in transit to the actuators, for `delay` raw steps."""

    def __init__(self, delay: float, stop: NDArray[np.float64]) -> None:
        self._steps, self._stop = math.ceil(delay), stop
        self.late = delay % 1.0
        """Fraction of a raw step after which the next command arrives; 0: at its beginning."""
        self._queue: deque[NDArray[np.float64]] = deque()

    def reset(self) -> None:
        """Fill the delay with stop commands."""
        self._queue = deque([self._stop] * self._steps)

    def __call__(self, control: NDArray[np.float64]
                 ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Send a control, shape (A,), at the beginning of a raw step.

        :return: the control that acts first, and the one that acts after `late` of the raw step
        """
        self._queue.append(control)
        first = self._queue.popleft()
        return first, self._queue[0] if self.late else first
