# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page shows at one moment, as plain values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.names import MARKERS, STATE
from spowl_ros.control.decision import Decision
from spowl_ros.drawing.outline import CUBE, CYLINDER, SPHERE, heading_of, solids

FORMS = {CUBE: 'box', SPHERE: 'sphere', CYLINDER: 'cylinder'}
HISTORY = 600
"""Number of decisions in curves and path."""


class ChartCurve(NamedTuple):
    """One curve of a chart."""

    column: str
    """A value of the plan, or `latency_ms`."""
    label: str
    source: str
    """The source whose colour it has."""


CHARTS = {
    'value (more is better)': (
        ChartCurve('plan_value', 'plan', 'plan'), ChartCurve('policy_value', 'policy', 'policy'),
        ChartCurve('value_low', 'least wanted', 'stop')),
    'cost value (less is better)': (
        ChartCurve('plan_cost_value', 'plan', 'plan'),
        ChartCurve('policy_cost_value', 'policy', 'policy'),
        ChartCurve('cost_value_high', 'most allowed', 'stop')),
    'latency, ms': (ChartCurve('latency_ms', 'decision', 'monitor'),)}


@dataclass(frozen=True, slots=True)
class Solid:
    """One solid of the scene, or one zone on the floor."""

    name: str
    kind: str
    """'robot', or the class of objects: 'goal', 'hazards', …"""
    form: str
    """'box', 'sphere' or 'cylinder'; a cylinder's axis is its own z."""
    scale: tuple[float, float, float]
    """Full extents along its own axes, metres."""
    position: tuple[float, float, float]
    """Metres, world frame, z up."""
    orientation: tuple[float, float, float, float]
    """Quaternion w, x, y, z."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Solids and robot of one moment."""

    solids: tuple[Solid, ...]
    robot: tuple[float, float, float]
    """Position of the robot, metres, world frame."""
    heading: float
    """Of the robot, seen from above; radians from x, counter-clockwise."""


@dataclass(frozen=True, slots=True)
class Health:
    """Status that one part reports."""

    name: str
    level: int
    """0 ok, 1 warning, 2 error, 3 stale."""
    message: str


@dataclass(frozen=True)
class Frame:
    """One moment of one robot."""

    name: str
    """The robot's namespace; empty: none."""
    scene: Scene | None = None
    """None: nobody publishes a scene."""
    scans: tuple[NDArray[np.float64], ...] = ()
    """Points that scans saw, each of shape (points, 2), metres in the robot's own frame."""
    decision: Decision | None = None
    """The last one; None before the first."""
    silence: float = math.inf
    """Seconds since the last decision."""
    episode: int = 1
    episode_return: float = math.nan
    cost: float = math.nan
    """Both of the episode until now; not-a-number: nobody tells them."""
    supervisor: Health | None = None
    diagnostics: tuple[Health, ...] = ()
    position: str = ''
    """Place in a recording; empty while live."""
    cost_after: float = 0.0
    """Cost until the next decision of a recording."""

    @property
    def margin(self) -> float:
        """Return the metres that `sensor_margin` keeps free; nan: it has not judged."""
        readings = () if self.decision is None else self.decision.readings
        return next((-each.limit for each in readings if each.monitor == 'sensor_margin'),
                    math.nan)


TOTALS = {'reward': 'episode_return', 'cost': 'cost'}
"""Topic to the field of a frame that sums it over the episode."""


class Present:
    """
    A robot's present frame, from the messages on its topics, of rclpy or of the bag library.

    :param heard: topics of TOTALS that somebody is known to speak on
    """

    def __init__(self, name: str, heard: Iterable[str] = ()) -> None:
        self._heard = set(heard)
        self._scans: dict[str, NDArray[np.float64]] = {}
        self.frame = Frame(name, episode=0)
        self.begin_episode()
        self.readers: dict[str, Callable[[Any], None]] = {
            MARKERS: self._on_markers, STATE: self._on_supervisor,
            **{topic: partial(self._on_part, topic) for topic in TOTALS}}
        """Topic to what takes its messages."""

    def begin_episode(self) -> None:
        """Count an episode, and begin its totals."""
        self._set(episode=self.frame.episode + 1,
                  **{TOTALS[topic]: 0.0 for topic in self._heard})

    def on_scan(self, topic: str, message: Any) -> None:
        """Take a laser scan."""
        self._scans[topic] = scan_points(message.ranges, message.angle_min,
                                         message.angle_increment)
        self._set(scans=tuple(self._scans.values()))

    def _on_markers(self, message: Any) -> None:
        """Take a scene; what stands still stays the same object, which a recording stores once."""
        if (scene := scene_of(message)) is not None:
            before = self.frame.scene.solids if self.frame.scene else ()
            same = {solid: solid for solid in before}
            self._set(scene=replace(scene, solids=tuple(
                same.get(solid, solid) for solid in scene.solids)))

    def _on_part(self, topic: str, message: Any) -> None:
        """Add a part of a total."""
        total = getattr(self.frame, TOTALS[topic]) if topic in self._heard else 0.0
        self._heard.add(topic)
        self._set(**{TOTALS[topic]: total + float(message.data)})

    def _on_supervisor(self, message: Any) -> None:
        level = message.level if isinstance(message.level, int) else message.level[0]
        self._set(supervisor=Health('supervisor', level, message.message))

    def _set(self, **values: Any) -> None:
        self.frame = replace(self.frame, **values)


@dataclass
class History:
    """The last decisions as columns, for curves and for the path."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """The node's clock, seconds."""
    columns: dict[str, deque[float]] = field(default_factory=dict)
    path: deque[tuple[float, float, str]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """Position of the robot, metres, and the source that acted there."""
    _begin: float = math.nan

    def add(self, decision: Decision, scene: Scene | None) -> None:
        """Take a decision and the scene in which it was made; step 0 begins a new path."""
        if decision.step == 0:
            self.times.clear()
            self.columns.clear()
            self.path.clear()
            self._begin = math.nan
        if math.isnan(self._begin):
            self._begin = decision.now_ns * 1e-9
        self.times.append(decision.now_ns * 1e-9 - self._begin)
        for curve in chain.from_iterable(CHARTS.values()):
            self._column(curve.column).append(_value(decision, curve.column))
        if scene is not None:
            self.path.append((*scene.robot[:2], decision.source))

    def curve(self, *names: str) -> tuple[NDArray[np.float64], ...]:
        """Return times in seconds, and the columns of these names, each of shape (decisions,)."""
        return (np.array(self.times), *(np.array(self._column(name)) for name in names))

    def _column(self, name: str) -> deque[float]:
        return self.columns.setdefault(name, deque(maxlen=HISTORY))


def _value(decision: Decision, column: str) -> float:
    """Return a decision's point of a curve; not-a-number if it has none."""
    if column == 'latency_ms':
        return decision.seconds.get('total', math.nan) * 1e3
    return getattr(decision.plan, column, math.nan)


def scene_of(message: Any) -> Scene | None:
    """
    Return the scene of a visualization_msgs/MarkerArray, from rclpy or from the bag library.

    :return: None if it shows no robot
    """
    bodies = solids(message)
    robot = next((marker.pose for marker in bodies if marker.ns == 'robot'), None)
    if robot is None:
        return None
    return Scene(tuple(map(_solid, bodies)), _vector(robot.position),
                 heading_of(robot.orientation))


def _solid(marker: Any) -> Solid:
    turn = marker.pose.orientation
    return Solid(f'{marker.ns}/{marker.id}', marker.ns, FORMS[marker.type], _vector(marker.scale),
                 _vector(marker.pose.position), (turn.w, turn.x, turn.y, turn.z))


def _vector(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def scan_points(ranges: Sequence[float], angle_min: float, angle_increment: float,
                ) -> NDArray[np.float64]:
    """
    Return the points of a scan, shape (points, 2), metres in the sensor's frame.

    :param ranges: metres; values that are not finite give no point (REP-117)
    :param angle_min: angle of the first, radians
    """
    distance = np.asarray(ranges, np.float64)
    angle = angle_min + angle_increment * np.arange(distance.size)
    points = np.stack((distance * np.cos(angle), distance * np.sin(angle)), axis=-1)
    return points[np.isfinite(distance)]
