# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recorded scene: drawn, coloured by what was decided, and written as a video."""

from __future__ import annotations

import math
from pathlib import Path
import threading

import imageio_ffmpeg
from PIL import Image
import pytest
from visualization_msgs.msg import Marker, MarkerArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.decision import SOURCES, Decision
from spowl_ros.control.plan import Plan
from spowl_ros.control.run_record import RunRecord
from spowl_ros.drawing import outline, picture, video

PERIOD_NS = 100_000_000
PLAN = Plan('plan', (1.0, -0.5), (0.2, 0.2), 5.0, 4.0, 0.1, 0.2, 4.0, 0.5, 4.0, 0.5, 60,
                  0.1, 3)


def marker(kind: str, number: int, x: float, y: float, shape: int = Marker.CYLINDER,
           yaw: float = 0.0) -> Marker:
    """Return a solid of half a metre by a quarter."""
    result = Marker(ns=kind, id=number, type=shape, action=Marker.ADD)
    result.pose.position.x, result.pose.position.y = x, y
    result.pose.orientation.z, result.pose.orientation.w = math.sin(yaw / 2), math.cos(yaw / 2)
    result.scale.x, result.scale.y = 0.5, 0.25
    return result


def scene(x: float) -> MarkerArray:
    """Return a robot at (x, 0), a goal and a hazard."""
    return MarkerArray(markers=[marker('robot', 0, x, 0.0), marker('goal', 1, 1.5, 1.0),
                                marker('hazards', 2, -1.0, -1.0)])


def recording(moments: int) -> video.Recording:
    """Return the recording of a straight drive in which each source has its turn."""
    result = video.Recording(RunRecord('SafetyPointGoal1-v0'))
    for step in range(moments):
        result.add_markers(scene(0.02 * step))
        source = SOURCES[step % len(SOURCES)]
        result.add_decision(Decision(step, step * PERIOD_NS, (1.0, 0.0), source, '', plan=PLAN,
                                     seconds={'total': 0.01}))
    return result


@pytest.mark.parametrize('source', SOURCES)
def test_the_source_is_written_in_its_colour(source: str) -> None:
    """The badge in the panel has the colour of the decision's source."""
    moment = recording(SOURCES.index(source) + 1).moments[-1]
    image = picture.Painter(picture.view_of([moment])).paint(moment)
    assert image.size == (picture.SCENE_PX + picture.PANEL_PX, picture.SCENE_PX)
    badge = (picture.SidePanel.LEFT + 4, 116)
    assert image.getpixel(badge) == picture.SOURCE_COLOURS[source]


def test_the_robot_is_drawn_where_it_is() -> None:
    """North is up, east is right."""
    moment = recording(1).moments[0]
    painter = picture.Painter(((0.0, 0.0), 4.0))
    image = painter.paint(moment)
    goal = (picture.SCENE_PX * (0.5 + 1.5 / 4), picture.SCENE_PX * (0.5 - 1.0 / 4))
    red, green, blue = image.getpixel((round(goal[0]), round(goal[1])))
    assert green > red
    assert green > blue


def test_a_turned_box_has_turned_corners() -> None:
    """A box a quarter turn round is as wide as it was long."""
    seen = outline.outline_of(marker('vases', 0, 1.0, 2.0, Marker.CUBE, math.pi / 2))
    xs, ys = zip(*seen.points, strict=True)
    assert (min(xs), max(xs)) == pytest.approx((0.875, 1.125))
    assert (min(ys), max(ys)) == pytest.approx((1.75, 2.25))


def test_cost_since_the_last_decision_is_marked() -> None:
    """The moment at which cost appears is known."""
    record = RunRecord('SafetyPointGoal1-v0')
    result = video.Recording(record)
    result.add_markers(scene(0.0))
    for step, cost in enumerate((0.0, 2.0, 2.0)):
        record.cost = cost
        result.add_decision(Decision(step, step * PERIOD_NS, (0.0, 0.0), 'policy', '',
                                     seconds={'total': 0.01}))
    assert [moment.cost_now for moment in result.moments] == [0.0, 2.0, 0.0]


def test_a_gif_has_a_picture_for_each_decision(tmp_path: Path) -> None:
    """Each decision is seen for half its time, the last for a second."""
    file = tmp_path / 'run.gif'
    recording(6).write(file, threading.Event())
    with Image.open(file) as image:
        assert image.n_frames == 6
        assert image.info['duration'] == PERIOD_NS / 2e6


def test_an_mp4_plays(tmp_path: Path) -> None:
    """The file holds the pictures and a still of a second."""
    file = tmp_path / 'run.mp4'
    recording(6).write(file, threading.Event())
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(file))
    assert frames == 6 + 20
    assert seconds == pytest.approx(frames * 0.05, abs=0.05)


def test_nothing_seen_is_an_error(tmp_path: Path) -> None:
    """A run without markers says so instead of writing an empty file."""
    with pytest.raises(SpowlError, match='no markers and decisions'):
        recording(0).write(tmp_path / 'run.gif', threading.Event())
    assert not list(tmp_path.iterdir())
