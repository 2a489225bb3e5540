# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The contract between a controller and a robot: observation, action and control period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass
from itertools import accumulate
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base import names
from spowl_ros.base.errors import SpowlError

SCAN_RANGE = 3.0
"""Range of scan fields, metres: closeness c means the distance (1 - c) * SCAN_RANGE."""

SAME_OBJECT = 1e-3
"""Greatest difference in closeness at which two scans show the same object."""

KINDS = ('effort', 'velocity')
"""Command interfaces by ros2_control's names; zero brings the actuators to rest."""
CONTROL_PERIODS = (0.002, 2.0)
"""Least and greatest control period, seconds."""
GREATEST_TIMEOUT = 5.0
"""Longest silence of a sensor that any contract may allow, seconds."""
LONGEST_STOP_RAMP = 3.0
"""Longest time of a robot's ramp to its stop command, seconds."""
_LARGEST = 1e9
_ROUNDING = 1e-9
_LONGEST_NAME = 100
_MOST_VALUES = 4096
JOINT_SENSORS = ('joint_position', 'joint_velocity', 'contact_force', 'ball_orientation',
                 'ball_angular_velocity')
"""The kinds of sensor whose values a message lists by joint name."""


class ContractError(SpowlError):
    """Two contracts that must agree differ, or one is malformed."""


@dataclass(frozen=True)
class Field:
    """One named part of the observation vector."""

    name: str
    """SafetyGymnasium's own key, as 'accelerometer' or 'hazards_lidar'."""
    sensor: str
    """
    The kind of sensor: a row of `spowl_ros.robot.fields.SENSORS`, or 'vector' for any numbers in
    any message.
    """
    topic: str
    """Default topic, relative to the robot's namespace."""
    size: int
    """Number of values in the vector; a joint position counts two: sine and cosine."""
    unit: str
    """Unit of the values; '1' for closeness, sines, cosines and matrix elements."""
    low: float
    """Least plausible value; a smaller one means a broken sensor."""
    high: float
    """Greatest plausible value."""
    timeout: float
    """Age in seconds after which the field is stale."""
    hazard_radius: float | None = None
    """
    Scans only: distance between the centres of robot and object, metres, at or below which the
    object may cost; None if objects of this class never cost or are goals to touch.
    """
    wanted: str | None = None
    """
    Scans only: name of the scan that shows the one object of this class to touch, while the
    others cost; None if all objects are alike.
    """
    others_radius: float | None = None
    """With `wanted`: distance of centres at or below which one of the others may cost, metres."""
    joint: str = ''
    """Joint and contact sensors: name of the joint or contact in messages."""


@dataclass(frozen=True)
class ActionSpec:
    """What the robot's actuators take, one entry each."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    """Least command; the planner's -1."""
    high: tuple[float, ...]
    """Greatest command; the planner's +1."""
    kind: str
    """One of KINDS."""
    stop: tuple[float, ...]
    """The command that brings the robot to rest."""
    change: float = 1.0
    """Greatest change of a command between two decisions, as a fraction of its range."""

    stop_ramp: float = 0.0
    """
    Seconds in which a stop ramps from the far end of the range to `stop`; from nearer it takes
    less. 0: at once.
    """

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

    def command(self, action: ArrayLike) -> NDArray[np.float64]:
        """Return the command (A,) in actuators' units for an action (A,), each in [-1, 1]."""
        low, high = np.array(self.low), np.array(self.high)
        return low + (np.asarray(action) + 1.0) * 0.5 * (high - low)

    def action(self, command: ArrayLike) -> NDArray[np.float64]:
        """Return the action (A,), clipped to [-1, 1], for a command (A,) in actuators' units."""
        low, high = np.array(self.low), np.array(self.high)
        return np.clip(2.0 * (np.asarray(command) - low) / (high - low) - 1.0, -1.0, 1.0)

    def stopping(self, last: ArrayLike, seconds: float) -> NDArray[np.float64]:
        """Return a stop's action (A,), -1 to 1, some seconds after the action `last`."""
        rest = self.rest
        if self.stop_ramp <= 0.0:
            return rest
        # slightly more, so that rounding leaves no remainder
        step = seconds / self.stop_ramp * (1.0 + np.abs(rest)) + _ROUNDING
        return np.clip(rest, np.asarray(last) - step, np.asarray(last) + step)

    def way_to_stop(self, last: ArrayLike, seconds: float) -> Iterator[tuple[float, ...]]:
        """Yield the actions of a stop between `last` and rest, some seconds apart."""
        while not np.array_equal(last := self.stopping(last, seconds), self.rest):
            yield tuple(last.tolist())

    def held(self, action: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
        """Limit an action (A,), -1 to 1, to the greatest change from the last one."""
        return np.clip(action, last - 2.0 * self.change, last + 2.0 * self.change)


@dataclass(frozen=True)
class Contract:
    """
    Observation fields in order, actions, and timing of one task.

    :raises ContractError: names every invalid value
    """

    task: str
    robot: str
    fields: tuple[Field, ...]
    action: ActionSpec
    raw_period: float
    """Seconds of one raw step of the simulation."""
    action_repeat: int
    """Raw steps for which one action is held."""

    def __post_init__(self) -> None:
        """Check every value: all readers of a contract rely on it."""
        if found := list(_nonsense(self)):
            raise ContractError(f'the contract of {str(self.task)[:_LONGEST_NAME]!r} makes no '
                                f'sense: {"; ".join(found)}')

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
        """Return each field's slice of the observation vector."""
        ends = accumulate(field.size for field in self.fields)
        return {field.name: slice(end - field.size, end) for field, end in zip(self.fields, ends)}

    def field(self, name: str) -> Field:
        """
        Return the field called `name`.

        :raises ContractError: there is none
        """
        for field in self.fields:
            if field.name == name:
                return field
        known = ', '.join(field.name for field in self.fields)
        raise ContractError(f'{self.task} has no field {name!r}; it has {known}')

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings for JSON."""
        result = dataclasses.asdict(self)
        result['fields'] = list(result['fields'])
        result['action'] = {key: list(value) if isinstance(value, tuple) else value
                            for key, value in result['action'].items()}
        if not self.action.stop_ramp:  # as before there were any
            del result['action']['stop_ramp']
        return result

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Contract:
        """
        Rebuild a contract from what `to_dict` returned.

        :raises ContractError: keys are missing or unknown, or values are invalid
        """
        try:
            action: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in data['action'].items()}
            fields = tuple(Field(**{'joint': joint_of(field['name'], field['sensor']), **field})
                           for field in data['fields'])  # old ones do not name their joints
            return cls(**{**data, 'fields': fields, 'action': ActionSpec(**action)})
        except KeyError as error:
            raise ContractError(f'malformed contract: {error} is missing') from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ContractError(f'malformed contract: {error}') from error


def differing(first: Contract, second: Contract) -> list[str]:
    """Return the names of the parts in which two contracts differ; fields by field name."""
    if [field.name for field in first.fields] != [field.name for field in second.fields]:
        return ['its fields']
    found = [f'field {mine.name}' for mine, theirs in zip(first.fields, second.fields)
             if mine != theirs]
    return found + [part.name for part in dataclasses.fields(first) if part.name != 'fields'
                    and getattr(first, part.name) != getattr(second, part.name)]


def require_same(mine: Contract, other: Contract) -> None:
    """
    Check that another model has the contract of the model that drives.

    :raises ContractError: names what differs
    """
    if found := differing(mine, other):
        raise ContractError(f'the contract of the other model differs in {", ".join(found)}; '
                            'another contract needs another start')


def _nonsense(contract: Contract) -> Iterator[str]:
    """Yield one phrase for each invalid value of a contract."""
    for name in ('task', 'robot'):
        if not _is_name(getattr(contract, name)):
            yield f'{name} is no name'
    repeat, raw = contract.action_repeat, contract.raw_period
    if type(repeat) is not int or not 1 <= repeat <= 1000:
        yield f'action_repeat is {repeat!r}, wanted an integer from 1 to 1000'
    elif not _is_number(raw) or not CONTROL_PERIODS[0] <= raw * repeat <= CONTROL_PERIODS[1]:
        yield (f'raw_period is {raw!r}; with action_repeat {repeat} a control period from '
               f'{CONTROL_PERIODS[0]} to {CONTROL_PERIODS[1]} s is wanted')
    yield from _nonsense_of_action(contract.action)
    if not contract.fields:
        yield 'fields lists no sensors'
    scans = {field.name for field in contract.fields if field.sensor == 'scan'}
    for field in contract.fields:
        for phrase in _nonsense_of_field(field, scans):
            yield f'{str(field.name)[:_LONGEST_NAME]}: {phrase}'
    yield from (f'field {name!r} stands {count} times' for name, count in
                Counter(str(field.name) for field in contract.fields).items() if count > 1)


def _nonsense_of_action(action: ActionSpec) -> Iterator[str]:
    if not isinstance(action.names, tuple) or not 1 <= len(action.names) <= _MOST_VALUES:
        yield 'action.names lists no actuators'
        return
    if not all(map(_is_name, action.names)) or len(set(action.names)) < len(action.names):
        yield 'action.names are no names, each another'
    for name in ('low', 'high', 'stop'):
        values = getattr(action, name)
        if not isinstance(values, tuple) or len(values) != action.size:
            yield f'action.{name} has not one number for each of {action.size} actuators'
            return
        if not all(map(_is_number, values)):
            yield f'action.{name} is {list(values)!r}, wanted numbers'
            return
    if any(not low < high for low, high in zip(action.low, action.high, strict=True)):
        yield 'action.low is not below action.high'
    if any(not low <= stop <= high for low, stop, high in
           zip(action.low, action.stop, action.high, strict=True)):
        yield f'action.stop is {list(action.stop)}, outside action.low to action.high'
    if action.kind not in KINDS:
        yield f'action.kind is {action.kind!r}, wanted one of {", ".join(KINDS)}'
    if not _is_number(action.stop_ramp) or not 0.0 <= action.stop_ramp <= LONGEST_STOP_RAMP:
        yield (f'action.stop_ramp is {action.stop_ramp!r} s, wanted 0 to '
               f'{LONGEST_STOP_RAMP:g} s')
    if not _is_number(action.change) or not 0.0 < action.change <= 1.0:
        yield f'action.change is {action.change!r}, wanted more than 0 and at most 1'


def _nonsense_of_field(field: Field, scans: set[str]) -> Iterator[str]:
    for name in ('name', 'sensor'):
        if not _is_name(getattr(field, name)):
            yield f'{name} is no name'
    if field.joint != '' and not _is_name(field.joint):
        yield 'joint is no name'
    if not _is_name(field.topic) or not names.is_topic(field.topic.removeprefix('/')):
        yield f'topic is no topic; wanted {names.RULE}'
    if not isinstance(field.unit, str) or len(field.unit) > _LONGEST_NAME:
        yield 'unit is no text'
    if type(field.size) is not int or not 1 <= field.size <= _MOST_VALUES:
        yield f'size is {field.size!r}, wanted an integer from 1 to {_MOST_VALUES}'
    if not _is_number(field.low) or not _is_number(field.high) or not field.low < field.high:
        yield f'values from {field.low!r} to {field.high!r}, wanted two numbers in order'
    if not _is_number(field.timeout) or not 0.0 < field.timeout <= GREATEST_TIMEOUT:
        yield f'timeout is {field.timeout!r} s, wanted at most {GREATEST_TIMEOUT:g} s'
    for name in ('hazard_radius', 'others_radius'):
        radius = getattr(field, name)
        if radius is None:
            continue
        if field.sensor != 'scan':
            yield f'{name} stands on a sensor that is no scan'
        if not _is_number(radius) or not 0.0 < radius < SCAN_RANGE:
            yield f'{name} is {radius!r} m, wanted more than 0 and less than {SCAN_RANGE:g}'
    if field.wanted is not None and (field.sensor != 'scan' or field.wanted not in scans):
        yield f'wanted is {field.wanted!r}, which is no scan'


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value) and abs(value) <= _LARGEST)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def joint_of(name: str, sensor: str) -> str:
    """Return the joint or contact in SafetyGymnasium's name of a sensor; '' if none."""
    if sensor not in JOINT_SENSORS:
        return ''
    for prefix in ('jointpos_', 'jointvel_', 'ballquat_', 'ballangvel_'):
        name = name.removeprefix(prefix)
    return name.removesuffix('_vel') if sensor == 'joint_velocity' else name
