# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The meaning of a plain word in files and on the command line: YAML 1.2's core schema.

``true`` is a boolean, ``3`` an integer, ``1e-3`` a number, ``null`` is None. Everything else is
text as written, including ``off``, ``yes`` and ``1:30``.
"""

from __future__ import annotations

import re

from spowl_ros.base.errors import SpowlError

_WORDS = {'true': True, 'false': False, 'null': None}
_INTEGER = re.compile(r'[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+')
_FLOAT = re.compile(r'[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?')
_SPECIAL = re.compile(r'([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)')
_LONGEST = 64
"""Characters of the longest number accepted."""


def scalar(text: str) -> bool | int | float | str | None:
    """
    Return the value of a plain word.

    :raises SpowlError: an integer beyond 64 bits, or a number of more than 64 characters
    """
    if text in ('', '~'):
        return None
    if text.lower() in _WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return _WORDS[text.lower()]
    if not (text[0].isdigit() or text[0] in '+-.'):
        return text
    if _SPECIAL.fullmatch(text):
        return float(text.replace('.', ''))
    integer = _INTEGER.fullmatch(text)
    if not integer and not _FLOAT.fullmatch(text):
        return text
    if len(text) > _LONGEST:
        raise SpowlError(f'{text[:12]}... is a number of {len(text)} characters; '
                         f'{_LONGEST} at most are taken')
    if not integer:
        return float(text)
    value = int(text, 0) if text[:2] in ('0o', '0x') else int(text)
    if not -2 ** 63 <= value < 2 ** 64:
        raise SpowlError(f'{text} is an integer of more than 64 bits')
    return value
