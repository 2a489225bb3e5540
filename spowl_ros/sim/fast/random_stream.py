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
        self._quick: list[float] = []
        self._next = 0

    def random(self) -> float:
        """Return a float in [0, 1), as `RandomState.random_sample()`."""
        if self._next == len(self._quick):
            self._read_ahead(1)
        self._next += 1
        return self._quick[self._next - 1]

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high), as `RandomState.uniform(low, high)`."""
        return low + (high - low) * self.random()

    def peek(self, count: int) -> NDArray[np.float64]:
        """Return the next floats in [0, 1), shape (count,), without using them up."""
        if self._next + count > len(self._quick):
            self._read_ahead(count)
        return self._floats[self._next:self._next + count]

    def skip(self, count: int) -> None:
        """Use up floats that `peek` has shown."""
        self._next += count

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound), as `RandomState.choice(bound)`."""
        if bound == 1:
            return 0
        mask = (1 << (bound - 1).bit_length()) - 1
        self._drop_used()
        while True:
            if not len(self._words):
                self._read_ahead(1)
            value = int(self._words[0]) & mask
            self._words = self._words[1:]
            if value < bound:
                self._make_floats()
                return value

    def _read_ahead(self, count: int) -> None:
        """Make at least `count` floats available."""
        self._drop_used()
        fresh = self._generator.random_raw(max(_BLOCK, 2 * count))
        self._words = np.concatenate((self._words, fresh))
        self._make_floats()

    def _drop_used(self) -> None:
        self._words = self._words[2 * self._next:]
        self._next = 0

    def _make_floats(self) -> None:
        pairs = self._words[:len(self._words) // 2 * 2].reshape(-1, 2)
        self._floats = ((pairs[:, 0] >> 5) * 67108864.0 + (pairs[:, 1] >> 6)) / 9007199254740992.0
        self._quick = self._floats.tolist()
