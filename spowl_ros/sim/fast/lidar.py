# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SafetyGymnasium's pseudo lidar for all classes of objects at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.scans import sector_closeness


class Lidar:
    """Closeness of the nearest object per sector, one ring of sectors for each class."""

    def __init__(self, bodies: Sequence[Sequence[int]], sectors: int, max_range: float) -> None:
        """
        Prepare for the objects given.

        :param bodies: for each class, the MuJoCo bodies of its objects
        """
        self._bodies = np.array([body for group in bodies for body in group], np.intp)
        self._rings = np.repeat(np.arange(len(bodies)) * sectors, [len(group) for group in bodies])
        self._size = len(bodies) * sectors
        self._sectors = sectors
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
        return sector_closeness(ego[:, 0], ego[:, 1], self._sectors, self._max_range,
                                self._rings, self._size)
