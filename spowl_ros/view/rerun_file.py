# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a recording for the Rerun viewer: scene, scans, path, curves and their layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rerun
import rerun.blueprint as layout

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import check_writable, whole
from spowl_ros.control.decision import Decision
from spowl_ros.drawing.picture import FAINT, KIND_COLOURS, SOURCE_COLOURS
from spowl_ros.view.frame import CHARTS, Frame, History, Solid
from spowl_ros.view.recording import BagFrames

VALUES = {'value': 'value (more is better)', 'cost_value': 'cost value (less is better)'}
"""Entity of a chart to its title."""
CURVES = {f'{entity}/{curve.column}': curve
          for entity, title in VALUES.items() for curve in CHARTS[title]}


def write(frames: BagFrames, file: Path) -> None:
    """
    Write a recording, whole or not at all.

    :raises SpowlError: the file cannot be written
    """
    check_writable(file)
    with whole(file) as part:
        _write(frames, part)


def _write(frames: BagFrames, file: Path) -> None:
    stream = rerun.RecordingStream('spowl_ros')
    try:
        stream.save(file, default_blueprint=_layout())
    except (OSError, RuntimeError) as error:
        raise SpowlError(f'{file} cannot be written: {error}') from error
    for entity, curve in CURVES.items():
        stream.log(entity, rerun.SeriesLines(
            colors=SOURCE_COLOURS[curve.source], names=curve.column), static=True)
    begin_ns = frames.decisions[0].now_ns
    history = History()
    before: set[Solid] = set()
    for frame, decision in zip(frames.moments, frames.decisions):
        stream.set_time('time', duration=(decision.now_ns - begin_ns) * 1e-9)
        history.add(decision, frame.scene)
        if frame.scene is not None:
            for solid in frame.scene.solids:
                if solid not in before:  # it is new or has moved
                    stream.log(f'world/{solid.name}', _shape(solid))
            before = set(frame.scene.solids)
        _log_decision(stream, frame, decision, history)
    stream.flush()
    stream.disconnect()


def _layout() -> layout.Blueprint:
    """Return the layout: scene on the left, curves and reasons on the right."""
    return layout.Blueprint(
        layout.Horizontal(
            layout.Spatial3DView(origin='/world', name='scene'),
            layout.Vertical(
                *(layout.TimeSeriesView(origin=f'/{entity}', name=title)
                  for entity, title in VALUES.items()),
                layout.TimeSeriesView(origin='/outcome', name='return and cost'),
                layout.TextLogView(origin='/source', name='who acts, and why')),
            column_shares=(3, 2)),
        collapse_panels=True)


def _shape(solid: Solid) -> rerun.Boxes3D | rerun.Cylinders3D | rerun.Ellipsoids3D:
    half = np.array(solid.scale) / 2
    w, x, y, z = solid.orientation
    look: dict[str, Any] = {
        'centers': [solid.position], 'quaternions': [rerun.Quaternion(xyzw=(x, y, z, w))],
        'colors': [KIND_COLOURS.get(solid.kind, FAINT)],
        'fill_mode': rerun.components.FillMode.Solid}
    if solid.form == 'box':
        return rerun.Boxes3D(half_sizes=[half], **look)
    if solid.form == 'sphere':
        return rerun.Ellipsoids3D(half_sizes=[half], **look)
    return rerun.Cylinders3D(lengths=[solid.scale[2]], radii=[half[0]], **look)


def _log_decision(stream: rerun.RecordingStream, frame: Frame, decision: Decision,
                  history: History) -> None:
    """Log the acting source and its reason, the curves, the outcome, the path and the scans."""
    if decision.plan is not None:
        for entity, curve in CURVES.items():
            stream.log(entity, rerun.Scalars(getattr(decision.plan, curve.column)))
    stream.log('outcome/return', rerun.Scalars(frame.episode_return))
    stream.log('outcome/cost', rerun.Scalars(frame.cost))
    cost = frame.cost_after
    level = 'WARN' if cost > 0.0 or decision.source in ('monitor', 'stop') else 'INFO'
    text = ': '.join(filter(None, (decision.source, decision.reason)))
    stream.log('source', rerun.TextLog(text + (f' (cost {cost:g})' if cost else ''), level=level))
    if len(history.path) > 1:
        (x0, y0, source), (x1, y1, _) = history.path[-2], history.path[-1]
        stream.log(f'world/path/{decision.step}', rerun.LineStrips3D(
            [[(x0, y0, 0.02), (x1, y1, 0.02)]], colors=[SOURCE_COLOURS[source]], radii=[0.015]))
    if frame.scene is not None and frame.scans:
        points, heading = np.concatenate(frame.scans), frame.scene.heading
        cos, sin = np.cos(heading), np.sin(heading)
        turned = points @ np.array(((cos, sin), (-sin, cos))) + frame.scene.robot[:2]
        stream.log('world/scans', rerun.Points3D(
            np.column_stack((turned, np.full(len(turned), 0.1))), colors=[FAINT], radii=[0.03]))
