# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Replay any number of bags on a cluster: one task and one row per bag, each done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import read_bounded, write_whole
from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay.measures import measure
from spowl_ros.replay.replay import Changes, Replayer
from spowl_ros.scale import store
from spowl_ros.scale.cluster import ONE_CORE, Cluster, Resources
from spowl_ros.scale.store import Place

COLUMNS: dict[str, type] = {
    'bag': str, 'error': str, 'bag_sha256': str, 'bundle_sha256': str, 'task': str,
    'same_bundle': bool, 'decisions': int, 'seconds': float, 'identical': bool,
    'diverged_at': int, 'different_decisions': int, 'episodes': int, 'return': float,
    'cost': float, **{f'source_{source}': float for source in SOURCES},
    'hits': int, 'misses': int, 'false_alarms': int, 'lead_seconds': float,
    'value_bias': float, 'value_rmse': float, 'cost_value_bias': float, 'cost_value_rmse': float,
    'cost_value_correlation': float, 'latency_p50_ms': float, 'latency_p99_ms': float,
    'deadline_misses': int, 'damage': str}
"""The columns of the table of bags, and their types; `error` says why a bag cannot be read."""
OUT_OF_ORDER = 10_000
"""Greatest number of rows that wait for an earlier bag; at this limit no new bag begins."""
_LARGEST_ROW = 2**20


@dataclass(frozen=True)
class Request:
    """How to replay every bag, and where to keep rows."""

    bundle: Path
    bundle_sha256: str
    changes: Changes
    cache: Path
    settings_sha256: str


@dataclass(frozen=True)
class _Job:
    number: int
    place: Place
    request: Request


def request(bundle: Path, changes: Changes, cache: Path) -> Request:
    """
    Return how bags are to be replayed.

    :raises SpowlError: not a bundle, or no such robot's file
    """
    robot = hashlib.sha256(read_bounded(Path(changes.robot), _LARGEST_ROW)).hexdigest(
        ) if changes.robot else ''
    settings = [changes.values, changes.namespace, robot, list(COLUMNS),
                importlib.metadata.version('spowl_ros')]
    return Request(bundle.resolve(), bundles.load(bundle).digest, changes, cache.resolve(),
                   hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest())


def default_cache() -> Path:
    """Return the default directory of rows: the user's cache directory."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'spowl_ros/replay'


def replay(cluster: Cluster, places: Iterator[Place], wanted: Request,
           resources: Resources = ONE_CORE,
           on_row: Callable[[bool], object] = lambda computed: None) -> Iterator[dict[str, Any]]:
    """
    Yield a row of COLUMNS for each bag, in the order of the bags.

    Cached rows are not computed again: those of unchanged bags and of bags with the same bytes.
    The row of an unreadable bag gives the reason; the next call tries that bag again.

    :param on_row: gets, for each row, whether it was computed
    :raises SpowlError: no bag, or no machine for a task
    """
    known: dict[int, dict[str, Any]] = {}
    numbered = enumerate(places)
    next_row = asked = 0
    exhausted = False

    def pull() -> _Job | None:
        nonlocal asked, exhausted
        while asked - next_row < OUT_OF_ORDER:
            number, place = next(numbered, (asked, None))
            if place is None:
                exhausted = True
                return None
            asked = number + 1
            row = _remembered(wanted, place)
            if row is None:
                return _Job(number, place, wanted)
            known[number] = {**row, 'bag': place.url}
            on_row(False)
        return None

    def ready() -> Iterator[dict[str, Any]]:
        nonlocal next_row
        while next_row in known:
            next_row += 1
            yield known.pop(next_row - 1)

    while not exhausted:
        for outcome in cluster.run(_replay_one, pull, resources):
            job, computed = outcome.job, False
            if outcome.failed:
                known[job.number] = {'bag': job.place.url, 'error': outcome.failed}
            else:
                row, computed = outcome.value
                _keep(wanted, job.place, row)
                known[job.number] = {**row, 'bag': job.place.url}
            on_row(computed)
            yield from ready()
        yield from ready()


def _replay_one(job: _Job) -> tuple[dict[str, Any], bool]:
    """Return the row of a bag, and whether it was computed; runs in a worker."""
    with store.at_hand(job.place) as path:
        sha256 = store.digest(path)
        row = _read(_row_file(job.request, sha256))
        if row is not None:
            return row, False
        bundle = _bundle(job.request.bundle, job.request.bundle_sha256)
        with Bag(path) as bag:
            measured = measure(Replayer(bag, bundle, job.request.changes).run())
    return row_of(measured, sha256), True


@lru_cache(1)
def _bundle(path: Path, sha256: str) -> Bundle:
    loaded = bundles.load(path)
    if loaded.digest != sha256:
        raise SpowlError(f'{path} is another bundle on this machine; put the same one on every '
                         'machine, or on a disk that they share')
    return loaded


def row_of(measured: Mapping[str, Any], sha256: str) -> dict[str, Any]:
    """Return a bag's row from the figures of its replay."""
    divergence, cost_value = measured['divergence'], measured['cost_value_calibration']
    return {
        **{name: measured[name] for name in (
            'bag', 'bundle_sha256', 'task', 'same_bundle', 'decisions', 'seconds', 'identical',
            'diverged_at', 'return', 'cost')},
        'bag_sha256': sha256,
        'different_decisions': divergence and divergence['decisions'],
        'episodes': len(measured['episodes']),
        **{f'source_{name}': share for name, share in measured['source_fraction'].items()},
        **{name: measured['alarm'][name]
           for name in ('hits', 'misses', 'false_alarms', 'lead_seconds')},
        **{f'value_{name}': measured['value_calibration'][name] for name in ('bias', 'rmse')},
        **{f'cost_value_{name}': cost_value[name] for name in ('bias', 'rmse', 'correlation')},
        **{f'latency_{name}_ms': measured['latency_ms'][name] for name in ('p50', 'p99')},
        'deadline_misses': measured['latency_ms']['deadline_misses'],
        'damage': '; '.join(measured['damage'])}


# The cache: a file for each row, and one for each fingerprint that names the bag's hash.

def _row_file(wanted: Request, bag_sha256: str) -> Path:
    key = hashlib.sha256('/'.join(
        (bag_sha256, wanted.bundle_sha256, wanted.settings_sha256)).encode()).hexdigest()
    return wanted.cache / 'rows' / key[:2] / f'{key}.json'


def _seen_file(wanted: Request, place: Place) -> Path:
    return wanted.cache / 'seen' / place.fingerprint[:2] / f'{place.fingerprint}.json'


def _remembered(wanted: Request, place: Place) -> dict[str, Any] | None:
    """Return the cached row of an unchanged bag, without opening the bag."""
    seen = _read(_seen_file(wanted, place))
    return None if seen is None else _read(_row_file(wanted, str(seen.get('bag_sha256'))))


def _keep(wanted: Request, place: Place, row: Mapping[str, Any]) -> None:
    for file, content in ((_row_file(wanted, row['bag_sha256']), row),
                          (_seen_file(wanted, place), {'bag_sha256': row['bag_sha256']})):
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
