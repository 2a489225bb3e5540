# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""NumPy's RandomState, read ahead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024


class RandomStream:
    """
    The numbers of `np.random.RandomState(seed)`, with the power to look ahead.

    Rejection sampling wants to judge many candidates at once and to use up only those before the
    first good one. RandomState cannot give numbers back, and saving its state takes longer than
    drawing a hundred of them; so the words of its generator are kept here and turned into numbers
    as RandomState does it: a float of two words, a small integer of one.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.RandomState(seed)._bit_generator
        self._words = np.zeros(0, np.uint64)

    def peek(self, count: int) -> NDArray[np.float64]:
        """
        Return the next floats in [0, 1), shape (count,), without using them up.

        They are those of `RandomState.random_sample()`.
        """
        pairs = self._ahead(2 * count).reshape(-1, 2)
        return ((pairs[:, 0] >> 5) * 67108864.0 + (pairs[:, 1] >> 6)) / 9007199254740992.0

    def skip(self, count: int) -> None:
        """Use up the next floats."""
        self._ahead(2 * count)
        self._words = self._words[2 * count:]

    def uniform(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        """Return floats in [low, high), shape (count,), as `RandomState.uniform`."""
        floats = self.peek(count)
        self.skip(count)
        return low + (high - low) * floats

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound), as `RandomState.choice(bound)`."""
        if bound == 1:
            return 0
        mask = (1 << (bound - 1).bit_length()) - 1
        while True:
            value = int(self._ahead(1)[0]) & mask
            self._words = self._words[1:]
            if value < bound:
                return value

    def _ahead(self, count: int) -> NDArray[np.uint64]:
        """Return the next words of the generator, shape (count,)."""
        if len(self._words) < count:
            fresh = self._generator.random_raw(max(_BLOCK, count))
            self._words = np.concatenate((self._words, fresh))
        return self._words[:count]
