# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Settings declared once: type, default, range, choices and sentence of documentation.

A settings class is a frozen dataclass whose fields are made by `setting`. Nested settings classes
become dotted names (``sensor_margin.keepout``). ROS parameters, their documentation and the
checks of a change all come from `declared`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
import math
import typing
from typing import Any, TypeVar

from spowl_ros.base.errors import SpowlError

T = TypeVar('T')


@dataclass(frozen=True)
class Setting:
    """One declared setting."""

    name: str
    """Dotted name."""
    kind: type
    """bool, int, float or str."""
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    """Cannot change while the node is active."""

    def check(self, value: Any) -> Any:
        """
        Return the value in the setting's own type.

        :raises SpowlError: wrong type, out of range, not among the choices
        """
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise SpowlError(f"'{self.name}' is {value!r} ({type(value).__name__}), "
                             f'wanted {self.wanted()}')
        if self.choices and value not in self.choices:
            raise SpowlError(f"'{self.name}' is {value!r}, wanted {self.wanted()}")
        if self.kind in (int, float):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            number: Any = value
            if not low <= number <= high:
                raise SpowlError(f"'{self.name}' is {value!r}, wanted {self.wanted()}")
        return value

    def parse(self, text: str) -> Any:
        """
        Return the value that a text stands for, as on a command line.

        :raises SpowlError: wrong type, out of range, not among the choices
        """
        value: Any = text
        try:
            if self.kind is bool:
                value = {'true': True, 'false': False}[text.lower()]
            elif self.kind is not str:
                value = self.kind(text)
        except (KeyError, ValueError):
            pass  # the check says what is wanted
        return self.check(value)

    def wanted(self) -> str:
        """Say in words what the setting takes."""
        if self.choices:
            return 'one of ' + ', '.join(repr(choice) for choice in self.choices)
        name = {bool: 'true or false', int: 'an integer', float: 'a number',
                str: 'a text'}[self.kind]
        if self.low is not None and self.high is not None:
            return f'{name} from {_digits(self.low)} to {_digits(self.high)}'
        if self.low is not None:
            return f'{name} of at least {_digits(self.low)}'
        if self.high is not None:
            return f'{name} of at most {_digits(self.high)}'
        return name


def _digits(limit: float) -> str:
    """Return a limit in short, but every digit of an integer."""
    return str(limit) if type(limit) is int else f'{limit:g}'


def setting(default: Any, description: str, *, low: float | None = None,
            high: float | None = None, choices: tuple[str, ...] = (),
            read_only: bool = False) -> Any:
    """Declare a field of a settings class."""
    return dataclasses.field(default=default, metadata={
        'description': description, 'low': low, 'high': high, 'choices': choices,
        'read_only': read_only})


def group(cls: type[T], **defaults: Any) -> T:
    """Declare a nested settings class as a field, with its own defaults for some of its fields."""
    return dataclasses.field(default_factory=lambda: cls(**defaults))


def declared(defaults: Any, prefix: str = '') -> list[Setting]:
    """
    List every setting of a settings object, nested ones with dotted names.

    :param defaults: a settings object; its values are the defaults
    """
    hints = typing.get_type_hints(type(defaults))
    result: list[Setting] = []
    for field in dataclasses.fields(defaults):
        value = getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            result += declared(value, f'{prefix}{field.name}.')
        else:
            result.append(Setting(name=prefix + field.name, kind=hints[field.name], default=value,
                                  **field.metadata))
    return result


def changed(settings: T, values: dict[str, Any]) -> T:
    """
    Return the settings with some values replaced, all of them checked.

    :param values: dotted name to new value
    :raises SpowlError: unknown name, wrong type, out of range
    """
    known = {entry.name: entry for entry in declared(settings)}
    tree: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise SpowlError(f"no setting '{name}'; known are {', '.join(sorted(known))}")
        *groups, last = name.split('.')
        branch = tree
        for part in groups:
            branch = branch.setdefault(part, {})
        branch[last] = known[name].check(value)
    return _replaced(settings, tree)


def _replaced(settings: Any, tree: dict[str, Any]) -> Any:
    """Replace all values at once, so that those that need each other may come in any order."""
    return dataclasses.replace(settings, **{
        name: _replaced(getattr(settings, name), value) if isinstance(value, dict) else value
        for name, value in tree.items()})


def flattened(settings: Any) -> dict[str, Any]:
    """Return every dotted name with its value."""
    return {entry.name: entry.default for entry in declared(settings)}
