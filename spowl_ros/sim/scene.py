# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The scene: where everything is, for markers and pictures."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

_FORMS = ('sphere', 'capsule', 'ellipsoid', 'cylinder', 'box')


@dataclass(frozen=True, slots=True)
class Shape:
    """One solid, or one zone on the floor."""

    name: str
    kind: str
    """'robot', or the class of objects: 'goal', 'hazards', 'vases', 'gremlins', …"""
    form: str
    """'sphere', 'capsule', 'ellipsoid', 'cylinder' or 'box'; its axis is its own z."""
    size: tuple[float, float, float]
    """Half extents along its own axes, metres; a capsule's round ends are included."""
    position: tuple[float, float, float]
    """Metres, world frame, z up."""
    orientation: tuple[float, float, float, float]
    """Quaternion w, x, y, z, own axes to world."""
    colour: tuple[float, float, float, float]
    """Red, green, blue and opacity, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SimulatedScene:
    """One moment."""

    shapes: tuple[Shape, ...]
    robot: tuple[float, float, float]
    """Position of the robot's centre, metres."""
    heading: float
    """Direction of the robot's own x axis about the vertical, radians."""


def read(task: BaseTask) -> SimulatedScene:
    """Return the scene of a SafetyGymnasium task as the physics last computed it."""
    model, data = task.model, task.data
    robot = model.body('agent').id
    rotation = data.xmat[robot]
    kinds = {obstacle.name[:-1] if hasattr(obstacle, 'num') else obstacle.name: obstacle.name
             for obstacle in task._obstacles}
    shapes = []
    for geom in range(model.ngeom):
        body = model.geom_bodyid[geom]
        if body == 0:
            continue
        name = model.body(body).name
        kind = 'robot' if model.body_rootid[body] == robot else kinds.get(
            name.removesuffix('obj').rstrip('0123456789'))
        form = mujoco.mjtGeom(int(model.geom_type[geom])).name.removeprefix('mjGEOM_').lower()
        if kind is None or form not in _FORMS:
            continue
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, data.geom_xmat[geom])
        x, y, z = data.geom_xpos[geom].tolist()
        w, i, j, k = quaternion.tolist()
        red, green, blue, opacity = map(float, model.geom_rgba[geom])
        shapes.append(Shape(model.geom(geom).name or name, kind, form,
                            _half_extents(model, geom, form), (x, y, z), (w, i, j, k),
                            (red, green, blue, opacity)))
    x, y, z = data.xpos[robot].tolist()
    return SimulatedScene(tuple(shapes), (x, y, z), math.atan2(rotation[3], rotation[0]))


def _half_extents(model: mujoco.MjModel, geom: int, form: str) -> tuple[float, float, float]:
    """Return half extents for MuJoCo's (radius), (radius, half length) or (x, y, z)."""
    x, y, z = map(float, model.geom_size[geom])
    round_ones = {'sphere': (x, x, x), 'cylinder': (x, x, y), 'capsule': (x, x, y + x)}
    return round_ones.get(form, (x, y, z))
