# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What held-out episodes said about the learned parts: tables in the bundle."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.base.errors import SpowlError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Table = tuple[tuple[float, float], ...]
"""Probability and value, ascending."""

PROBABILITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0)


@dataclass(frozen=True)
class Calibration:
    """Tables of one bundle; empty ones where it was never calibrated."""

    model_error: Table = ()
    """Quantiles of the distance between predicted and encoded latent."""
    cost_offset: Table = ()
    """What must be added to a cost value to cover the discounted cost that follows."""
    window: int = 0
    """Decisions over which those costs were summed."""
    episodes: int = 0
    decisions: int = 0
    first_seed: int = -1
    """Seed of the first episode; no training saw it or those that follow."""

    def model_error_limit(self, quantile: float) -> float:
        """Return the error at a quantile, rounded up to a tabulated one; infinity without."""
        return _at(self.model_error, quantile, math.inf)

    def cost_value_offset(self, coverage: float) -> float:
        """Return the offset at a coverage, rounded up to a tabulated one; zero without."""
        return _at(self.cost_offset, coverage, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any] | None) -> Calibration:
        """
        Rebuild tables from what `to_dict` returned; None gives empty ones.

        :raises SpowlError: malformed
        """
        if data is None:
            return cls()
        try:
            tables = {name: tuple((float(p), float(value)) for p, value in data[name])
                      for name in ('model_error', 'cost_offset')}
            return cls(**{**data, **tables})
        except (KeyError, TypeError, ValueError) as error:
            raise SpowlError(f'malformed calibration: {error!r}') from error


def _at(table: Table, probability: float, absent: float) -> float:
    for tabulated, value in table:
        if tabulated >= probability:
            return value
    return table[-1][1] if table else absent


def quantile_table(values: ArrayLike) -> Table:
    """Return the quantiles of some values at PROBABILITIES."""
    finite = np.asarray(values, np.float64)
    return tuple((p, float(np.quantile(finite, p))) for p in PROBABILITIES)


def conformal_table(predicted: ArrayLike, true: ArrayLike) -> Table:
    """
    Return split-conformal offsets: true <= predicted + offset with at least the probability.

    The offset at p is the ceil((n + 1) p)-th smallest of the n differences; where n is too small
    for that there is no entry (Vovk et al., 2005; Angelopoulos and Bates, 2023, eq. 1).
    """
    differences = np.sort(np.asarray(true, np.float64) - np.asarray(predicted, np.float64))
    ranks = ((p, math.ceil((differences.size + 1) * p)) for p in PROBABILITIES)
    return tuple((p, float(differences[rank - 1])) for p, rank in ranks
                 if rank <= differences.size)


def discounted_sums(costs: ArrayLike, discount: float, window: int) -> np.ndarray:
    """
    Return the discounted cost of the ``window`` decisions from each one on.

    :param costs: shape (n,), one episode
    :return: shape (n - window + 1,): decisions with a whole window before the episode's end
    """
    array = np.asarray(costs, np.float64)
    if array.size < window:
        return np.zeros(0)
    weights = discount ** np.arange(window)
    return np.correlate(array, weights, mode='valid')
