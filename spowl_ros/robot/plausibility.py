# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks whether a sensor's values have a plausible size, as to tell degrees from radians."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from spowl_ros.robot.config import UNITS
from spowl_ros.robot.fields import SENSORS

if TYPE_CHECKING:
    from spowl_ros.control.contract import Field
    from spowl_ros.robot.topics import Measurement, Topic

ENOUGH = 10
"""Least number of messages for a median."""
_RECENT = 50


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
