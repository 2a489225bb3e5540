# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Seeds of episodes by what they are used for; no two uses share one.

Episode i of a use has the seed `USE[i]`. Published figures come from evaluation seeds,
which nothing else ever sees.
"""

from __future__ import annotations

EVALUATION = range(10_000, 20_000)
CALIBRATION = range(20_000, 30_000)
VALIDATION = range(30_000, 40_000)
"""The policy's progress during training, and the choice among checkpoints and runs."""
FIRST_TRAINING = 2 ** 20
"""Training draws from here up."""
