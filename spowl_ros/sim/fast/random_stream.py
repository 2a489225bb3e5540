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
        self._floats = np.zeros(0)
        """Of the words, in pairs."""

    def peek(self, count: int) -> NDArray[np.float64]:
        """
        Return the next floats in [0, 1), shape (count,), without using them up.

        They are those of `RandomState.random_sample()`.
        """
        if len(self._floats) < count:
            fresh = self._generator.random_raw(max(_BLOCK, 2 * count))
            self._keep(np.concatenate((self._words, fresh)))
        return self._floats[:count]

    def uniform(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        """Return floats in [low, high), shape (count,), as `RandomState.uniform`."""
        floats = self.peek(count)
        self.skip(count)
        return low + (high - low) * floats

    def skip(self, count: int) -> None:
        """Use up the next floats."""
        self.peek(count)
        self._words, self._floats = self._words[2 * count:], self._floats[count:]

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound), as `RandomState.choice(bound)`."""
        if bound == 1:
            return 0
        mask = (1 << (bound - 1).bit_length()) - 1
        while True:
            self.peek(1)
            value = int(self._words[0]) & mask
            self._keep(self._words[1:])
            if value < bound:
                return value

    def _keep(self, words: NDArray[np.uint64]) -> None:
        """Keep the next words of the generator, and the floats of each two."""
        pairs = words[:len(words) // 2 * 2].reshape(-1, 2)
        self._words = words
        self._floats = ((pairs[:, 0] >> 5) * 67108864.0 + (pairs[:, 1] >> 6)) / 9007199254740992.0
