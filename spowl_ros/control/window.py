# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The window: the last observations and actions, which an encoder may read beside the present one.

A row is an observation and the action that was executed on it; the newest row comes first. Before
an episode's first decision the robot stood still: missing rows hold the episode's first
observation and the action of rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Window:
    """
    The rows of one robot, in one array that is never replaced.

    :param rows: array (K, O + A) to keep them in
    :param rest: (A,) action of rest
    """

    def __init__(self, rows: Array, rest: Array) -> None:
        self.rows = rows
        self._size = rows.shape[1] - len(rest)
        self._rest = rest
        self._present: Array | None = None
        """The last observation, on which `acted` reports."""

    def begin(self) -> None:
        """Forget everything, as at the beginning of an episode."""
        self._present = None

    def see(self, observation: Array) -> None:
        """Take the present observation (O,); the rows then hold what was before it."""
        if not len(self.rows):
            return
        if self._present is None:
            self._present = np.zeros(self._size, np.float32)
            self.rows[:, :self._size] = observation
            self.rows[:, self._size:] = self._rest
            self._acted = self._rest.copy()
        else:
            self.rows[1:] = self.rows[:-1].copy()
            self.rows[0, :self._size] = self._present
            self.rows[0, self._size:] = self._acted
        self._present[:] = observation

    def acted(self, action: Array) -> None:
        """Take the action (A,) that was executed on the present observation."""
        if self._present is not None:
            self._acted[:] = action


class Wide:
    """
    Observations with their windows beside them, as the networks read them.

    :param window: K
    :param size: O
    :param rest: (A,) action of rest
    """

    def __init__(self, window: int, size: int, rest: Array) -> None:
        self._window = Window(np.zeros((window, size + len(rest)), np.float32), rest)

    def begin(self, observation: Array) -> Array:
        """Return the wide form (O + K (O + A),) of an episode's first observation."""
        self._window.begin()
        return self._wide(observation)

    def after(self, action: Array, observation: Array) -> Array:
        """Return the wide form of the observation after an executed action."""
        self._window.acted(action)
        return self._wide(observation)

    def _wide(self, observation: Array) -> Array:
        self._window.see(observation)
        rows = self._window.rows
        return np.concatenate([observation, rows.ravel()]) if len(rows) else observation
