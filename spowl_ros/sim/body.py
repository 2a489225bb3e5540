# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The robot's body: its URDF, and the poses of its links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import functools
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import mujoco
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

BASE = 'base_link'
"""Name of the root link."""
_KINDS = {mujoco.mjtJoint.mjJNT_HINGE: 'revolute', mujoco.mjtJoint.mjJNT_SLIDE: 'prismatic'}
_UNLIMITED = ('0', '0')
_GREATEST = '1000'
"""URDF demands limits of force and speed, which MuJoCo does not have."""
Vector = Sequence[float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Position and orientation of one frame in another."""

    position: tuple[float, float, float]
    """Metres."""
    orientation: tuple[float, float, float, float]
    """Quaternion w, x, y, z."""

    def __matmul__(self, inner: Pose) -> Pose:
        """Return the pose of a frame that has the pose `inner` in this one."""
        position, orientation = np.empty(3), np.empty(4)
        mujoco.mju_mulPose(position, orientation, *map(np.array, (
            self.position, self.orientation, inner.position, inner.orientation)))
        return _pose(position, orientation)

    def inverse(self) -> Pose:
        """Return the pose of the outer frame in this one."""
        position, orientation = np.empty(3), np.empty(4)
        mujoco.mju_negPose(position, orientation, np.array(self.position),
                           np.array(self.orientation))
        return _pose(position, orientation)


@dataclass(frozen=True, slots=True)
class Link:
    """One link at one moment."""

    name: str
    parent: str
    """Name of its parent link; empty for the root."""
    pose: Pose
    """In the parent; the root's in the world."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """What does not change of a link: the whole of a MuJoCo body, or a part between its hinges."""

    name: str
    parent: str
    body: int
    joint: int
    """Between it and its parent; -1 is a fixed one."""
    origin: Pose
    """Of the joint in the parent."""
    has_shape: bool
    """It is the last one of its body."""


class Body:
    """
    Reads the robot of a SafetyGymnasium task that has been reset: before, it may not be built.

    Each MuJoCo body is a link, and the one named 'agent' is the root. A body with several hinges
    has a further link, without a shape, for each hinge but the last. Joints keep their names.
    Joints that URDF does not know, and hinges away from the body's origin, are 'floating'.
    """

    def __init__(self, task: BaseTask) -> None:
        self._task = task

    @functools.cached_property
    def urdf(self) -> str:
        """Return the URDF; shapes are boxes, cylinders and spheres, without masses."""
        model = self._task.model
        root = Element('robot', name=f'{type(self._task.agent).__name__.lower()}')
        for segment in self._segments:
            link = SubElement(root, 'link', name=segment.name)
            if segment.has_shape:
                for geom in _of_body(model.body_geomadr, model.body_geomnum, segment.body):
                    _add_shape(link, model, geom)
            if segment.parent:
                _add_joint(root, model, segment)
        indent(root)
        return tostring(root, encoding='unicode')

    def upright(self) -> float:
        """Return the cosine of the body's tilt: 1 is upright, -1 is on its back."""
        return float(self._task.data.body('agent').xmat[8])

    def links(self) -> tuple[Link, ...]:
        """Return every link as the physics last computed it, parents first."""
        model, data = self._task.model, self._task.data
        found = []
        inner: list[Pose] = []  # of the body's links before its last
        for segment in self._segments:
            if not segment.has_shape:
                turned = np.empty(4)
                at = model.jnt_qposadr[segment.joint]
                mujoco.mju_axisAngle2Quat(turned, model.jnt_axis[segment.joint],
                                          data.qpos[at] - model.qpos0[at])
                pose = segment.origin @ _pose(np.zeros(3), turned)
                inner.append(pose)
            else:
                pose = _pose(data.xpos[segment.body], data.xquat[segment.body])
                if segment.parent:
                    above = model.body_parentid[segment.body]
                    pose = _pose(data.xpos[above], data.xquat[above]).inverse() @ pose
                for step in inner:
                    pose = step.inverse() @ pose
                inner = []
            found.append(Link(segment.name, segment.parent, pose))
        return tuple(found)

    @functools.cached_property
    def _segments(self) -> list[_Segment]:
        """Return the robot's links, parents first."""
        model = self._task.model
        root = model.body('agent').id
        found: list[_Segment] = []
        names: dict[int, str] = {}  # of the bodies' last links
        for body in np.flatnonzero(model.body_rootid == root).tolist():
            parent = names.get(model.body_parentid[body], '')
            origin = _pose(model.body_pos[body], model.body_quat[body])
            joints = _of_body(model.body_jntadr, model.body_jntnum, body) if parent else ()
            *inner, last = joints or (-1,)
            for joint in inner:
                name = str(model.joint(joint).name)
                found.append(_Segment(name, parent, body, joint, origin, False))
                parent, origin = name, _HERE
            names[body] = BASE if body == root else str(
                model.body(body).name or model.joint(last).name)
            found.append(_Segment(names[body], parent, body, last, origin, True))
        return found


def _pose(position: NDArray[np.float64], orientation: NDArray[np.float64]) -> Pose:
    (x, y, z), (w, i, j, k) = position.tolist(), orientation.tolist()
    return Pose((x, y, z), (w, i, j, k))


_HERE = Pose((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


def _of_body(first: NDArray[np.int32], number: NDArray[np.int32], body: int) -> range:
    """Return the joints or geoms of a body, from MuJoCo's tables of the first and their number."""
    return range(first[body], first[body] + number[body])


def _add_shape(link: Element, model: mujoco.MjModel, geom: int) -> None:
    """Add a geom to a link; a capsule is a cylinder with two spheres, other forms are left out."""
    form = model.geom_type[geom]
    a, b, c = model.geom_size[geom].tolist()
    here = _pose(model.geom_pos[geom], model.geom_quat[geom])
    shapes: list[tuple[str, dict[str, Vector], Pose]] = []
    if form == mujoco.mjtGeom.mjGEOM_BOX:
        shapes.append(('box', {'size': (2 * a, 2 * b, 2 * c)}, here))
    elif form == mujoco.mjtGeom.mjGEOM_SPHERE:
        shapes.append(('sphere', {'radius': (a,)}, here))
    elif form in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE):
        shapes.append(('cylinder', {'radius': (a,), 'length': (2 * b,)}, here))
        if form == mujoco.mjtGeom.mjGEOM_CAPSULE:
            ends = (Pose((0.0, 0.0, end), _HERE.orientation) for end in (-b, b))
            shapes += [('sphere', {'radius': (a,)}, here @ end) for end in ends]
    for kind, size, pose in shapes:
        visual = SubElement(link, 'visual')
        _add_origin(visual, pose)
        SubElement(SubElement(visual, 'geometry'), kind, {
            name: _text(value) for name, value in size.items()})
        colour = model.geom_rgba[geom].tolist()
        material = SubElement(visual, 'material', name='rgba ' + _text(colour))
        SubElement(material, 'color', rgba=_text(colour))


def _add_joint(robot: Element, model: mujoco.MjModel, segment: _Segment) -> None:
    """Add the joint between a link and its parent."""
    joint, kind, name = segment.joint, 'fixed', f'{segment.name}_fixed'
    if joint >= 0:
        name = str(model.joint(joint).name)
        kind = 'floating' if model.jnt_pos[joint].any() else _KINDS.get(
            model.jnt_type[joint], 'floating')
    limited = joint >= 0 and bool(model.jnt_limited[joint])
    if kind == 'revolute' and not limited:
        kind = 'continuous'
    element = SubElement(robot, 'joint', name=name, type=kind)
    _add_origin(element, segment.origin)
    SubElement(element, 'parent', link=segment.parent)
    SubElement(element, 'child', link=segment.name)
    if kind not in ('fixed', 'floating'):
        SubElement(element, 'axis', xyz=_text(model.jnt_axis[joint]))
    if kind in ('revolute', 'prismatic'):
        low, high = map(_text, model.jnt_range[joint][:, None]) if limited else _UNLIMITED
        SubElement(element, 'limit', lower=low, upper=high, effort=_GREATEST,
                               velocity=_GREATEST)


def _add_origin(element: Element, pose: Pose) -> None:
    SubElement(element, 'origin', xyz=_text(pose.position),
                           rpy=_text(_roll_pitch_yaw(pose.orientation)))


def _roll_pitch_yaw(orientation: Vector) -> Vector:
    """Return URDF's angles of a quaternion: about the fixed x, then y, then z, radians."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.array(orientation))
    m = matrix.reshape(3, 3)
    pitch = np.arcsin(np.clip(-m[2, 0], -1.0, 1.0))
    if abs(m[2, 0]) > 1.0 - 1e-9:  # straight up or down: only the sum of roll and yaw matters
        return 0.0, float(pitch), float(np.arctan2(-m[0, 1], m[1, 1]))
    return (float(np.arctan2(m[2, 1], m[2, 2])), float(pitch),
            float(np.arctan2(m[1, 0], m[0, 0])))


def _text(numbers: Vector | NDArray[np.float64]) -> str:
    return ' '.join(f'{number:.6g}' for number in numbers)
