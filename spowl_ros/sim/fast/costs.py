# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What costs: things touched, and vases in motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

    from spowl_ros.sim.fast.arena import Arena

_TOUCHABLE = ('vase', 'gremlin', 'pillar')
_SPEED_SLACK = 1e-9
"""Metres a second by which the quick speed of a vase may miss SafetyGymnasium's."""


class Contacts:
    """Which kinds of object the robot touches, by the names of the geoms in contact."""

    def __init__(self, task: BaseTask, arena: Arena) -> None:
        model = arena.model
        self._data = arena.data
        names = [model.geom(geom).name for geom in range(model.ngeom)]
        robot_names = set(task.agent.body_info.geom_names)
        robot = np.array([name in robot_names for name in names])
        touching = robot[:, None] | robot[None, :]
        buttons = task.buttons.num if hasattr(task, 'buttons') else 0
        self._bits = {prefix: 1 << bit for bit, prefix in enumerate(_TOUCHABLE)}
        self._bits |= {f'button{index}': 1 << (len(_TOUCHABLE) + index)
                       for index in range(buttons)}
        self._any_button = sum(bit for name, bit in self._bits.items() if 'button' in name)
        self._table = np.zeros((model.ngeom, model.ngeom), np.int64)
        for key, bit in self._bits.items():
            mine = np.array([name == key if key[-1].isdigit() else name.startswith(key)
                             for name in names])
            self._table |= np.where((mine[:, None] | mine[None, :]) & touching, bit, 0)

    def touched(self) -> int:
        """Return one bit for each kind of object that the robot touches now."""
        if not self._data.ncon:
            return 0
        first, second = self._data.contact.geom.T
        return int(np.bitwise_or.reduce(self._table[first, second]))

    def bit(self, name: str) -> int:
        """Return the bit of 'vase', 'gremlin', 'pillar' or of one button."""
        return self._bits[name]

    def other_buttons(self, goal_button: int) -> int:
        """Return the bits of all buttons but one."""
        return self._any_button & ~self._bits[f'button{goal_button}']


class VaseSpeeds:
    """Whether any vase moves faster than the threshold above which motion costs."""

    def __init__(self, task: BaseTask, arena: Arena) -> None:
        self._model, self._data = arena.model, arena.data
        self._threshold: float = task.vases.velocity_threshold
        self._bodies = [arena.body_of[f'vase{index}'] for index in range(task.vases.num)]
        addresses = self._model.jnt_dofadr[self._model.body_jntadr[self._bodies]]
        self._dofs = addresses[:, None] + np.arange(3)
        self._jacobian = np.zeros((3, self._model.nv))

    def exceed(self) -> bool:
        """
        Return whether any vase is fast.

        The plain package multiplies the Jacobian with all velocities. A free body's first three
        velocities are the same up to rounding, so only near the threshold the product decides.
        """
        velocities = self._data.qvel[self._dofs]
        speeds = np.sqrt(np.einsum('ij,ij->i', velocities, velocities))
        fastest = float(speeds.max())
        if abs(speeds - self._threshold).min() > _SPEED_SLACK:
            return fastest >= self._threshold
        return any(self._exact(body) >= self._threshold for body in self._bodies)

    def _exact(self, body: int) -> float:
        self._jacobian[:] = 0.0
        mujoco.mj_jacBody(self._model, self._data, self._jacobian, None, body)
        velocity: NDArray[np.float64] = np.dot(self._jacobian, self._data.qvel)
        return float(np.sqrt(np.sum(np.square(velocity))))
