# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The markers of a scene as outlines seen from above; draws nothing and needs no library."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

CUBE, SPHERE, CYLINDER = 1, 2, 3  # visualization_msgs/Marker
UPRIGHT = 0.5
"""An axis that looks shorter than this from above points up or down."""
Point = tuple[float, float]
Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """A solid seen from above; metres, world frame, x right and y up."""

    kind: str
    """Kind of object, such as 'hazards': the marker's namespace."""
    points: tuple[Point, ...]
    """Corners, or the centre alone for a disc."""
    radius: float = 0.0
    """Radius of a disc."""


def solids(message: Any) -> list[Any]:
    """Return the bodies among the markers of a MarkerArray, as boxes; lines are none."""
    return [marker for marker in message.markers if marker.type in (CUBE, SPHERE, CYLINDER)]


def outline_of(marker: Any) -> Outline:
    """Return the outline from above of a visualization_msgs/Marker: a box, ball or cylinder."""
    centre = (marker.pose.position.x, marker.pose.position.y)
    along, across, upward = axes_of(marker.pose.orientation)
    length = marker.scale.z * upward
    if marker.type == CUBE:
        sides = (marker.scale.x * along, marker.scale.y * across)
    elif marker.type == CYLINDER and np.hypot(*length) > marker.scale.x:  # it lies
        sides = (length, marker.scale.x * np.array((-length[1], length[0])) / np.hypot(*length))
    else:
        return Outline(marker.ns, (centre,), marker.scale.x / 2)
    corners = [(centre + (a * sides[0] + b * sides[1]) / 2).tolist()
               for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    return Outline(marker.ns, tuple((x, y) for x, y in corners))


def axes_of(quaternion: Any) -> Vectors:
    """Return a solid's own x, y and z axes as seen from above, shape (3, 2)."""
    w, x, y, z = quaternion.w, quaternion.x, quaternion.y, quaternion.z
    return np.array(((1 - 2 * (y * y + z * z), 2 * (x * y + w * z)),
                     (2 * (x * y - w * z), 1 - 2 * (x * x + z * z)),
                     (2 * (x * z + w * y), 2 * (y * z - w * x))))


def heading_of(quaternion: Any) -> float:
    """Return the heading of a solid's x axis from above, radians; of its z axis if x points up."""
    along, _, upward = axes_of(quaternion)
    x, y = along if np.hypot(*along) > UPRIGHT else upward
    return math.atan2(y, x)
