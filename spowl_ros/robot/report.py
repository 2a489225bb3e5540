# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Report on a robot's inputs: what was received, and whether a controller can use it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.contract import Field

FUTURE = 0.05
"""Seconds that a stamp may lie ahead of this machine's clock."""


@dataclass
class Heard:
    """What was received of one field."""

    field: Field
    topic: str
    arrivals: list[float] = dataclasses.field(default_factory=list)
    """Steady clock, seconds."""
    ages: list[float] = dataclasses.field(default_factory=list)
    """Seconds from the stamp to the arrival."""
    low: float = math.inf
    high: float = -math.inf
    refused: int = 0
    refusal: str = ''
    """Why the last refused message was refused."""
    implausible: str = ''
    """Why the values are implausible for such a sensor, if they are."""
    other_types: tuple[str, ...] = ()
    """Types of the topic on the network, if not the wanted one."""

    def add(self, values: NDArray[np.float64], arrival: float, age: float) -> None:
        """Add one message's values, shape (size,), in the contract's units."""
        self.arrivals.append(arrival)
        self.ages.append(age)
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def begin(self) -> None:
        """Forget all messages received until now."""
        self.arrivals.clear()
        self.ages.clear()
        self.low, self.high = math.inf, -math.inf

    @property
    def rate(self) -> float:
        """Messages a second; 0 before the second one."""
        if len(self.arrivals) < 2:
            return 0.0
        return (len(self.arrivals) - 1) / max(self.arrivals[-1] - self.arrivals[0], 1e-9)

    @property
    def longest_gap(self) -> float:
        """Longest time between two messages, seconds; infinity before the second one."""
        return max(np.diff(self.arrivals).tolist(), default=math.inf)

    def problems(self) -> list[str]:
        """Return the problems that a controller would have with it; empty if none."""
        if self.refused:
            return [f'{self.refused} messages refused: {self.refusal}']
        if not self.arrivals:
            if self.other_types:
                return [f'no message: the topic carries {", ".join(self.other_types)}']
            return ['no message: nobody publishes it, or with other QoS or in another domain']
        found = []
        if self.longest_gap > self.field.timeout:
            found.append(f'{self.longest_gap:.3f} s between two messages, the time-out is '
                         f'{self.field.timeout:.3f} s')
        if max(self.ages) > self.field.timeout:
            found.append(f'up to {max(self.ages):.3f} s old on arrival, the time-out is '
                         f'{self.field.timeout:.3f} s: synchronise the clocks')
        if min(self.ages) < -FUTURE:
            found.append(f'stamped {-min(self.ages):.3f} s in the future: synchronise the clocks')
        if self.low < self.field.low or self.high > self.field.high:
            found.append(f'values from {self.low:.4g} to {self.high:.4g} {self.field.unit}, '
                         f'plausible are {self.field.low:g} to {self.field.high:g}: check the '
                         'unit')
        elif self.implausible:
            found.append(self.implausible)
        return found
