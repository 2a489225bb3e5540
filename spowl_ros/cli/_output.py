# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that commands write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from spowl_ros.base.errors import SpowlError


def check_writable(path: str | Path) -> None:
    """
    Make sure that a file can be written, before the work whose result it takes.

    :raises SpowlError: no such directory, no permission, or the name is a directory
    """
    path = Path(path)
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SpowlError(f'{path} cannot be written: {folder} is not a directory that can be '
                         'written to, or the name is a directory')


def write_json(path: str | Path, data: dict[str, Any]) -> None:
    """
    Write a JSON file whole or not at all.

    :raises SpowlError: the disk does not take it
    """
    path = Path(path)
    part = path.with_name(path.name + '.part')
    try:
        part.write_text(json.dumps(data, indent=2, allow_nan=False) + '\n')
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SpowlError(f'cannot write {path}: {error.strerror}; free some space or name '
                         'another file') from error
