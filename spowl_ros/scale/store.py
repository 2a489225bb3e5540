# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Find and fetch bags in folders and object stores, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from fsspec.core import url_to_fs

from spowl_ros.bags.reader import is_bag
from spowl_ros.base.errors import SpowlError, one_line

_MARKS = ('size', 'mtime', 'ETag', 'etag', 'LastModified', 'updated', 'last_modified')
"""File system attributes that change with a file's content."""


@dataclass(frozen=True)
class Place:
    """Place of a bag."""

    url: str
    """A path, or a URL of fsspec such as s3://bucket/bag."""
    fingerprint: str
    """Changes when a file of the bag is written again, as far as the file system shows it."""


def find(url: str) -> Iterator[Place]:
    """
    Yield the bag of a path or URL, or the bags in its folders, by name.

    Holds only the names of folders in memory, and lists each folder when its turn comes.

    :raises SpowlError: no such place, no bag in it, or no driver for such a URL
    """
    files, root = _opened(url)
    scheme = '' if '://' not in url else url.partition('://')[0] + '://'
    try:
        single = files.isfile(root)
        entries = [files.info(root)] if single else files.ls(root, detail=True)
        if single or _is_bag(entries):
            yield Place(url, _fingerprint(url, entries))
            return
        found = False
        for folder in sorted(entry['name'] for entry in entries if entry['type'] == 'directory'):
            inside = files.ls(folder, detail=True)
            files.invalidate_cache(folder)
            if _is_bag(inside):
                found = True
                where = scheme + folder if scheme else str(Path(url) / Path(folder).name)
                yield Place(where, _fingerprint(where, inside))
    except FileNotFoundError as error:
        raise SpowlError(f'no such bag: {url}') from error
    except (OSError, ValueError) as error:
        raise SpowlError(f'{url} cannot be read: {one_line(error)[:300]}') from error
    if not found:
        raise SpowlError(f'{url} is not a bag: no .mcap or .db3 file in it, nor in its folders')


@contextmanager
def at_hand(place: Place) -> Iterator[Path]:
    """
    Provide a bag as a local path within the context; fetch it if it is in an object store.

    :raises SpowlError: it cannot be fetched
    """
    if '://' not in place.url:
        yield Path(place.url)
        return
    files, root = _opened(place.url)
    with TemporaryDirectory(prefix='spowl_bag_') as folder:
        target = Path(folder) / PurePosixPath(root).name
        try:
            if files.isfile(root):
                files.get_file(root, str(target))
            else:
                target.mkdir()
                for entry in files.ls(root, detail=True):
                    if entry['type'] == 'file' and PurePosixPath(entry['name']) != PurePosixPath(
                            root):  # some stores list a folder as an empty file with its name
                        files.get_file(entry['name'],
                                       str(target / PurePosixPath(entry['name']).name))
        except (OSError, ValueError) as error:
            raise SpowlError(f'{place.url} cannot be fetched: {one_line(error)[:300]}') from error
        yield target


def digest(path: Path) -> str:
    """Return the SHA-256 of a bag, over the names, lengths and bytes of its files."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(
            entry for entry in path.iterdir() if entry.is_file()):
        total.update(json.dumps([file.name, file.stat().st_size]).encode())
        with file.open('rb') as stream:
            hashlib.file_digest(stream, lambda: total)  # goes on with it
    return total.hexdigest()


def _opened(url: str) -> tuple[Any, str]:
    """
    Return the file system of a URL, without a listings cache, and the path in it.

    PyArrow, part of the extra, reads S3; region, endpoint and credentials are those of the machine
    (AWS_REGION, AWS_ENDPOINT_URL, a profile, the machine's role).
    """
    scheme, _, rest = url.partition('://')
    try:
        if rest and scheme == 's3':
            from fsspec.implementations.arrow import ArrowFSWrapper
            from pyarrow.fs import S3FileSystem

            endpoint = os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL')
            return ArrowFSWrapper(S3FileSystem(endpoint_override=endpoint)), rest.rstrip('/')
        options = {'use_listings_cache': False} if rest else {}
        return url_to_fs(url, **options)
    except (ImportError, ValueError, OSError) as error:
        raise SpowlError(f'{url} cannot be read: {one_line(error)[:300]}') from error


def _is_bag(entries: list[dict[str, Any]]) -> bool:
    return is_bag(PurePosixPath(entry['name']).name
                  for entry in entries if entry['type'] == 'file')


def _fingerprint(url: str, entries: list[dict[str, Any]]) -> str:
    marks = sorted(
        [PurePosixPath(entry['name']).name,
         *(str(entry[mark]) for mark in _MARKS if mark in entry)] for entry in entries)
    return hashlib.sha256(json.dumps([url, marks]).encode()).hexdigest()
