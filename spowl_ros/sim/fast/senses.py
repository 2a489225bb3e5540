# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the robot senses: MuJoCo's sensors and pseudo lidars as SafetyGymnasium arranges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.scans import sector_closeness

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

    from spowl_ros.sim.fast.arena import Arena


class Senses:
    """
    The observation, with every address looked up beforehand.

    A lidar is a ring of sectors, each with the closeness of the nearest object of one class: 1 at
    the robot's centre, 0 at the greatest range.

    :param bodies: class of objects to the MuJoCo bodies of those that the lidar sees
    """

    def __init__(self, task: BaseTask, arena: Arena, bodies: Mapping[str, Sequence[int]]) -> None:
        info = task.agent.sensor_info
        self._data = arena.data
        self._robot = arena.body_of['agent']
        self._sectors: int = task.lidar_conf.num_bins
        self._max_range: float = task.lidar_conf.max_dist
        self.slices: dict[str, slice] = {}
        """Place in the observation by SafetyGymnasium's name."""
        direct: list[tuple[int, int]] = []
        hinges: list[tuple[int, int]] = []
        seen: list[tuple[int, int]] = []
        self._balls: list[tuple[slice, slice]] = []
        start = 0
        for name, space in task.obs_info.obs_space_dict.items():
            size = int(np.prod(space.shape))
            place = self.slices[name] = slice(start, start + size)
            if name.endswith('_lidar'):
                seen += [(start, body) for body in bodies[name.removesuffix('_lidar')]]
            else:
                sensor = arena.model.sensor(name)
                address, count = int(sensor.adr[0]), int(sensor.dim[0])
                if name in info.hinge_pos_names:
                    hinges.append((start, address))
                elif name in info.ballquat_names:
                    self._balls.append((place, slice(address, address + count)))
                else:  # all of it, or the height, which is the last of a position
                    direct += [(start + index, address + count - size + index)
                               for index in range(size)]
            start += size
        self._size = start
        self._to, self._from = _columns(direct)
        self._hinges_to, self._hinges_from = _columns(hinges)
        self._rings, self._bodies = _columns(seen)

    def observe(self) -> NDArray[np.float64]:
        """Return the observation, shape (n,), of the sensors as MuJoCo last computed them."""
        data = self._data
        offsets = data.xpos[self._bodies]
        offsets[:, 2] = 0.0
        offsets -= data.xpos[self._robot]
        # One small product per object: a product of matrices would round otherwise.
        ego = np.matmul(offsets[:, None, :], data.xmat[self._robot].reshape(3, 3))[:, 0]
        observation = sector_closeness(ego[:, 0], ego[:, 1], self._sectors, self._max_range,
                                       self._rings, self._size)
        observation[self._to] = data.sensordata[self._from]
        angles = data.sensordata[self._hinges_from]
        observation[self._hinges_to] = np.sin(angles)
        observation[self._hinges_to + 1] = np.cos(angles)
        for place, source in self._balls:
            mujoco.mju_quat2Mat(observation[place], data.sensordata[source])
        return observation


def _columns(pairs: list[tuple[int, int]]) -> NDArray[np.intp]:
    """Return the first and the second numbers of pairs, shape (2, n)."""
    return np.array(pairs, np.intp).reshape(-1, 2).T
