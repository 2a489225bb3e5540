# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where things stand at the beginning of an episode, drawn as SafetyGymnasium draws it."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import numpy as np

from spowl_ros.sim.fast.random_stream import RandomStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safety_gymnasium.bases.base_task import BaseTask

Position = tuple[float, float]

_TRIES = 10_000
_OBJECT_TRIES = 100
_FEW, _MANY = 6, 94
"""Positions tried at once: at first, and where it is full."""


class LayoutError(RuntimeError):
    """No place was found; SafetyGymnasium's ResamplingError."""


class LayoutSampler:
    """
    Rejection sampling of object positions with the plain package's random stream.

    The numbers drawn, their order and their use are the plain package's, so that the same seed
    gives the same layout to the last bit; but many positions are judged at once.
    """

    def __init__(self, task: BaseTask) -> None:
        conf = task.placements_conf
        self._low, self._high = np.array(conf.extents, np.float64).reshape(2, 2)
        self._margin = conf.margin
        self._keepouts = {name: keepout for name, (_, keepout) in conf.placements.items()}

    @staticmethod
    def handles(task: BaseTask) -> bool:
        """Return whether every object of the task may stand anywhere within the extents."""
        names = ['agent', *(obstacle.name for obstacle in task._obstacles)]
        placements = [task._placements_dict_from_object(name) for name in names]
        return all(areas is None for group in placements for areas, _ in group.values())

    def sample(self, stream: RandomStream) -> dict[str, Position]:
        """
        Return a position for the robot ('agent') and every object, metres.

        :raises LayoutError: when none is found
        """
        for _ in range(_TRIES):
            layout: dict[str, Position] = {}
            with contextlib.suppress(LayoutError):
                for name in self._keepouts:
                    layout[name] = self.find(name, layout, stream, _OBJECT_TRIES)
                return layout
        raise LayoutError('Failed to sample layout of objects')

    def find(self, name: str, others: Mapping[str, Position], stream: RandomStream,
             tries: int = _TRIES) -> Position:
        """
        Return the first position drawn that is clear of the others, metres.

        :raises LayoutError: there is none among so many
        """
        own = self._keepouts[name]
        low, high = self._low + own, self._high - own
        taken = np.array(list(others.values())).reshape(-1, 2)
        clearances = np.array([self._keepouts[other] for other in others]) + self._margin + own
        batch = _FEW
        while tries:
            batch = min(batch, tries)
            places = low + (high - low) * stream.peek(2 * batch).reshape(-1, 2)
            dx, dy = (places - taken[:, None]).T
            clear = ~(np.sqrt(dx * dx + dy * dy) < clearances).any(axis=1)
            first = int(clear.argmax())
            if clear[first]:
                stream.skip(2 * (first + 1))
                x, y = places[first].tolist()
                return x, y
            stream.skip(2 * batch)
            tries -= batch
            batch = _MANY
        raise LayoutError(f'Failed to generate {name}')


def on_floor(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the distance of two places along the floor; x and y come first, metres."""
    dx, dy = a[0] - b[0], a[1] - b[1]
    return math.sqrt(dx * dx + dy * dy)  # math.dist rounds otherwise
