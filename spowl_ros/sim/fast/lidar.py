# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SafetyGymnasium's pseudo lidar for all classes of objects at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TURN = np.pi * 2


class Lidar:
    """
    Closeness of the nearest object per sector, one ring of sectors for each class of objects.

    Every operation is the plain package's, element by element, so that the results are equal to
    the last bit.
    """

    def __init__(self, bodies: Sequence[Sequence[int]], sectors: int, max_range: float) -> None:
        """
        Prepare for the objects given.

        :param bodies: for each class, the MuJoCo bodies of its objects
        """
        self._bodies = np.array([body for group in bodies for body in group], np.intp)
        self._rings = np.repeat(np.arange(len(bodies)) * sectors, [len(group) for group in bodies])
        self._size = len(bodies) * sectors
        self._sectors = sectors
        self._width = _TURN / sectors
        self._max_range = max_range

    def __call__(self, xpos: NDArray[np.float64], position: NDArray[np.float64],
                 rotation: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Return closeness, shape (classes * sectors,), 1 at the robot's centre, 0 at max_range.

        :param xpos: positions of all bodies, shape (bodies, 3), metres, world frame
        :param position: of the robot, shape (3,), metres, world frame
        :param rotation: of the robot, shape (3, 3), body to world
        """
        offsets = xpos[self._bodies]
        offsets[:, 2] = 0.0
        offsets -= position
        # One small product per object: a product of matrices would round otherwise.
        ego = np.matmul(offsets[:, None, :], rotation)[:, 0]
        z = ego[:, 0] + 1j * ego[:, 1]
        closeness = np.maximum(0.0, self._max_range - np.abs(z)) / self._max_range
        angle = np.angle(z) % _TURN
        sector = (angle / self._width).astype(np.intp)
        alias = (angle - self._width * sector) / self._width
        result = np.zeros(self._size)
        n = self._sectors
        np.maximum.at(result, np.concatenate((
            self._rings + sector % n, self._rings + (sector + 1) % n,
            self._rings + (sector - 1) % n,
        )), np.concatenate((closeness, alias * closeness, (1 - alias) * closeness)))
        return result
