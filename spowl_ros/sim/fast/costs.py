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

_KINDS = ('vase', 'gremlin', 'pillar')
"""Objects whose names are numbered."""
_SPEED_SLACK = 1e-9
"""Metres a second by which the quick speed of a vase may miss SafetyGymnasium's."""


class Contacts:
    """Which objects the robot touches, by the names of the geoms in contact."""

    def __init__(self, task: BaseTask, arena: Arena) -> None:
        self._data = arena.data
        names = [arena.model.geom(geom).name for geom in range(arena.model.ngeom)]
        self._kinds = [next((kind for kind in _KINDS if name.startswith(kind)), name)
                       for name in names]
        self._of_robot = [name in task.agent.body_info.geom_names for name in names]

    def touched(self) -> set[str]:
        """Return what the robot touches now: 'vase', 'gremlin', 'pillar', and others by name."""
        return {self._kinds[geom] for pair in self._data.contact.geom.tolist()
                if any(self._of_robot[geom] for geom in pair) for geom in pair}


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
