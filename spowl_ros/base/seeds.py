# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Seeds of episodes by use; no two uses share a seed.

Episode i of a use has the seed `USE[i]`. Published figures come from the evaluation seeds, which
nothing else uses.
"""

from __future__ import annotations

EVALUATION = range(10_000, 20_000)
CALIBRATION = range(20_000, 30_000)
VALIDATION = range(30_000, 40_000)
"""The policy's progress during training, and the choice among checkpoints and runs."""
FIRST_TRAINING = 2 ** 20
"""Training draws from here up."""
