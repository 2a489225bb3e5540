# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Errors for users, each printed as one line.

A node prints an error with `to_line`; the process that started the node reads it with `from_line`.
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
import tempfile
import time
import traceback

INTERRUPTED = 128 + 2
"""Exit code of a command that Ctrl-C ended, as shells report it."""
UNREAD = 128 + 13
"""Exit code of a command whose reader left before its end, as shells report it; no verdict."""
_PREFIX = 'error: '
_HEAD, _TAIL = 2000, 500
"""Characters kept of a longer text: its beginning, and its end, which says what to do."""


class SpowlError(Exception):
    """
    A mistake in an input: a file, an argument, a parameter, a model.

    The message names the thing, what it had, what was wanted, and what to do. It is always one
    line of bounded length without control characters. The command line and the nodes print it
    without a traceback and exit with `EXIT_CODE`.
    """

    EXIT_CODE = 2

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: object) -> str:
    """Return a text as one line: control characters escaped, a long middle left out."""
    words = ' '.join(str(text).split())
    if len(words) > _HEAD + _TAIL:
        words = f'{words[:_HEAD]} [{len(words) - _HEAD - _TAIL} more] {words[-_TAIL:]}'
    return ''.join(character if character.isprintable()
                   else character.encode('unicode_escape').decode() for character in words)


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, cut to 300 characters; its type if empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def to_line(message: object) -> str:
    """Return an error as the line that `from_line` reads in another process."""
    return _PREFIX + one_line(message)


def from_line(line: str) -> str | None:
    """Return the message of a line that `to_line` wrote; None for any other line."""
    return line.removeprefix(_PREFIX) if line.startswith(_PREFIX) else None


def crash(error: BaseException) -> str:
    """
    Write the traceback of an unexpected error to a file; return one line with error and file.

    The file lies in ROS 2's log directory, or in the temporary one if the former takes no files.
    """
    said = one_line(f'{type(error).__name__}: {error}')
    text = ''.join(traceback.format_exception(error))
    name = f'spowl_crash_{time.strftime("%Y%m%d_%H%M%S")}_{os.getpid()}.txt'
    for folder in (*log_folders(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding='utf-8', errors='backslashreplace')
        except OSError:
            continue
        return f'unexpected {said}; the traceback is in {folder / name}: please report it'
    return f'unexpected {said}; no folder takes the traceback: set ROS_LOG_DIR to one that does'


def report(program: str, error: BaseException) -> int:
    """Say in one line why a command did not succeed; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        print(f'{program}: interrupted{one_line(error)}', file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader closed it, as in `spowl ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    code = SpowlError.EXIT_CODE
    if isinstance(error, SpowlError):
        code, text = error.EXIT_CODE, str(error)
    elif isinstance(error, OSError):
        where = f'{error.filename!r}: ' if error.filename is not None else ''
        text = f'{where}{one_line(error.strerror or error)}'
    else:
        text = crash(error)
    print(f'{program}: error: {text}', file=sys.stderr)
    return code


def log_folders() -> list[Path]:
    """Return the folders in which ROS 2 may write logs; it takes the first."""
    named = ((os.environ.get(name), within) for name, within in (
        ('ROS_LOG_DIR', ''), ('ROS_HOME', 'log'), ('HOME', '.ros/log')))
    return [Path(name, within) for name, within in named if name]
