# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A compiled MuJoCo model whose objects can be put elsewhere without compiling it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from spowl_ros.sim.fast.layout import Position

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

_POSE_IN_WELD = slice(0, 10)
"""Of a weld constraint's data: anchor and relative pose, which MuJoCo derives when it is zero."""


class Arena:
    """
    The model and data of one task.

    The plain package writes XML with the new poses at each reset and compiles it, half a second.
    Compilation stores the poses in a few arrays and derives constants from them (`mj_setConst`);
    `place` does just that, half a millisecond, and leaves every array that physics reads equal to
    a compiled one's, bit for bit.
    """

    def __init__(self, task: BaseTask) -> None:
        """Take over the model that the task has built; it must have been reset once."""
        self.model: mujoco.MjModel = task.model
        self.data: mujoco.MjData = task.data
        model = self.model
        self.names = list(task.placements_conf.placements)
        """The robot ('agent') and the objects, in the order of their random rotations."""
        # a gremlin is two bodies: a mocap and the thing
        bodies = [model.body(f'{name}obj' if name.startswith('gremlin') else name).id
                  for name in self.names]
        self.body_of = dict(zip(self.names, bodies, strict=True))
        self._bodies = np.array(bodies)
        first = model.body_jntadr[self._bodies]  # -1: none
        free = (first >= 0) & (model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE)
        self._free_bodies = self._bodies[free]
        self._free_poses = model.jnt_qposadr[first[free]][:, None] + np.arange(7)
        rows = [row for row, name in enumerate(self.names) if name.startswith('gremlin')]
        self._mocap_rows = np.array(rows, np.intp)
        self._mocap_geoms = np.array([model.geom(f'{self.names[row]}mocap').id for row in rows],
                                     np.intp)
        self._welds = np.flatnonzero(model.eq_type == mujoco.mjtEq.mjEQ_WELD)

    def place(self, layout: Mapping[str, Position], turns: NDArray[np.float64]) -> None:
        """
        Put everything at its place and the simulation back to its beginning.

        :param layout: x and y in metres by name
        :param turns: rotations about the vertical in radians, in the order of `names`
        """
        model = self.model
        half = turns / 2
        quaternions = np.zeros((len(half), 4))
        quaternions[:, 0] = np.cos(half)
        quaternions[:, 3] = np.sin(half)
        places = np.array([layout[name] for name in self.names])
        model.body_pos[self._bodies, :2] = places
        model.body_quat[self._bodies] = quaternions
        poses = np.concatenate((model.body_pos, model.body_quat), axis=1)[self._free_bodies]
        model.qpos0[self._free_poses] = poses
        model.qpos_spring[self._free_poses] = poses
        model.geom_pos[self._mocap_geoms, :2] = places[self._mocap_rows]
        model.geom_quat[self._mocap_geoms] = quaternions[self._mocap_rows]
        model.eq_data[self._welds, _POSE_IN_WELD] = 0.0
        self.data.mocap_pos[:] = 0.0  # where they are at compilation; the welds depend on it
        mujoco.mj_setConst(model, self.data)
        mujoco.mj_resetData(model, self.data)

    def move_goal(self, position: Position) -> None:
        """
        Put the goal elsewhere during an episode; x and y in metres.

        Its place in the world is set here too: where bodies at rest sleep, MuJoCo does not compute
        again where those stand that never move.
        """
        goal = self.body_of['goal']
        moved = np.array([*position, self.model.body_pos[goal, 2]]) - self.data.xpos[goal]
        self.model.body_pos[goal, :2] = position
        self.data.xpos[goal] = self.model.body_pos[goal]
        self.data.xipos[goal] += moved
        for places, owners in ((self.data.geom_xpos, self.model.geom_bodyid),
                               (self.data.site_xpos, self.model.site_bodyid)):
            places[owners == goal] += moved
