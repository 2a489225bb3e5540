# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Each setting is declared once: type, default, range, choices and one sentence of documentation.

A settings class is a frozen dataclass; a field made by `setting` carries its range and its
sentence. Nested settings classes become dotted names (``sensor_margin.keepout``). ROS parameters,
launch arguments, command lines, YAML files and their documentation all come from here: `declared`
lists, `read` builds from nested dicts, `changed` replaces, `assigned` reads ``name=value``.

It uses plain dataclasses rather than a settings library: ROS parameters need ranges, `control`
may import little, and such a library would only replace `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
from dataclasses import dataclass
import difflib
from functools import partial
import json
import math
import re
import types
import typing
from typing import Any, TypeVar

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.scalars import scalar

T = TypeVar('T')

_WORDS = {bool: 'true or false', int: 'an integer', float: 'a number', str: 'a text',
          type(None): 'null'}
_SHOWN = 80
"""Characters of a wrong value that an error message repeats."""
_LISTED = 12
"""Most names that an error message lists."""


@dataclass(frozen=True)
class Setting:
    """One declared setting."""

    name: str
    """Dotted name."""
    kind: Any
    """bool, int, float or str; a tuple, list or dict of these; or one of these or None."""
    default: Any
    description: str = ''
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
        try:
            value = _converted(value, self.kind, self.name)
        except SpowlError:
            if self.kind in _WORDS:
                raise self._wrong(value) from None
            raise
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        outside = type(value) in (int, float) and not low <= value <= high
        if outside or (self.choices and value not in self.choices):
            raise self._wrong(value)
        return value

    def parse(self, text: str) -> Any:
        """
        Return the value of a text from the command line.

        A text setting takes it as written, any other setting reads YAML 1.2, a list reads JSON.

        :raises SpowlError: wrong type, out of range, not among the choices
        """
        if self.kind is str:
            return self.check(text)
        text = text.strip()
        if text[:1] in ('[', '{'):
            try:
                return self.check(json.loads(text))
            except (ValueError, RecursionError) as error:
                raise SpowlError(f"'{self.name}' is {_shown(text)}, which is no JSON "
                                 f'({error})') from error
        value = scalar(text)
        lower = text.lower()
        if self.kind is bool and lower in ('true', 'false'):
            value = lower == 'true'
        return self.check(text if value is None and self.kind in _WORDS else value)

    def wanted(self) -> str:
        """Return in words which values the setting accepts."""
        if self.choices:
            return 'one of ' + ', '.join(repr(choice) for choice in self.choices)
        name = _in_words(self.kind)
        if self.low is not None and self.high is not None:
            return f'{name} from {_digits(self.low)} to {_digits(self.high)}'
        if self.low is not None:
            return f'{name} of at least {_digits(self.low)}'
        if self.high is not None:
            return f'{name} of at most {_digits(self.high)}'
        return name

    def _wrong(self, value: Any) -> SpowlError:
        """Return the error for a wrong value."""
        kind = f' ({type(value).__name__})' if type(value) is not self.kind else ''
        hint = ''
        if self.kind is str and type(value) is bool:
            hint = "; ROS reads a bare on, off, yes and no as true or false: write 'off' in quotes"
        return SpowlError(f"'{self.name}' is {_shown(value)}{kind}, wanted {self.wanted()}{hint}")


def setting(default: Any = dataclasses.MISSING, description: str = '', *,
            low: float | None = None, high: float | None = None, choices: tuple[str, ...] = (),
            read_only: bool = False) -> Any:
    """Declare a field of a settings class."""
    return dataclasses.field(default=default, metadata={
        'description': description, 'low': low, 'high': high, 'choices': choices,
        'read_only': read_only})


fixed = partial(setting, read_only=True)
"""Declare a field that is set at the start only."""


def group(cls: Callable[..., T], **defaults: Any) -> T:
    """Declare a nested settings class as a field; `defaults` replace some of its defaults."""
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


def flattened(settings: Any) -> dict[str, Any]:
    """Return every dotted name with its value."""
    return {entry.name: entry.default for entry in declared(settings)}


def changed(settings: T, values: Mapping[str, Any]) -> T:
    """
    Return the settings with some values replaced; check all of them.

    :param values: dotted name to new value
    :raises SpowlError: unknown name, wrong type, out of range
    """
    known = {entry.name: entry for entry in declared(settings)}
    for name in values:
        if name not in known:
            raise unknown('setting', name, known)
    return _made(type(settings), settings, nested(values), '')


def parsed(settings: T, texts: Mapping[str, str]) -> T:
    """
    Return the settings with some values replaced, given as text.

    :param texts: full name to a text for `Setting.parse`
    :raises SpowlError: unknown name, wrong type, out of range
    """
    known = {entry.name: entry for entry in declared(settings)}
    return changed(settings, {name: known[name].parse(text) if name in known else text
                              for name, text in texts.items()})


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names and values as dicts within dicts."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split('.')
        branch = tree
        for part in groups:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


# name=value

def assigned(table: Iterable[Setting], texts: Iterable[str], sign: str = '=', home: str = '',
             ) -> dict[str, Any]:
    """
    Return full names and checked values of texts ``name=value``; the last value of a name wins.

    :param sign: separator of name and value
    :param home: as `find`
    :raises SpowlError: another form, no such setting, a wrong value
    """
    return {entry.name: entry.parse(value)
            for entry, value in _named(list(table), texts, sign, home)}


def swept(table: Iterable[Setting], texts: Iterable[str], home: str = '') -> dict[str, list[Any]]:
    """
    Return full names and the values of texts ``name=value1,value2,...``.

    :raises SpowlError: as `assigned`
    """
    return {entry.name: [entry.parse(value.strip()) for value in values.split(',')]
            for entry, values in _named(list(table), texts, '=', home)}


def _named(table: Sequence[Setting], texts: Iterable[str], sign: str, home: str
           ) -> Iterator[tuple[Setting, str]]:
    """Yield the setting that each text names, and the text of its value."""
    for text in texts:
        name, found, value = text.partition(sign)
        if not (found and name.strip()):
            raise SpowlError(f"'{text}' is not of the form NAME{sign}VALUE")
        yield find(table, name.strip(), home), value


def find(table: Sequence[Setting], name: str, home: str = '') -> Setting:
    """
    Return the setting with this full name, or the only one whose name ends in it.

    :param home: prefix of the names to try first, as 'planner.'
    :raises SpowlError: none, or several
    """
    known = {entry.name: entry for entry in table}
    for full in (name, home + name):
        if full in known:
            return known[full]
    meant = [full for full in known if re.search(rf'[._]{re.escape(name)}$', full)]
    exact = [full for full in meant if full.endswith(f'.{name}')]
    chosen = exact if len(exact) == 1 else meant
    if len(chosen) == 1:
        return known[chosen[0]]
    if chosen:
        raise SpowlError(f"'{name}' could mean {', '.join(sorted(chosen))}; write it out")
    raise unknown('setting', name, known)


def unknown(what: str, name: object, known: Iterable[str]) -> SpowlError:
    """Return the error for an unknown name, with the nearest known names."""
    return SpowlError(f"there is no {what} '{name}'; {meant(str(name), known)}")


def meant(name: str, known: Iterable[str]) -> str:
    """Return a hint: the likely name; if none is near, all names, or the nearest of many."""
    there = sorted(known)
    if near := difflib.get_close_matches(name, there, n=1):
        return f"did you mean '{near[0]}'?"
    if len(there) <= _LISTED:
        return f'there are {", ".join(there)}'
    ends = {entry.rpartition('.')[2]: entry for entry in there}
    word = name.rpartition('.')[2]
    nearest = dict.fromkeys([
        *(entry for entry in there if word in entry),
        *(ends[end] for end in difflib.get_close_matches(word, ends, 3, 0.0))])
    return f'the nearest of {len(there)} are {", ".join([*nearest][:3])}'


# Nested dicts

def read(kind: type[T], data: Any, where: str = '') -> T:
    """
    Build a settings object from nested dicts, as YAML and JSON hold them.

    A missing key keeps the class's default; a nested section changes the class's own section.

    :param where: dotted name of the part being read, for error messages
    :raises SpowlError: an unknown or missing key, a wrong type, a value out of its range
    """
    return _made(kind, None, data, where)


def _made(kind: type[T], start: T | None, data: Any, where: str) -> T:
    """
    Return a settings object with the values of nested dicts; as `start` where they say nothing.

    All values come in at once: those that depend on each other may come in any order.
    """
    if not isinstance(data, Mapping):
        raise SpowlError(f"{where or 'this'} is {_shown(data)}, wanted a mapping of keys")
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    hints = typing.get_type_hints(kind)
    prefix = f'{where}.' if where else ''
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in fields:
            raise unknown('key', f'{prefix}{name}', [prefix + field for field in fields])
        section = _default(fields[name]) if start is None else getattr(start, name)
        if dataclasses.is_dataclass(section) and not isinstance(section, type):
            values[name] = _made(type(section), section, value, prefix + name)
        else:
            values[name] = Setting(prefix + name, hints[name], None,
                                   **fields[name].metadata).check(value)
    missing = [name for name, field in fields.items()
               if name not in data and _default(field) is dataclasses.MISSING]
    if missing and start is None:
        raise SpowlError(f'{prefix}{missing[0]} is missing; wanted {_in_words(hints[missing[0]])}')
    try:
        return kind(**values) if start is None else dataclasses.replace(
            typing.cast(Any, start), **values)
    except ValueError as error:
        raise SpowlError(f'{where}: {error}' if where else str(error)) from error


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return a field's default, or MISSING."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _converted(value: Any, kind: Any, where: str) -> Any:
    """
    Convert a value to a type: integer to float, list to tuple; nothing else changes.

    :raises SpowlError: it does not fit
    """
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return value if type(value) is kind else read(typing.cast(type, kind), value, where)
    if kind in _WORDS:
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is kind and value == value:
            return value
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        for choice in (*(choice for choice in inner if type(value) is choice), *inner):
            try:
                return _converted(value, choice, where)
            except SpowlError:
                continue
    elif origin is dict and isinstance(value, Mapping):
        return {_converted(key, inner[0], f'{where}: key'):
                _converted(item, inner[1], f'{where}.{key}') for key, item in value.items()}
    elif origin in (tuple, list) and isinstance(value, list | tuple):
        alike = origin is list or inner[-1] is Ellipsis
        if alike or len(value) == len(inner):
            return origin(_converted(item, inner[0] if alike else inner[index],
                                     f'{where}[{index}]') for index, item in enumerate(value))
    raise SpowlError(f"'{where}' is {_shown(value)} ({type(value).__name__}), "
                     f'wanted {_in_words(kind)}')


def _in_words(kind: Any) -> str:
    """Return in words which values a type accepts."""
    if kind in _WORDS:
        return _WORDS[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return ' or '.join(map(_in_words, inner))
    if origin in (tuple, list):
        alike = origin is list or inner[-1] is Ellipsis
        return (f'a list, each {_in_words(inner[0])}' if alike
                else f'a list of {", ".join(map(_in_words, inner))}')
    return 'a mapping of keys'


def _digits(limit: float) -> str:
    """Return a limit as short text; an integer keeps every digit."""
    return str(limit) if type(limit) is int else f'{limit:g}'


def _shown(value: Any) -> str:
    """Return a value as an error message repeats it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'
