# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the learned parts on held-out episodes: tables in the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.decision import Decision

Table = tuple[tuple[float, float], ...]
"""Probability and value, ascending."""

PROBABILITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0)


WINDOW = 100
"""Decisions over which costs are summed to judge a cost value, where episodes are so long."""


@dataclass
class HeldOutEpisode:
    """One held-out episode, one entry per decision."""

    decisions: list[Decision] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Cost of each decision."""
    terminated: bool = False
    """It ended by itself, so that no cost can follow; otherwise what follows is not known."""


def window_of(episodes: Sequence[HeldOutEpisode]) -> int:
    """
    Return over how many decisions the costs of these episodes can be summed.

    That is WINDOW, or half of the longest episode that was cut off where none is as long as that.
    """
    longest = max((len(one.costs) for one in episodes if not one.terminated), default=WINDOW)
    return WINDOW if longest >= WINDOW else -(-longest // 2)


@dataclass(frozen=True)
class Calibration:
    """Tables of one bundle; empty if it was never calibrated."""

    tables: dict[str, Table] = field(default_factory=dict)
    """A monitor's `table` to its table."""
    window: int = 0
    """Decisions over which costs were summed; see `window_of`."""
    episodes: int = 0
    decisions: int = 0
    first_seed: int = -1
    """Seed of the first episode; no training used it or the following ones."""

    def at(self, table: str, probability: float, absent: float) -> float:
        """
        Return the value at a probability, rounded up to a tabulated one.

        :param absent: returned if there is no such table
        """
        rows = self.tables.get(table, ())
        greatest = rows[-1][1] if rows else absent
        return next((value for tabulated, value in rows if tabulated >= probability), greatest)

    def has(self, table: str) -> bool:
        """Whether there is such a table, of finite numbers."""
        rows = self.tables.get(table, ())
        return bool(rows) and all(map(math.isfinite, (value for row in rows for value in row)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the tables are on the same level as the figures."""
        return {**self.tables, **{name: getattr(self, name) for name in _FIGURES}}

    @classmethod
    def from_dict(cls, data: dict[str, Any] | None) -> Calibration:
        """
        Rebuild tables from what `to_dict` returned; None gives empty ones.

        :raises SpowlError: malformed
        """
        if data is None:
            return cls()
        try:
            figures = {name: int(data[name]) for name in _FIGURES}
            tables = {name: tuple((float(p), float(value)) for p, value in rows)
                      for name, rows in data.items() if name not in _FIGURES}
        except (KeyError, TypeError, ValueError) as error:
            raise SpowlError(f'malformed calibration: {error!r}') from error
        return cls(tables, **figures)


_FIGURES = ('window', 'episodes', 'decisions', 'first_seed')


def quantile_table(values: ArrayLike) -> Table:
    """Return the quantiles of some values at PROBABILITIES; empty without values."""
    finite = np.asarray(values, np.float64)
    if not finite.size:
        return ()
    return tuple((p, float(np.quantile(finite, p))) for p in PROBABILITIES)


def conformal_table(predicted: ArrayLike, true: ArrayLike) -> Table:
    """
    Return split-conformal offsets: true <= predicted + offset with at least the probability.

    The offset at p is the ceil((n + 1) p)-th smallest of the n differences; if n is too small for
    a p, p has no entry (Vovk et al., 2005; Angelopoulos and Bates, 2023, eq. 1).
    """
    differences = np.sort(np.asarray(true, np.float64) - np.asarray(predicted, np.float64))
    ranks = ((p, math.ceil((differences.size + 1) * p)) for p in PROBABILITIES)
    return tuple((p, float(differences[rank - 1])) for p, rank in ranks
                 if rank <= differences.size)


def discounted_sums(costs: ArrayLike, discount: float, window: int,
                    terminated: bool = False) -> np.ndarray:
    """
    Return, for each decision, the discounted cost of the ``window`` decisions from it on.

    :param costs: shape (n,), one episode
    :param terminated: the episode ended by itself, and no cost follows
    :return: shape (n - window + 1,): only decisions whose whole window is known; shape (n,) if
        terminated
    """
    array = np.asarray(costs, np.float64)
    if terminated:
        array = np.append(array, np.zeros(window - 1))
    if array.size < window:
        return np.zeros(0)
    weights = discount ** np.arange(window)
    return np.correlate(array, weights, mode='valid')
