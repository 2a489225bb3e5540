# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Read and write YAML 1.2 of plain values, within limits on size and depth.

`scalars` defines the meaning of words. Duplicate keys, aliases, tags, a second document, and a
file that is too long or too deep are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
import io
from pathlib import Path
import re
from typing import Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.scalars import scalar

LARGEST = 2 ** 18
"""Largest file, bytes."""
DEEPEST = 32
"""Levels of nesting."""
MOST = 20_000
"""Most values in one document; reading as many takes about two seconds."""

_PLAIN = re.compile(r'[/A-Za-z_][\w/.-]*', re.ASCII)
_OLD_WORDS = ('y', 'n', 'yes', 'no', 'on', 'off', 'true', 'false', 'null')
"""Words that are text in YAML 1.2, but not in YAML 1.1, by which ROS 2 reads parameters."""


def load(text: str) -> Any:
    """
    Return the content of one YAML document: dicts, lists, text, numbers, booleans.

    :raises SpowlError: not YAML, or YAML that the module's docstring refuses
    """
    if len(text) > LARGEST:
        raise SpowlError(f'it is longer than {LARGEST} characters')
    try:
        return _document(_counted(YAML(typ='safe', pure=True).parse(text)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f' in line {mark.line + 1}' if mark else ''
        raise SpowlError(f'{error.problem or error.context}{where}') from error
    except (YAMLError, YAMLStreamError, ValueError) as error:
        raise SpowlError(str(error)) from error


def read(path: Path, what: str) -> Any:
    """
    Return the content of a file of one YAML document.

    :param what: what the file should be, as 'the robot'; begins every error message
    :raises SpowlError: not a regular file, unreadable, or as `load`
    """
    try:
        if path.exists() and not path.is_file():
            raise SpowlError(f'{what} {path} is not a file')
        with path.open('rb') as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, 'strerror', None) or error
        raise SpowlError(f'{what} {path} is not a file that can be read ({reason})') from error
    try:
        return load(data.decode('utf-8'))
    except UnicodeDecodeError as error:
        raise SpowlError(f'{what} {path} is no YAML: it is not text in UTF-8') from error
    except SpowlError as error:
        raise SpowlError(f'{what} {path} is no YAML that can be taken: {error}') from error


def chain(path: Path, what: str) -> list[dict[str, Any]]:
    """
    Return a file's mapping and those that it builds on, from the deepest to its own.

    A file builds on another in its folder by its key ``base``, which is left out.

    :raises SpowlError: no mapping, a file that builds on itself, or as `read`
    """
    found: list[dict[str, Any]] = []
    seen: list[Path] = []
    following: Path | None = path
    while following is not None:
        if following in seen:
            raise SpowlError(f"{what} {path} builds on itself: 'base' leads back to {following}")
        seen.append(following)
        data = read(following, what)
        if not isinstance(data, dict):
            raise SpowlError(f'{following} holds no mapping of keys; see config/training/ for '
                             'examples')
        base = data.pop('base', None)
        if not isinstance(base, str | None):
            raise SpowlError(f"{following}: 'base' is {base!r}, wanted a file beside it")
        found.insert(0, data)
        following = None if base is None else following.parent / base
    return found


def dump(data: Any) -> str:
    """Return plain values as YAML that 1.1 and 1.2 read alike; keeps the order of the keys."""
    writer: Any = YAML(typ='safe', pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False
    writer.representer.ignore_aliases = lambda value: True
    writer.representer.add_representer(str, _quoted)
    writer.representer.add_representer(tuple, type(writer.representer).represent_list)
    stream = io.StringIO()
    writer.dump(data, stream)
    return stream.getvalue()


def _quoted(representer: Any, text: str) -> Any:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _OLD_WORDS
    style = None if plain else "'" if text.isprintable() else '"'
    return representer.represent_scalar('tag:yaml.org,2002:str', text, style=style)


def _counted(stream: Iterator[Any]) -> Iterator[Any]:
    """Yield the events of a document; refuse one that is too large."""
    for count, event in enumerate(stream):
        if count > MOST:
            raise SpowlError(f'it holds more than {MOST} values')
        yield event


def _document(stream: Iterator[Any]) -> Any:
    """Return the value of the only document."""
    value: Any = None
    documents = 0
    for event in stream:
        if isinstance(event, events.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise SpowlError(f'a second document begins in line {_line(event)}')
        elif not isinstance(event, events.StreamStartEvent | events.StreamEndEvent
                            | events.DocumentEndEvent):
            value = _value(event, stream, 0)
    return value


def _value(event: Any, stream: Iterator[Any], depth: int) -> Any:
    """Return the value that begins with an event."""
    if depth > DEEPEST:
        raise SpowlError(f'it nests more than {DEEPEST} levels in line {_line(event)}')
    if isinstance(event, events.AliasEvent) or event.anchor:
        raise SpowlError(f'an anchor or alias stands in line {_line(event)}; write the value out')
    if event.ctag is not None and str(event.ctag) not in ('', '!'):
        raise SpowlError(f'a tag ({event.ctag}) stands in line {_line(event)}; leave it out')
    if isinstance(event, events.ScalarEvent):
        return scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, events.SequenceStartEvent):
        items = []
        while not isinstance(inner := next(stream), events.SequenceEndEvent):
            items.append(_value(inner, stream, depth + 1))
        return items
    assert isinstance(event, events.MappingStartEvent)
    mapping: dict[Any, Any] = {}
    while not isinstance(inner := next(stream), events.MappingEndEvent):
        if not isinstance(inner, events.ScalarEvent):
            raise SpowlError(f'a key in line {_line(inner)} is no plain word')
        key = _value(inner, stream, depth + 1)
        if key in mapping:
            raise SpowlError(f'key {key!r} stands twice, again in line {_line(inner)}')
        mapping[key] = _value(next(stream), stream, depth + 1)
    return mapping


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
