# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a controller and a robot promise one another: observation, action, and control period."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError

SCAN_RANGE = 3.0
"""How far scan fields see, metres: closeness c stands for the distance (1 - c) * SCAN_RANGE."""

SAME_OBJECT = 1e-3
"""Difference in closeness up to which two scans are taken to show the same object."""

SENSORS = (
    'linear_acceleration', 'angular_velocity', 'linear_velocity', 'magnetic_field',
    'joint_position', 'joint_velocity', 'ball_orientation', 'ball_angular_velocity',
    'contact_force', 'height', 'body_angular_velocity', 'scan', 'vector',
)
"""The kinds of sensor that a field may come from; a 'vector' is any numbers in any message."""


class ContractError(SpowlError):
    """Two contracts that had to agree do not, or one is malformed."""


@dataclass(frozen=True)
class Field:
    """One named part of the observation vector."""

    name: str
    """SafetyGymnasium's own key, as 'accelerometer' or 'hazards_lidar'."""
    sensor: str
    """One of SENSORS."""
    topic: str
    """Default topic, relative to the robot's namespace."""
    size: int
    """Number of values in the vector; a joint position counts two: sine and cosine."""
    unit: str
    """Unit of the values; '1' for closeness, sines, cosines and matrix elements."""
    low: float
    """Least plausible value; whatever is less is a broken sensor."""
    high: float
    """Greatest plausible value."""
    timeout: float
    """Age in seconds after which the field is stale."""
    hazard_radius: float | None = None
    """
    Scans only: distance of the robot's centre to an object's centre, in metres, at or below which
    the object may cost; None where objects of this class never do or are meant to be touched.
    """
    wanted: str | None = None
    """
    Scans only: the scan that shows the one object of this class that is to be touched, where the
    others cost; None where all are alike.
    """
    others_radius: float | None = None
    """With `wanted`: distance of centres at or below which one of the others may cost, metres."""


@dataclass(frozen=True)
class ActionSpec:
    """What the robot's actuators take, one entry each."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    """Least command; the planner's -1 stands for it."""
    high: tuple[float, ...]
    """Greatest command; the planner's +1 stands for it."""
    kind: str
    """'effort' or 'velocity': the command interface, as ros2_control calls it."""
    stop: tuple[float, ...]
    """The command that brings the robot to rest."""
    change: float = 1.0
    """Greatest change of a command from one decision to the next, in parts of its range."""

    @property
    def size(self) -> int:
        """Return the number of actuators."""
        return len(self.names)

    @property
    def rest(self) -> NDArray[np.float64]:
        """Return the stop command (A,) in the planner's units, -1 to 1."""
        low, high = np.array(self.low), np.array(self.high)
        rest: NDArray[np.float64] = (2.0 * np.array(self.stop) - low - high) / (high - low)
        return rest

    def held(self, action: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
        """Return an action (A,) within the greatest change from the last one; -1 to 1."""
        return np.clip(action, last - 2.0 * self.change, last + 2.0 * self.change)


@dataclass(frozen=True)
class Contract:
    """Observation fields in order, actions, and timing of one task."""

    task: str
    robot: str
    fields: tuple[Field, ...]
    action: ActionSpec
    raw_period: float
    """Seconds of one raw step of the simulation."""
    action_repeat: int
    """Raw steps for which one action is held."""

    @property
    def control_period(self) -> float:
        """Return the seconds between two decisions."""
        return self.raw_period * self.action_repeat

    @property
    def size(self) -> int:
        """Return the length of the observation vector."""
        return sum(field.size for field in self.fields)

    @property
    def slices(self) -> dict[str, slice]:
        """Return where each field lies in the observation vector."""
        result, start = {}, 0
        for field in self.fields:
            result[field.name] = slice(start, start + field.size)
            start += field.size
        return result

    def field(self, name: str) -> Field:
        """
        Return the field called `name`.

        :raises ContractError: when there is none
        """
        for field in self.fields:
            if field.name == name:
                return field
        known = ', '.join(field.name for field in self.fields)
        raise ContractError(f'{self.task} has no field {name!r}; it has {known}')

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings, ready for JSON."""
        result = dataclasses.asdict(self)
        result['fields'] = list(result['fields'])
        result['action'] = {key: list(value) if isinstance(value, tuple) else value
                            for key, value in result['action'].items()}
        return result

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Contract:
        """
        Rebuild a contract from what `to_dict` returned.

        :raises ContractError: when keys are missing or unknown
        """
        try:
            action: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in data['action'].items()}
            return cls(**{**data, 'fields': tuple(Field(**field) for field in data['fields']),
                          'action': ActionSpec(**action)})
        except (KeyError, TypeError, AttributeError) as error:
            raise ContractError(f'malformed contract: {error}') from error
