# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Domain randomisation: each training episode has a robot of its own, drawn from ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.sim.perturbation import Perturbation

Range = tuple[float, float]

_ONE, _NONE = (1.0, 1.0), (0.0, 0.0)


@dataclass(frozen=True)
class Randomisation:
    """Ranges from which each episode draws its robot, uniformly and each on its own."""

    scale: float = setting(
        1.0, 'part of each range, from the nominal robot on, that is drawn from; 0: none',
        low=0.0, high=1.0)
    nominal_share: float = setting(0.0, 'share of the episodes with the nominal robot',
                                   low=0.0, high=1.0)
    mass: Range = setting(_ONE, "factor on the masses of the robot's bodies")
    strength: Range = setting(_ONE, 'factor on the forces of its actuators')
    friction: Range = setting(_ONE, 'factor on the friction of robot and floor, and on the '
                              "damping of the robot's joints")
    observation_noise: Range = setting(_NONE, "noise of its sensors, in parts of an ordinary "
                                       "sensor's")
    command_delay: Range = setting(_NONE, 'seconds until a command acts; parts of a raw step too')
    command_loss: Range = setting(_NONE, 'probability that a command is lost, and the one before '
                                  'is held')
    sensor_loss: Range = setting(_NONE, 'probability that a field of an observation is lost, and '
                                 'its last reading stays')

    def __post_init__(self) -> None:
        """
        Check both ends of every range.

        :raises SpowlError: a range that is reversed or impossible
        """
        for name in _DRAWN:
            low, high = getattr(self, name)
            if low > high:
                raise SpowlError(f'randomisation.{name} is [{low}, {high}]; the lower end comes '
                                 'first')
            for end in (low, high):
                Perturbation(**{name: end})

    @property
    def active(self) -> bool:
        """Whether any episode has another robot than the nominal one."""
        nominal = Perturbation()
        return self.scale > 0.0 and self.nominal_share < 1.0 and any(
            getattr(self, name) != (getattr(nominal, name),) * 2 for name in _DRAWN)

    def draw(self, rng: np.random.Generator, raw_period: float) -> Perturbation:
        """
        Return the robot of one episode.

        :param rng: read the same number of times whatever the ranges are
        :param raw_period: seconds of a raw step
        """
        nominal = Perturbation()
        uniform = dict(zip(_DRAWN, rng.random(len(_DRAWN)).tolist(), strict=True))
        if rng.random() < self.nominal_share:
            return nominal
        values = {}
        for name, part in uniform.items():
            usual = getattr(nominal, name)
            low, high = (usual + self.scale * (end - usual) for end in getattr(self, name))
            values[name] = low + part * (high - low)
        values['command_delay'] /= raw_period
        return Perturbation(**values)


_DRAWN = tuple(field.name for field in fields(Randomisation)
               if field.name not in ('scale', 'nominal_share'))
"""Fields of a perturbation that are drawn."""
