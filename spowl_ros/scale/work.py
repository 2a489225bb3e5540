# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is computed of one bag: the figures of a replay, or the sums for the gate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any, ClassVar, Self

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import absolute, read_bounded
from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.decision import SOURCES
from spowl_ros.replay import gate
from spowl_ros.replay.measures import measure
from spowl_ros.replay.replay import Changes, replay

_LARGEST_FILE = 2**20
COMMON: dict[str, type] = {'bag': str, 'error': str, 'bag_sha256': str}
"""The first columns of every table; `error` says why a bag cannot be read."""


@dataclass(frozen=True)
class Work(ABC):
    """
    What to compute of every bag, with which bundles and settings.

    A subclass gives its columns, and computes a row of them.
    """

    bundles: tuple[tuple[Path, str], ...]
    """Directory and SHA-256 of each."""
    changes: Changes
    robot: str
    """SHA-256 of the robot's file; empty: none."""

    COLUMNS: ClassVar[Mapping[str, type]]

    @classmethod
    def of(cls, loaded: Sequence[Bundle], changes: Changes) -> Self:
        """
        Return the work for some bundles.

        :raises SpowlError: the robot's file cannot be read
        """
        robot = hashlib.sha256(read_bounded(Path(changes.robot), _LARGEST_FILE)).hexdigest(
            ) if changes.robot else ''
        changes = replace(changes, robot=changes.robot and str(absolute(changes.robot)))
        return cls(tuple((absolute(bundle.directory), bundle.digest) for bundle in loaded),
                   changes, robot)

    @cached_property
    def key(self) -> str:
        """Return the SHA-256 over all that a row depends on, beside the bag."""
        parts = [type(self).__name__, [digest for _, digest in self.bundles],
                 self.changes.values, self.changes.namespace, self.robot, list(self.COLUMNS),
                 importlib.metadata.version('spowl_ros')]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def columns(self) -> dict[str, type]:
        """Return the columns of the table."""
        return {**COMMON, **self.COLUMNS}

    def row(self, bag: Path) -> dict[str, Any]:
        """
        Return a bag's row of COLUMNS; runs in a worker.

        :raises SpowlError: a bundle is another one here, or the bag cannot be replayed
        """
        return self.compute(bag, [_bundle(*which) for which in self.bundles])

    @abstractmethod
    def compute(self, bag: Path, loaded: Sequence[Bundle]) -> dict[str, Any]:
        """Return the row."""


class Replaying(Work):
    """The figures of a replay with one bundle."""

    COLUMNS = {
        'bundle_sha256': str, 'task': str, 'same_bundle': bool, 'decisions': int,
        'seconds': float, 'identical': bool, 'diverged_at': int, 'different_decisions': int,
        'episodes': int, 'return': float, 'cost': float,
        **{f'source_{source}': float for source in SOURCES},
        'hits': int, 'misses': int, 'false_alarms': int, 'lead_seconds': float,
        'value_bias': float, 'value_rmse': float, 'cost_value_bias': float,
        'cost_value_rmse': float, 'cost_value_correlation': float, 'latency_p50_ms': float,
        'latency_p99_ms': float, 'deadline_misses': int, 'damage': str}

    def compute(self, bag: Path, loaded: Sequence[Bundle]) -> dict[str, Any]:
        """Return the row."""
        (bundle,) = loaded
        measured = measure(replay(bag, bundle, self.changes))
        divergence, cost_value = measured['divergence'], measured['cost_value_calibration']
        return {
            **{name: measured[name] for name in (
                'bundle_sha256', 'task', 'same_bundle', 'decisions', 'seconds', 'identical',
                'diverged_at', 'return', 'cost')},
            'different_decisions': divergence and divergence['decisions'],
            'episodes': len(measured['episodes']),
            **{f'source_{name}': share for name, share in measured['source_fraction'].items()},
            **{name: measured['alarm'][name]
               for name in ('hits', 'misses', 'false_alarms', 'lead_seconds')},
            **{f'value_{name}': measured['value_calibration'][name] for name in ('bias', 'rmse')},
            **{f'cost_value_{name}': cost_value[name]
               for name in ('bias', 'rmse', 'correlation')},
            **{f'latency_{name}_ms': measured['latency_ms'][name] for name in ('p50', 'p99')},
            'deadline_misses': measured['latency_ms']['deadline_misses'],
            'damage': '; '.join(measured['damage'])}


class Judging(Work):
    """The sums over the decisions of an old bundle, A, and a new one, B."""

    COLUMNS = gate.COLUMNS

    def compute(self, bag: Path, loaded: Sequence[Bundle]) -> dict[str, Any]:
        """Return the row."""
        first, second = loaded
        return gate.Tally.of(bag, first, second, self.changes).row()


@lru_cache(2)
def _bundle(path: Path, sha256: str) -> Bundle:
    loaded = bundles.load(path)
    if loaded.digest != sha256:
        raise SpowlError(f'{path} is another bundle on this machine; put the same one on every '
                         'machine, or on a disk that they share')
    return loaded
