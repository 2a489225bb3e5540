# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
What moves the robot beside its policy while experience is collected.

Independent noise averages out before legs have carried anything anywhere. Oscillating noise, a
sine for each actuator, is the simplest noise that walks; that noise with a memory helps where
actions act slowly is known (Eberhard et al., Pink Noise Is All You Need, 2023).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.errors import SpowlError

KINDS = ('white', 'oscillating')
_SLOWEST_HZ, _FASTEST_HZ = 0.3, 2.5
_RENEWED_AFTER_S = 5.0, 20.0
"""Least and longest time for which a stream keeps its oscillation."""


class Exploration:
    """
    Noise of several streams, decision after decision.

    :param kind: one of `KINDS`
    :param shape: (streams, A)
    :param period: seconds of a decision
    """

    def __init__(self, kind: str, shape: tuple[int, int], period: float,
                 rng: np.random.Generator) -> None:
        if kind not in KINDS:
            raise SpowlError(f'collect.noise {kind!r} is none of {", ".join(KINDS)}')
        self._kind, self._shape, self._period, self._rng = kind, shape, period, rng
        streams = shape[0]
        self._left = np.zeros(streams, np.int64)
        self._step = np.zeros(streams)
        self._phase = np.zeros(shape)
        self._amplitude = np.zeros(shape)
        self._offset = np.zeros(shape)

    def normal(self) -> NDArray[np.float32]:
        """Return the policy's noise (streams, A), of mean 0 and variance 1."""
        if self._kind == 'white':
            return self._rng.standard_normal(self._shape, np.float32)
        return (np.sqrt(2.0) * self._oscillate()).astype(np.float32)

    def actions(self) -> NDArray[np.float32]:
        """Return actions (streams, A) in [-1, 1] that ask no policy."""
        if self._kind == 'white':
            return self._rng.uniform(-1, 1, self._shape).astype(np.float32)
        swing = self._offset + self._amplitude * self._oscillate()
        return np.clip(swing, -1.0, 1.0).astype(np.float32)

    def _oscillate(self) -> NDArray[np.float64]:
        """Go on by a decision; returns sines (streams, A)."""
        for stream in np.flatnonzero(self._left <= 0):
            self._renew(stream)
        self._left -= 1
        self._phase += self._step[:, None]
        return np.sin(self._phase)

    def _renew(self, stream: int) -> None:
        """Draw a gait: one frequency, and for each actuator phase, amplitude and offset."""
        rng, actuators = self._rng, self._shape[1]
        self._left[stream] = int(rng.uniform(*_RENEWED_AFTER_S) / self._period)
        fastest = min(_FASTEST_HZ, 0.25 / self._period)  # four decisions make a period
        slowest = min(_SLOWEST_HZ, 0.5 * fastest)
        self._step[stream] = 2.0 * np.pi * self._period * rng.uniform(slowest, fastest)
        self._phase[stream] = rng.uniform(0.0, 2.0 * np.pi, actuators)
        size = rng.uniform(0.1, 1.0)
        self._amplitude[stream] = size * rng.uniform(0.2, 1.0, actuators)
        self._offset[stream] = size * rng.uniform(-0.3, 0.3, actuators)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load_state` needs; the generator's state is its owner's."""
        return {name: getattr(self, name).tolist()
                for name in ('_left', '_step', '_phase', '_amplitude', '_offset')}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, value in state.items():
            getattr(self, name)[...] = value
