# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The nearest hazard of a scan; a scan that hides one is not taken for free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.control.hazards import HazardTracker

SCAN = Field('hazards_lidar', 'scan', 'hazards_scan', 16, '1', 0.0, 1.0, 0.5, 0.2)
CONTRACT = Contract('Test-v0', 'Point', (replace(SCAN),),
                    ActionSpec(('x',), (-1.0,), (1.0,), 'effort', (0.0,)), 0.02, 5)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_a_scan_that_is_not_finite_is_not_free(bad: float) -> None:
    """One bad beam among free ones is a hazard that is touched; the next good scan is free."""
    tracker = HazardTracker(CONTRACT)
    closeness = np.zeros(16)
    assert tracker.see(SCAN, closeness, 1) is None
    closeness[7] = bad
    nearest = tracker.see(SCAN, closeness, 2)
    assert nearest is not None
    assert nearest.distance == -0.2
    assert tracker.see(SCAN, np.zeros(16), 3) is None
