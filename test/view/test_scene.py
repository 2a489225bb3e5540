# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page's scene, without a browser."""

from __future__ import annotations

import numpy as np

from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Reading
from spowl_ros.view.frame import Frame, History, Scene, Solid
from spowl_ros.view.page import Page

FLAT = (1.0, 0.0, 0.0, 0.0)
SCENE = Scene((Solid('hazards/0', 'hazards', 'cylinder', (0.4, 0.4, 0.02), (1.0, 2.0, 0.01), FLAT),
               Solid('goal/0', 'goal', 'cylinder', (0.6, 0.6, 0.3), (0.0, 0.0, 0.1), FLAT)),
              (0.0, 0.0, 0.1), 0.0)


def test_a_margin_lies_around_each_hazard_as_far_as_the_monitor_keeps_it_free() -> None:
    """A circle at the hazard's radius plus the margin; none where the monitor has not judged."""
    page = Page('127.0.0.1', 0)
    try:
        judged = Decision(step=0, now_ns=0, action=(0.0,), source='policy', reason='',
                          readings=(Reading('sensor_margin', -1.0, -0.15, clear=True),))
        margins = page._scene._margins
        page.show((Frame('', SCENE, decision=judged),), History())
        assert margins.visible
        away = np.linalg.norm(margins.points[..., :2] - (1.0, 2.0), axis=-1)
        np.testing.assert_allclose(away, 0.35, atol=1e-6)
        page.show((Frame('', SCENE),), History())
        assert not margins.visible
    finally:
        page.close()
