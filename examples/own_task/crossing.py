# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A small task of one's own: cross a road, and let the car pass.

Train on it with `spowl train examples/own_task/crossing.yaml`.
"""

from __future__ import annotations

import gymnasium
import numpy as np

from spowl_ros.sim.own import OwnEnvironment

PERIOD = 0.1
STEPS = 60
ROAD = 2.0
"""Metres from the start to the other side."""
NEAR = 0.5
"""Metres from the car at which it costs."""


class Crossing(gymnasium.Env):
    """
    A walker steers its velocity; a car passes up and down half-way.

    Observation: walker x, y, car x, y, metres, and the car's speed. Reward: metres nearer to the
    other side. Cost: 1 for each step within NEAR of the car.
    """

    observation_space = gymnasium.spaces.Box(-5.0, 5.0, (5,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        """Put the walker at the start and the car somewhere on its way."""
        super().reset(seed=seed)
        self.walker = np.zeros(2)
        self.car = np.array([ROAD / 2, self.np_random.uniform(-1.5, 1.5)])
        self.speed = self.np_random.choice([-1.0, 1.0])
        self.steps = 0
        return self._observe(), {}

    def step(self, action):
        """Walk for one period, up to 0.7 m/s along each axis."""
        before = self.walker[0]
        self.walker += PERIOD * 0.7 * np.clip(action, -1.0, 1.0)
        self.walker = np.clip(self.walker, [-0.5, -1.0], [ROAD, 1.0])
        self.car[1] += PERIOD * self.speed
        if abs(self.car[1]) > 1.5:
            self.speed = -np.sign(self.car[1])
        self.steps += 1
        cost = float(np.hypot(*(self.walker - self.car)) < NEAR)
        arrived = bool(self.walker[0] >= ROAD)
        return (self._observe(), float(self.walker[0] - before), arrived, self.steps >= STEPS,
                {'cost': cost})

    def _observe(self):
        return np.array([*self.walker, *self.car, self.speed], np.float32)


def make() -> OwnEnvironment:
    """Return the task as the training takes it."""
    return OwnEnvironment(Crossing(), period=PERIOD)
