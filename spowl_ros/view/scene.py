# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page's scene: what lies around, and where the robot drove."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
import viser

from spowl_ros.drawing.picture import FAINT, KIND_COLOURS, SOURCE_COLOURS, ZONES
from spowl_ros.view import words
from spowl_ros.view.frame import Frame, History, Scene, Solid

PATH_HEIGHT, ZONE_HEIGHT = 0.02, 0.01
"""Metres above the floor."""
JUMP_M = 0.7
"""Two points of a path this far apart are of two episodes, with no line between them."""
_NO_POINTS = np.zeros((0, 2))
_ABSENT: Any = None


class SceneView:
    """Draws solids, margins, scans, the robot's path, and who acts."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._solids: dict[str, tuple[Solid, Any]] = {}
        server.scene.add_grid('/floor', width=40.0, height=40.0, cell_size=1.0, section_size=5.0,
                              position=(0.0, 0.0, 0.0))
        server.initial_camera.position = (0.6, -2.3, 3.1)  # the panel covers the right
        server.initial_camera.look_at = (0.6, -0.1, 0.0)
        scene = server.scene
        ahead = np.array([[[0.24, 0.0, 0.0], [0.46, 0.0, 0.0]]])
        self._ring = scene.add_line_segments('/ring', np.concatenate((_circle(0.24), ahead)),
                                             colors=FAINT, thickness=0.03)
        self._scans = scene.add_point_cloud('/scans', _flat(_NO_POINTS), colors=FAINT,
                                            point_size=0.05)
        nothing: dict[str, Any] = {'points': np.zeros((1, 2, 3)), 'visible': False}
        self._path = scene.add_line_segments('/path', colors=np.zeros((1, 2, 3), np.uint8),
                                             thickness=0.03, **nothing)
        self._margins = scene.add_line_segments('/margins', colors=SOURCE_COLOURS['monitor'],
                                                thickness=0.015, **nothing)

    def show(self, frame: Frame, history: History) -> None:
        """Draw a frame."""
        scene = frame.scene or Scene((), (0.0, 0.0, 0.1), 0.0)
        self._show_solids(scene.solids)
        self._show_margins(scene.solids, frame.margin)
        self._show_robot(scene, frame)
        self._show_path(history)

    def _show_solids(self, solids: tuple[Solid, ...]) -> None:
        """Move existing solids, add new ones, remove those that are gone."""
        present = {solid.name: solid for solid in solids}
        for name in self._solids.keys() - present.keys():
            self._solids.pop(name)[1].remove()
        for name, solid in present.items():
            before, handle = self._solids.get(name, (None, _ABSENT))
            if before is None or (before.kind, before.form, before.scale) != (
                    solid.kind, solid.form, solid.scale):
                handle = self._add(solid)
            elif before != solid:
                handle.position, handle.wxyz = solid.position, solid.orientation
            self._solids[name] = solid, handle

    def _add(self, solid: Solid) -> Any:
        name = f'/scene/{solid.name}'
        radius = solid.scale[0] / 2
        look: dict[str, Any] = {
            'color': KIND_COLOURS.get(solid.kind, FAINT),
            'opacity': 0.7 if solid.kind in ZONES else None,
            'position': solid.position, 'wxyz': solid.orientation}
        if solid.form == 'box':
            return self._server.scene.add_box(name, dimensions=solid.scale, **look)
        if solid.form == 'sphere':
            return self._server.scene.add_icosphere(name, radius=radius, **look)
        return self._server.scene.add_cylinder(
            name, radius=radius, height=max(solid.scale[2], ZONE_HEIGHT), **look)

    def _show_margins(self, solids: tuple[Solid, ...], margin: float) -> None:
        """Draw a circle around each hazard, `margin` metres from its edge."""
        circles = [_circle(solid.scale[0] / 2 + margin)
                   + (solid.position[0], solid.position[1], PATH_HEIGHT)
                   for solid in solids if solid.kind == 'hazards' and margin > 0.0]
        self._margins.visible = bool(circles)
        if circles:
            self._margins.points = np.concatenate(circles).astype(np.float32)

    def _show_robot(self, scene: Scene, frame: Frame) -> None:
        """Draw a ring in the colour of the acting source, the heading, and the scan points."""
        colour = SOURCE_COLOURS[words.acting(frame)]
        x, y, z = scene.robot
        turn = (math.cos(scene.heading / 2), 0.0, 0.0, math.sin(scene.heading / 2))
        self._ring.colors = np.array(colour, np.uint8)
        self._scans.points = _flat(
            np.concatenate((_NO_POINTS, *frame.scans))).astype(np.float32)
        for handle in (self._ring, self._scans):
            handle.position, handle.wxyz = (x, y, max(z, 0.1)), turn

    def _show_path(self, history: History) -> None:
        """Draw the path, each segment in the colour of the source that chose it."""
        if len(history.path) < 2:
            self._path.visible = False
            return
        points = _flat(np.array([(x, y) for x, y, _ in history.path])) + (0.0, 0.0, PATH_HEIGHT)
        colours = _linear([SOURCE_COLOURS[source] for *_, source in history.path])
        lines = np.stack((points[:-1], points[1:]), axis=1)
        driven = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1) < JUMP_M
        self._path.points = lines[driven].astype(np.float32)
        self._path.colors = np.repeat(colours[:-1][driven, None], 2, axis=1)
        self._path.visible = bool(driven.any())


def _linear(colours: ArrayLike) -> NDArray[np.uint8]:
    """Return sRGB colours (…, 3), 0 to 255, linear (IEC 61966), as points of lines do."""
    share = np.asarray(colours, np.float64) / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.round(255.0 * linear).astype(np.uint8)


def _circle(radius: float) -> NDArray[np.float64]:
    """Return a circle of this radius in metres, shape (segments, 2, 3)."""
    turn = np.linspace(0.0, 2.0 * math.pi, 33)
    points = _flat(radius * np.stack((np.cos(turn), np.sin(turn)), axis=-1))
    return np.stack((points[:-1], points[1:]), axis=1)


def _flat(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of the floor, shape (n, 2), as points in space, shape (n, 3)."""
    return np.column_stack((points, np.zeros(len(points))))
