# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Distribute the episodes of one evaluation over a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
import pickle

from spowl_ros.base.errors import SpowlError
from spowl_ros.evaluation.episodes import AgentSource, ChunkRunner, EvaluatedEpisode, runner
from spowl_ros.scale.cluster import Cluster
from spowl_ros.sim.perturbation import Perturbation


def run_chunks(cluster: Cluster, source: AgentSource, chunks: list[list[int]],
               perturbation: Perturbation | None,
               on_ended: Callable[[list[EvaluatedEpisode]], object]) -> None:
    """
    Run chunks of episodes as tasks. With the cluster bound, `evaluate` takes this as `elsewhere`.

    :param on_ended: gets the episodes of each chunk as it ends
    :raises SpowlError: an episode fails, or no machine of the cluster can run it
    """
    opening = pickle.dumps(partial(runner, source, max(map(len, chunks)), perturbation))
    pull = partial(next, iter(chunks), None)
    for outcome in cluster.run(partial(_run_chunk, opening), pull):
        if outcome.failed:
            raise SpowlError(f'episodes from seed {outcome.job[0]} on: {outcome.failed}')
        on_ended(outcome.value)


def _run_chunk(opening: bytes, seeds: list[int]) -> list[EvaluatedEpisode]:
    """Run episodes side by side."""
    return _open(opening)(seeds)


@lru_cache(1)  # a worker runs many chunks of the same evaluation
def _open(opening: bytes) -> ChunkRunner:
    """Return what the pickled function returns, which runs episodes."""
    runs: ChunkRunner = pickle.loads(opening)()
    return runs
