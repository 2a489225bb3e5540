# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The shipped planner does not become slower unnoticed."""

from __future__ import annotations

import json

from benchmarks import planner_ratio
from spowl_ros.base.share import share_directory
from spowl_ros.control import bundle

SLOWER = 1.2
ROUNDS = (60, 120, 240, 480, 960)
"""Of the measurements: the least time of more rounds is less disturbed by a busy machine."""


def test_a_plan_costs_no_more_matrix_products_than_before() -> None:
    """Beside a matrix product, a plan takes at most a fifth longer than was stored."""
    stored = json.loads(planner_ratio.RESULT.read_text())
    loaded = bundle.load(share_directory() / 'models' / stored['model'])
    ratios = []
    for rounds in ROUNDS:
        ratios.append(planner_ratio.measure(loaded, rounds)['ratio'])
        if ratios[-1] <= SLOWER * stored['ratio']:
            return
    raise AssertionError(f"a plan takes {min(ratios):.1f} matrix products, {stored['ratio']:.1f} "
                         'are stored; make it faster, or measure and store it again with '
                         f"'python -m benchmarks.planner_ratio models/{stored['model']} --store'")
