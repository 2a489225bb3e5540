# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a recording for the Rerun viewer: scene, scans, path, curves and their layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rerun
import rerun.blueprint as layout

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import check_writable, whole
from spowl_ros.drawing.picture import FAINT, KIND_COLOURS, SOURCE_COLOURS
from spowl_ros.view.frame import History

if TYPE_CHECKING:
    from spowl_ros.view.frame import Frame, Scene, Solid
    from spowl_ros.view.recording import BagFrames

CURVES = {'value': ('plan_value', 'policy_value', 'value_low'),
          'cost_value': ('plan_cost_value', 'policy_cost_value', 'cost_value_high')}
COLOURS = {'plan': SOURCE_COLOURS['plan'], 'policy': SOURCE_COLOURS['policy'],
           'value': SOURCE_COLOURS['stop'], 'cost': SOURCE_COLOURS['stop']}
"""First word of a curve's name to its colour."""


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
    for curve in (name for names in CURVES.values() for name in names):
        group = 'cost_value' if 'cost' in curve else 'value'
        stream.log(f'{group}/{curve}', rerun.SeriesLines(
            colors=COLOURS[curve.partition('_')[0]], names=curve), static=True)
    first = frames.frame(0).decision
    assert first is not None
    history, before = History(), None
    for moment in frames.moments:
        frame, decision = moment.frame, moment.frame.decision
        assert decision is not None
        stream.set_time('time', duration=(decision.now_ns - first.now_ns) * 1e-9)
        history.add(decision, None if frame.scene is None else frame.scene.robot)
        if frame.scene is not None:
            _log_scene(stream, frame.scene, before)
            before = frame.scene
        _log_decision(stream, frame, history, moment.cost_after)
    stream.flush()
    stream.disconnect()


def _layout() -> layout.Blueprint:
    """Return the layout: scene on the left, curves and reasons on the right."""
    return layout.Blueprint(
        layout.Horizontal(
            layout.Spatial3DView(origin='/world', name='scene'),
            layout.Vertical(
                layout.TimeSeriesView(origin='/value', name='value (more is better)'),
                layout.TimeSeriesView(origin='/cost_value', name='cost value (less is better)'),
                layout.TimeSeriesView(origin='/outcome', name='return and cost'),
                layout.TextLogView(origin='/source', name='who acts, and why')),
            column_shares=(3, 2)),
        collapse_panels=True)


def _log_scene(stream: rerun.RecordingStream, scene: Scene, before: Scene | None) -> None:
    """Log what moved since the previous scene."""
    known = {solid.name: solid for solid in before.solids} if before is not None else {}
    for solid in scene.solids:
        if known.get(solid.name) is not solid:
            stream.log(f'world/{solid.name}', _shape(solid))


def _shape(solid: Solid) -> rerun.Boxes3D | rerun.Cylinders3D | rerun.Ellipsoids3D:
    half = np.array(solid.scale) / 2
    w, x, y, z = solid.orientation
    turn = rerun.Quaternion(xyzw=(x, y, z, w))
    colour = KIND_COLOURS.get(solid.kind, FAINT)
    fill = rerun.components.FillMode.Solid
    if solid.form == 'box':
        return rerun.Boxes3D(half_sizes=[half], centers=[solid.position], quaternions=[turn],
                             colors=[colour], fill_mode=fill)
    if solid.form == 'sphere':
        return rerun.Ellipsoids3D(half_sizes=[half], centers=[solid.position], colors=[colour],
                                  quaternions=[turn], fill_mode=fill)
    return rerun.Cylinders3D(lengths=[solid.scale[2]], radii=[half[0]], colors=[colour],
                             centers=[solid.position], quaternions=[turn], fill_mode=fill)


def _log_decision(stream: rerun.RecordingStream, frame: Frame, history: History,
                  cost: float) -> None:
    """Log the acting source and its reason, the curves, the outcome, the path and the scans."""
    decision = frame.decision
    assert decision is not None
    if decision.plan is not None:
        for group, names in CURVES.items():
            for name in names:
                stream.log(f'{group}/{name}', rerun.Scalars(getattr(decision.plan, name)))
    stream.log('outcome/return', rerun.Scalars(frame.episode_return))
    stream.log('outcome/cost', rerun.Scalars(frame.cost))
    level = 'WARN' if cost > 0.0 or decision.source in ('monitor', 'stop') else 'INFO'
    text = ': '.join(filter(None, (decision.source, decision.reason)))
    stream.log('source', rerun.TextLog(text + (f' (cost {cost:g})' if cost else ''), level=level))
    if len(history.path) > 1:
        (x0, y0, source), (x1, y1, _) = history.path[-2], history.path[-1]
        stream.log(f'world/path/{decision.step}', rerun.LineStrips3D(
            [[(x0, y0, 0.02), (x1, y1, 0.02)]], colors=[SOURCE_COLOURS[source]], radii=[0.015]))
    if frame.scene is not None and frame.scans:
        robot = frame.scene.robot
        points = np.concatenate(frame.scans)
        cos, sin = np.cos(robot.heading), np.sin(robot.heading)
        turned = points @ np.array(((cos, sin), (-sin, cos))) + robot.position[:2]
        stream.log('world/scans', rerun.Points3D(
            np.column_stack((turned, np.full(len(turned), 0.1))), colors=[FAINT], radii=[0.03]))
