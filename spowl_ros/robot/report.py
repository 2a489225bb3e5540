# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Report on a robot's inputs: what was received, and whether a controller can use it.

Values of an implausible size tell degrees from radians, for instance.
"""

from __future__ import annotations

from collections import deque
import dataclasses
from dataclasses import dataclass
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.control.contract import Field
from spowl_ros.robot.config import UNITS
from spowl_ros.robot.fields import SENSORS

if TYPE_CHECKING:
    from spowl_ros.robot.topics import Measurement, Topic

FUTURE = 0.05
"""Seconds that a stamp may lie ahead of this machine's clock."""
ENOUGH = 10
"""Least number of messages for a median."""
_RECENT = 50


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


class Plausibility:
    """Keeps each field's recent magnitudes, and compares their median with the usual range."""

    def __init__(self) -> None:
        self._magnitudes: dict[Field, deque[float]] = {}

    def add(self, topic: Topic, message: Any, taken: Measurement) -> None:
        """Add a valid message."""
        for part in topic.parts:
            sensor = SENSORS.get(part.field.sensor)
            if sensor is None or part.field.name not in taken.values or sensor.usual is None:
                continue
            magnitude = (float(np.linalg.norm(taken.values[part.field.name]))
                         if sensor.magnitude is None or part.given.type
                         else sensor.magnitude(message, part.field))
            self._magnitudes.setdefault(part.field, deque(maxlen=_RECENT)).append(magnitude)

    def problems(self) -> dict[str, str]:
        """Return the problems by field; empty if none."""
        found = {field.name: implausible(field, float(np.median(list(magnitudes))))
                 for field, magnitudes in list(self._magnitudes.items())
                 if len(magnitudes) >= ENOUGH}
        return {name: text for name, text in found.items() if text}


def implausible(field: Field, median: float) -> str:
    """Return why a magnitude is implausible for a sensor, and its likely unit; '' if plausible."""
    sensor = SENSORS[field.sensor]
    if sensor.usual is None or sensor.usual[0] <= median <= sensor.usual[1]:
        return ''
    low, high = sensor.usual
    unit = 'rad' if sensor.magnitude is not None else field.unit
    others = [name for name, (of, factor) in UNITS.items()
              if of == unit and name != unit and low <= median * factor <= high]
    return (f'the magnitude is {median:.3g} {unit} (median), the model knows {low:g} to {high:g}'
            + (f'; is it in {" or ".join(others)}?' if others
               else ': check the unit, and whether this sensor is in the world of the model'))
