# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A differential-drive robot among posts: wheels without slip, a laser, and a goal."""

from __future__ import annotations

import math
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

POSTS = 8
POST_RADIUS = 0.08
ROBOT_RADIUS = 0.12
GOAL_RADIUS = 0.3
"""The robot reaches a goal at this distance from its centre."""
ARENA = 1.5
"""Posts and goals stand within this many metres of the middle, along x and along y."""
SPEED, TURN_RATE = 1.5, 3.5
"""Greatest speeds of the motors, metres and radians a second."""
ACCELERATION, TURN_ACCELERATION = 4.0, 20.0
_APART = 0.55  # between the centres of posts
_POST_TO_START = 0.6
_GOAL_TO_POST = 0.45
_LEFT_POST = 0.05  # beyond this clearance, the next touch counts as a new collision
_TRIES = 10_000


class DiffDriveWorld:
    """
    The robot, its world, and how it went; SI units, x forward, angles counter-clockwise (REP-103).

    :param seed: of the posts and of all goals
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.pose = np.zeros(3)
        """x, y, heading in the world."""
        self.speed = 0.0
        self.turn_rate = 0.0
        self.posts: NDArray[np.float64] = np.empty((0, 2))
        """Shape (POSTS, 2): centres."""
        while len(self.posts) < POSTS:
            point = self.free_point(self.posts, _APART, _POST_TO_START)
            self.posts = np.vstack([self.posts, point])
        self.goal = self.free_point(self.posts, _GOAL_TO_POST, 2 * GOAL_RADIUS)
        self.goals = 0
        self.collisions = 0
        self._touching = False

    def step(self, speed: float, turn_rate: float, seconds: float) -> bool:
        """
        Drive towards a velocity for a short time; return whether the robot reached the goal.

        A post stops the robot. After a goal the next one is drawn at once.
        """
        self.speed = _towards(self.speed, speed, SPEED, ACCELERATION * seconds)
        self.turn_rate = _towards(self.turn_rate, turn_rate, TURN_RATE,
                                  TURN_ACCELERATION * seconds)
        heading = self.pose[2] + self.turn_rate * seconds / 2
        moved = self.pose + seconds * np.array(
            [self.speed * math.cos(heading), self.speed * math.sin(heading), self.turn_rate])
        touching = bool(np.hypot(*(self.posts - moved[:2]).T).min() < POST_RADIUS + ROBOT_RADIUS)
        if touching:
            self.speed = 0.0
            moved[:2] = self.pose[:2]
        self.collisions += touching and not self._touching
        moved[2] = math.remainder(moved[2], 2 * math.pi)
        self.pose = moved
        self._touching = touching or (self._touching and self.clearance() < _LEFT_POST)
        if math.dist(self.pose[:2], self.goal) > GOAL_RADIUS:
            return False
        self.goals += 1
        self.goal = self.free_point(self.posts, _GOAL_TO_POST, 2 * GOAL_RADIUS)
        return True

    def clearance(self) -> float:
        """Return the distance in metres from the robot's hull to the nearest post's."""
        distances = np.hypot(*(self.posts - self.pose[:2]).T)
        return float(distances.min()) - POST_RADIUS - ROBOT_RADIUS

    def scan(self, beams: int, greatest: float) -> NDArray[np.float64]:
        """
        Return the ranges of a laser at the robot's centre, shape (beams,), metres.

        :param beams: over the full circle, the first one straight back
        :param greatest: maximum range of the laser; +Inf beyond it (REP-117)
        """
        angles = self.pose[2] - math.pi + 2 * math.pi / beams * np.arange(beams)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        offsets = self.posts - self.pose[:2]
        along = directions @ offsets.T
        across = (offsets ** 2).sum(axis=1) - along ** 2
        hit = (along > 0.0) & (across <= POST_RADIUS ** 2)
        depth = np.sqrt(np.maximum(POST_RADIUS ** 2 - across, 0.0))
        ranges = np.where(hit, along - depth, np.inf).min(axis=1)
        return np.where(ranges <= greatest, ranges, np.inf)

    def free_point(self, posts: NDArray[np.float64], from_posts: float,
                    from_robot: float) -> NDArray[np.float64]:
        """Return a point (2,) with at least this distance to everything there."""
        for _ in range(_TRIES):
            point = self._random.uniform(-ARENA, ARENA, 2)
            near = len(posts) and np.hypot(*(posts - point).T).min() < from_posts
            if not near and math.dist(point, self.pose[:2]) >= from_robot:
                return point
        raise RuntimeError('no free place; the arena is too small for its posts')


def urdf(base: str) -> str:
    """
    Return the robot as ROS describes it; the orange box is in front.

    :param base: name of its only link
    """
    return f"""<robot name="diff_drive">
  <link name={quoteattr(base)}>
    <visual>
      <origin xyz="0 0 0.06"/>
      <geometry><cylinder radius="{ROBOT_RADIUS}" length="0.08"/></geometry>
      <material name="body"><color rgba="0.29 0.31 0.35 1"/></material>
    </visual>
    <visual>
      <origin xyz="0.07 0 0.11"/>
      <geometry><box size="0.08 0.03 0.02"/></geometry>
      <material name="front"><color rgba="0.87 0.55 0.08 1"/></material>
    </visual>
  </link>
</robot>
"""


def _towards(value: float, target: float, limit: float, step: float) -> float:
    """Move the value towards a target clipped to a limit, and return it."""
    target = min(max(target, -limit), limit)
    return value + min(max(target - value, -step), step)
