# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the page shows at one moment."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

from spowl_ros.control.decision import Decision
from spowl_ros.view.frame import HISTORY, History, Present, Scene, scan_points


def decision(step: int) -> Decision:
    """Return a decision without a plan."""
    return Decision(step=step, now_ns=step * 10**8, action=(0.0,), source='policy', reason='')


def test_a_history_holds_one_episode() -> None:
    """Step 0 begins a new path, and only the last decisions are kept."""
    history = History()
    for step in (*range(3), *range(HISTORY + 5)):
        history.add(decision(step), Scene((), (float(step), 0.0, 0.0), 0.0))
    assert len(history.times) == len(history.path) == HISTORY
    assert history.path[0] == (5.0, 0.0, 'policy')
    times, values = history.curve('plan_value')
    assert times.shape == values.shape == (HISTORY,)
    assert np.isnan(values).all()  # no plan was made


def test_what_a_scan_does_not_see_is_no_point() -> None:
    """Infinite and not-a-number ranges are left out; the others lie at their angles."""
    points = scan_points([1.0, math.inf, 2.0, math.nan, -math.inf], 0.0, math.pi / 2)
    np.testing.assert_allclose(points, [[1.0, 0.0], [-2.0, 0.0]], atol=1e-12)


def test_a_total_is_known_once_it_was_heard_and_as_far_as_it_was_understood() -> None:
    """A silent topic tells no cost; what is not a number spoils its episode, not the next one."""
    present = Present('red')
    cost = present.readers['cost']
    for data, total in ((None, math.nan), (2.0, 2.0), (math.nan, math.nan), (1.0, math.nan)):
        if data is not None:
            cost(SimpleNamespace(data=data))
        np.testing.assert_equal(present.frame.cost, total)
    present.begin_episode()
    assert (present.frame.episode, present.frame.cost) == (2, 0.0)
    assert math.isnan(present.frame.episode_return)
