# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Converts a scene to markers for RViz and similar tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from spowl_ros.ros.frames import WORLD
from spowl_ros.sim.scene import SimulatedScene

PATH = 'path'
"""Namespace of the line of the robot's path."""
_FORMS = {'sphere': Marker.SPHERE, 'ellipsoid': Marker.SPHERE, 'cylinder': Marker.CYLINDER,
          'capsule': Marker.CYLINDER, 'box': Marker.CUBE}
_PATH_WIDTH = 0.02


def markers(scene: SimulatedScene, path: Sequence[tuple[float, float, float]], stamp: Any
            ) -> MarkerArray:
    """
    Return everything in the scene, the robot first, then the path.

    A marker's namespace is the kind of thing: 'robot', 'goal', 'hazards', …

    :param path: past positions of the robot's centre, metres
    :param stamp: builtin_interfaces/Time
    """
    result = MarkerArray()
    shapes = sorted(scene.shapes, key=lambda shape: shape.kind != 'robot')
    for number, shape in enumerate(shapes):
        marker = _marker(shape.kind, number, _FORMS[shape.form], stamp)
        position, orientation = marker.pose.position, marker.pose.orientation
        position.x, position.y, position.z = shape.position
        orientation.w, orientation.x, orientation.y, orientation.z = shape.orientation
        marker.scale.x, marker.scale.y, marker.scale.z = (2.0 * half for half in shape.size)
        marker.color.r, marker.color.g, marker.color.b, marker.color.a = shape.colour
        result.markers.append(marker)
    line = _marker(PATH, 0, Marker.LINE_STRIP, stamp)
    line.scale.x = _PATH_WIDTH
    line.color.r = line.color.a = 1.0
    line.points = [Point(x=x, y=y, z=z) for x, y, z in path]
    result.markers.append(line)
    return result


def _marker(namespace: str, number: int, form: int, stamp: Any) -> Marker:
    marker = Marker(ns=namespace, id=number, type=form, action=Marker.ADD)
    marker.header.frame_id = WORLD
    marker.header.stamp = stamp
    marker.pose.orientation.w = 1.0
    return marker
