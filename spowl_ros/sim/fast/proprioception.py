# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the robot feels: MuJoCo's sensors as SafetyGymnasium arranges them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask


class Proprioception:
    """Copy the sensors into the observation, with every address looked up beforehand."""

    def __init__(self, task: BaseTask) -> None:
        model = task.model
        info = task.agent.sensor_info
        start = 0
        direct: list[tuple[int, int]] = []
        self._balls: list[tuple[slice, slice]] = []
        hinges: list[tuple[int, int]] = []
        for name, space in task.obs_info.obs_space_dict.items():
            size = int(np.prod(space.shape))
            if not name.endswith('_lidar'):
                sensor = model.sensor(name)
                address, count = int(sensor.adr[0]), int(sensor.dim[0])
                if name in info.hinge_pos_names:
                    hinges.append((start, address))
                elif name in info.ballquat_names:
                    self._balls.append((slice(start, start + size),
                                        slice(address, address + count)))
                else:  # all of it, or the height, which is the last of a position
                    direct += [(start + index, address + count - size + index)
                               for index in range(size)]
            start += size
        self._to, self._from = np.array(direct, np.intp).T
        self._hinges_to, self._hinges_from = np.array(hinges, np.intp).reshape(-1, 2).T

    def __call__(self, sensordata: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """
        Fill in every part of the observation that is no lidar.

        :param sensordata: MuJoCo's sensor readings
        :param out: the observation, shape (n,)
        """
        out[self._to] = sensordata[self._from]
        if len(self._hinges_to):
            angles = sensordata[self._hinges_from]
            out[self._hinges_to] = np.sin(angles)
            out[self._hinges_to + 1] = np.cos(angles)
        for to, source in self._balls:
            mujoco.mju_quat2Mat(out[to], sensordata[source])
