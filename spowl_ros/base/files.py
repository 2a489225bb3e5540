# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read files up to a size limit, and write them whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import csv
import io
import json
import os
from pathlib import Path
import stat
import sys
import tempfile
from typing import Any

from spowl_ros.base.errors import SpowlError


def absolute(path: str | Path) -> Path:
    """Return the absolute path behind links and `~`; never an error, whatever the links."""
    return Path(os.path.realpath(os.path.expanduser(path)))


def read_bounded(path: Path, limit: int) -> bytes:
    """
    Return the bytes of a regular file; refuse anything else without waiting for it.

    :param limit: largest size in bytes
    :raises SpowlError: no regular file, larger, or unreadable
    """
    try:
        # without O_NONBLOCK, opening a FIFO would wait for somebody who writes into it
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, 'rb') as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SpowlError(f'{path}: not a regular file; put the file itself there')
            data = b'' if status.st_size > limit else stream.read(limit + 1)
    except OSError as error:
        raise SpowlError(f'{path}: {error.strerror or error}') from error
    if max(status.st_size, len(data)) > limit:
        raise SpowlError(f'{path}: more than the {limit} bytes that it may have')
    return data


def write_whole(path: str | Path, data: bytes) -> None:
    """
    Write a file whole or not at all: write a new one beside it, sync it, and rename it.

    A device or pipe is written to, never replaced. Through a link, the link's target is replaced.
    If the path is this process's standard output, the bytes go there.

    :raises SpowlError: the disk or the reader does not take it; an old file is then intact
    """
    path = Path(path)
    try:
        status = path.stat() if path.exists() else None
        if status is not None and not stat.S_ISREG(status.st_mode):
            with open(os.open(path, os.O_WRONLY | os.O_NOCTTY), 'wb') as stream:
                stream.write(data)
        elif status is not None and _is_output(status):
            sys.stdout.flush()
            with open(1, 'wb', closefd=False) as stream:
                stream.write(data)
        else:
            _replace(Path(os.path.realpath(path)), data, status)
    except OSError as error:
        raise SpowlError(f'cannot write {path}: {error.strerror or error}; free some space or '
                         'name another file') from error


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]],
              columns: Sequence[str] = ()) -> None:
    """
    Write a table, whole or not at all.

    :param columns: their names; by default those of the first row
    :raises SpowlError: the file cannot be written
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns or rows[0]), restval='')
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """
    Write a JSON file, whole or not at all.

    :raises SpowlError: the file cannot be written, or a number in it is not finite
    """
    try:
        text = json.dumps(data, indent=2, allow_nan=False)
    except ValueError as error:
        raise SpowlError(f'{path} is not written: a number that it would hold is not finite, so '
                         'something was measured wrong') from error
    write_whole(path, f'{text}\n'.encode())


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """
    Yield the name of a file that a library may write; then write its bytes whole to the path.

    :raises SpowlError: the path cannot be written; after an error inside nothing is written
    """
    with tempfile.TemporaryDirectory(prefix='spowl-') as folder:
        part = Path(folder) / Path(path).name
        yield part
        if part.exists():
            write_whole(path, part.read_bytes())


def check_writable(*paths: str | Path | None) -> None:
    """
    Check that files can be written, before the work that produces their content.

    :param paths: None stands for a file that is not wanted
    :raises SpowlError: no such directory, no permission, or the name is a directory
    """
    for path in (Path(path) for path in paths if path is not None):
        folder = Path(os.path.realpath(path)).parent
        if path.exists() and not path.is_file() and not path.is_dir():
            if not os.access(path, os.W_OK):
                raise SpowlError(f'{path} cannot be written to; name another file')
        elif path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise SpowlError(f'{path} cannot be written: {folder} is not a directory that can be '
                             'written to, or the name is a directory')


def _is_output(status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.fstat(1))
    except OSError:  # there is no standard output
        return False


def _replace(path: Path, data: bytes, status: os.stat_result | None) -> None:
    descriptor, part = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    try:
        with open(descriptor, 'wb') as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) if status else 0o666 & ~_umask())
            os.fsync(descriptor)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Sync a directory, so that its file names survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
