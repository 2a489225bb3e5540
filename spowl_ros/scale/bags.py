# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Judge any number of bags on a cluster: one task and one row per bag, each done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import read_bounded, write_whole
from spowl_ros.scale import store
from spowl_ros.scale.cluster import Cluster
from spowl_ros.scale.store import Place
from spowl_ros.scale.work import Work

OUT_OF_ORDER = 10_000
"""While so many rows wait for an earlier bag, no new bag begins."""
_LARGEST_ROW = 2**20


def default_cache() -> Path:
    """Return the default directory of rows: the user's cache directory."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'spowl_ros/bags'


def rows(cluster: Cluster, places: Iterator[Place], work: Work, cache: Path,
         on_row: Callable[[bool], object] = lambda computed: None) -> Iterator[dict[str, Any]]:
    """
    Yield a row of the work's columns for each bag, in the order of the bags.

    Cached rows are not computed again: those of unchanged bags and of bags with the same bytes.
    The row of an unreadable bag gives the reason; the next call tries that bag again.

    :param cache: directory of the rows that are kept
    :param on_row: gets, for each row, whether it was computed
    :raises SpowlError: no bag, or no machine for a task
    """
    known: dict[int, dict[str, Any]] = {}
    numbered = enumerate(places)
    next_row = 0
    exhausted = False

    def pull() -> tuple[int, Place] | None:
        nonlocal exhausted
        while len(known) < OUT_OF_ORDER:
            job = next(numbered, None)
            if job is None:
                exhausted = True
                return None
            number, place = job
            row = _remembered(cache, work, place)
            if row is None:
                return job
            known[number] = {**row, 'bag': place.url}
            on_row(False)
        return None

    def ready() -> Iterator[dict[str, Any]]:
        nonlocal next_row
        while next_row in known:
            next_row += 1
            yield known.pop(next_row - 1)

    while not exhausted:
        for outcome in cluster.run(partial(_compute, work, cache), pull):
            number, place = outcome.job
            if outcome.failed:
                row, computed = {'error': outcome.failed}, False
            else:
                row, computed = outcome.value
                _keep(cache, work, place, row)
            known[number] = {**row, 'bag': place.url}
            on_row(computed)
            yield from ready()
        yield from ready()


def _compute(work: Work, cache: Path, job: tuple[int, Place]) -> tuple[dict[str, Any], bool]:
    """Return the row of a numbered bag, and whether it was computed; runs in a worker."""
    with store.at_hand(job[1]) as path:
        sha256 = store.digest(path)
        row = _read(_row_file(cache, work, sha256))
        if row is not None:
            return row, False
        return {**work.row(path), 'bag_sha256': sha256}, True


# The cache: a file for each row, and one for each fingerprint that names the bag's hash.

def _row_file(cache: Path, work: Work, bag_sha256: str) -> Path:
    key = hashlib.sha256(f'{bag_sha256}/{work.key}'.encode()).hexdigest()
    return cache / 'rows' / key[:2] / f'{key}.json'


def _seen_file(cache: Path, place: Place) -> Path:
    return cache / 'seen' / place.fingerprint[:2] / f'{place.fingerprint}.json'


def _remembered(cache: Path, work: Work, place: Place) -> dict[str, Any] | None:
    """Return the cached row of an unchanged bag, without opening the bag."""
    seen = _read(_seen_file(cache, place))
    return None if seen is None else _read(
        _row_file(cache, work, str(seen.get('bag_sha256'))))


def _keep(cache: Path, work: Work, place: Place, row: Mapping[str, Any]) -> None:
    for file, content in ((_row_file(cache, work, row['bag_sha256']), row),
                          (_seen_file(cache, place), {'bag_sha256': row['bag_sha256']})):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(content).encode())


def _read(file: Path) -> dict[str, Any] | None:
    """Return the content of a cache file; None if it is missing or damaged."""
    try:
        content = json.loads(read_bounded(file, _LARGEST_ROW))
    except (SpowlError, ValueError):
        return None
    return content if isinstance(content, dict) else None
