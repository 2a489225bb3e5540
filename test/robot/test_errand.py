# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An errand ends, and once it has ended the robot does not move before the next."""

from __future__ import annotations

import math

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.robot.errand import Errand, Goal, State

GOAL = Goal(2.0, 0.0, 'odom', 5)


@pytest.fixture
def errand() -> Errand:
    """Return an errand of a robot at the origin of odom."""
    errand = Errand(tolerance=0.3, timeout=60.0)
    errand.be_at(0.0, 0.0, 'odom', 0.0)
    return errand


def test_reached_is_reached(errand: Errand) -> None:
    """Within the tolerance it ends, and gliding out again does not begin it anew."""
    assert not errand.driving and errand.send(GOAL, 0.0) and errand.driving
    errand.be_at(1.69, 0.0, 'odom', 1.0)
    assert errand.driving
    errand.be_at(1.71, 0.0, 'odom', 2.0)
    assert (errand.state, errand.driving) == (State.REACHED, False)
    for x in (2.3, 2.5, 1.0):
        errand.be_at(x, 0.0, 'odom', 3.0)
        assert errand.state is State.REACHED


def test_cancelled_stays_cancelled(errand: Errand) -> None:
    """There is something to cancel once; a late copy of the goal does not bring it back."""
    errand.send(GOAL, 0.0)
    assert errand.cancel() and not errand.cancel()
    assert not errand.send(GOAL, 1.0)
    assert errand.state is State.CANCELLED
    assert errand.send(Goal(2.0, 0.0, 'odom', 6), 2.0) and errand.driving


def test_a_goal_that_is_repeated_stays_cancelled(errand: Errand) -> None:
    """Once a second and without a stamp it is one goal; after a pause it is another."""
    goal = Goal(2.0, 0.0, 'odom')
    for second in range(10):
        errand.send(goal, float(second))
    assert errand.number == 1 and errand.cancel()
    for second in range(10, 20):
        with pytest.raises(SpowlError, match='is cancelled'):
            errand.send(goal, float(second))
    assert errand.state is State.CANCELLED
    assert errand.send(goal, 25.0) and errand.driving
    errand.abort('lost')
    with pytest.raises(SpowlError, match='is aborted'):
        errand.send(goal, 26.0)
    assert errand.send(Goal(2.0, 0.1, 'odom'), 27.0)


def test_time_runs_out(errand: Errand) -> None:
    """A goal that is not reached is given up, also while nothing is known of the robot."""
    errand.send(GOAL, 10.0)
    errand.send(GOAL, 69.0)  # heard twice: no new time
    errand.tick(70.0)
    assert errand.driving
    errand.tick(70.1)
    assert errand.state is State.ABORTED and 'within 60 s' in errand.reason


@pytest.mark.parametrize('goal', [
    Goal(math.nan, 0.0, 'odom'), Goal(0.0, math.inf, 'odom'), Goal(1e9, 0.0, 'odom'),
    Goal(1.0, 0.0, 'map'), Goal(1.0, 0.0, '')])
def test_a_goal_that_is_none_changes_nothing(errand: Errand, goal: Goal) -> None:
    """It is refused, and the present errand goes on."""
    errand.send(GOAL, 0.0)
    with pytest.raises(SpowlError):
        errand.send(goal, 1.0)
    assert errand.driving and errand.goal == GOAL


def test_a_goal_before_the_robot_is_known(errand: Errand) -> None:
    """It waits for odometry, and is given up where that is in another frame."""
    early = Errand(0.3, 60.0)
    early.send(GOAL, 0.0)
    assert not early.driving
    early.be_at(0.0, 0.0, '/odom', 1.0)
    assert early.driving
    early = Errand(0.3, 60.0)
    early.send(Goal(1.0, 1.0, 'map'), 0.0)
    with pytest.raises(SpowlError, match="'map'.*'odom'"):
        early.be_at(0.0, 0.0, 'odom', 1.0)
    assert early.state is State.ABORTED
