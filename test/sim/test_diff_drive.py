# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot with wheels moves as wheels do, sees posts, and stops at them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np

from spowl_ros.sim.diff_drive import (
    ACCELERATION,
    GOAL_RADIUS,
    POST_RADIUS,
    ROBOT_RADIUS,
    SPEED,
    DiffDriveWorld,
    urdf,
)

STEP = 0.02


def free_world() -> DiffDriveWorld:
    """Return a world whose posts are out of the way."""
    world = DiffDriveWorld(seed=1)
    world.posts = np.array([[50.0, 50.0]])
    return world


def test_same_seed_same_world() -> None:
    """Posts and goals depend on the seed only."""
    first, second, other = DiffDriveWorld(3), DiffDriveWorld(3), DiffDriveWorld(4)
    assert (first.posts == second.posts).all() and (first.goal == second.goal).all()
    assert not (first.posts == other.posts).all()


def test_drives_a_circle() -> None:
    """One turn at constant speed and turn rate leads back to the start."""
    world = free_world()
    world.speed, world.turn_rate = 0.5, 1.0
    world.goal = np.array([9.0, 9.0])
    steps = round(2 * math.pi / 1.0 / STEP)
    farthest = 0.0
    for _ in range(steps):
        world.step(0.5, 1.0, STEP)
        farthest = max(farthest, float(np.hypot(*world.pose[:2])))
    assert math.isclose(farthest, 1.0, abs_tol=0.01)
    assert np.hypot(*world.pose[:2]) < 0.02


def test_motors_have_limits() -> None:
    """Acceleration and speed end at what the motors can do."""
    world = free_world()
    world.goal = np.array([99.0, 99.0])
    world.step(9.0, 0.0, STEP)
    assert math.isclose(world.speed, ACCELERATION * STEP)
    for _ in range(100):
        world.step(9.0, 0.0, STEP)
    assert world.speed == SPEED


def test_posts_stop_it_and_count_once() -> None:
    """Driving on against a post is one collision, and the hull stays outside."""
    world = free_world()
    world.posts = np.array([[0.5, 0.0]])
    for _ in range(100):
        world.step(1.0, 0.0, STEP)
    assert world.collisions == 1
    assert 0.0 <= world.clearance() < 0.05


def test_goals_follow_one_another() -> None:
    """A goal reached counts, and the next one is elsewhere."""
    world = free_world()
    world.goal = world.pose[:2] + [GOAL_RADIUS / 2, 0.0]
    assert world.step(0.0, 0.0, STEP)
    assert world.goals == 1
    assert not world.step(0.0, 0.0, STEP)


def test_laser_measures_the_surface() -> None:
    """The beam at a post measures the distance to its surface; others see nothing (REP-117)."""
    world = free_world()
    world.posts = np.array([[0.0, 1.0]])
    ranges = world.scan(360, 5.0)
    left = 270  # the first beam looks back
    assert math.isclose(ranges[left], 1.0 - POST_RADIUS, abs_tol=1e-9)
    assert np.isinf(ranges[0]) and np.isinf(ranges[180])
    assert np.isinf(world.scan(360, 0.5)).all()
    assert ROBOT_RADIUS > 0.0


def test_description_names_the_robot_s_frame() -> None:
    """Whatever the frame is called, the one link has its name."""
    for name in ('base_link', 'chassis', 'a<"b'):
        link, = ElementTree.fromstring(urdf(name)).iter('link')
        assert link.attrib['name'] == name
