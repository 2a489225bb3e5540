# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Seeds of episodes by use; no two uses share a seed.

Episode i of a use has the seed `USE[i]`. Published figures come from the evaluation seeds, which
nothing else uses.
"""

from __future__ import annotations

import numpy as np

LAST = 2 ** 32 - 1
"""Greatest seed of an episode."""
EVALUATION = range(10_000, 20_000)
CALIBRATION = range(20_000, 30_000)
VALIDATION = range(30_000, 40_000)
"""The policy's progress during training, and the choice among checkpoints and runs."""
FIRST_TRAINING = 2 ** 20
"""Training draws from here up."""


def training_seed(*numbers: int) -> int:
    """Return the seed of a training episode, drawn by numbers that name it, as seed and count."""
    return FIRST_TRAINING + int(np.random.SeedSequence(numbers).generate_state(1)[0]) % 2 ** 31
