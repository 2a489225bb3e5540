# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Distribute the episodes of one evaluation over a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
import pickle

from spowl_ros.base.errors import SpowlError
from spowl_ros.evaluation.episodes import (
    Agent,
    AgentSource,
    EvaluatedEpisode,
    environments_for,
    side_by_side,
)
from spowl_ros.scale.cluster import ONE_CORE, Cluster, Resources
from spowl_ros.sim.environment import AnyEnvironment
from spowl_ros.sim.perturbation import Perturbation


@dataclass(frozen=True)
class _Chunk:
    """Episodes that run side by side."""

    opened: bytes
    """Pickled: source, perturbation and lanes."""
    seeds: tuple[int, ...]


def run_chunks(cluster: Cluster, source: AgentSource, chunks: list[list[int]],
               perturbation: Perturbation | None,
               on_ended: Callable[[list[EvaluatedEpisode]], object],
               resources: Resources = ONE_CORE) -> None:
    """
    Run chunks of episodes as tasks. With the cluster bound, `evaluate` takes this as `elsewhere`.

    :param on_ended: gets the episodes of each chunk as it ends
    :raises SpowlError: an episode fails, or no machine of the cluster can run it
    """
    opened = pickle.dumps((source, perturbation, max(map(len, chunks))))
    jobs = iter(_Chunk(opened, tuple(seeds)) for seeds in chunks)
    for outcome in cluster.run(_run_chunk, partial(next, jobs, None), resources):
        if outcome.failed:
            raise SpowlError(f'episodes from seed {outcome.job.seeds[0]} on: {outcome.failed}')
        on_ended(outcome.value)


def _run_chunk(chunk: _Chunk) -> list[EvaluatedEpisode]:
    agent, environments = _open(chunk.opened)
    return side_by_side(agent, environments, chunk.seeds)


@lru_cache(1)  # a worker runs many chunks of the same evaluation
def _open(opened: bytes) -> tuple[Agent, list[AnyEnvironment]]:
    source, perturbation, lanes = pickle.loads(opened)
    return source.open(), environments_for(source, lanes, perturbation)
