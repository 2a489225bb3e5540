# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Join a Ray cluster, or start one on this machine, and run jobs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from spowl_ros.base.errors import SpowlError, one_line

if TYPE_CHECKING:
    import ray

LOCAL = 'local'
"""The address that starts a cluster on this machine alone, for the duration of the work."""
TOKEN = Path('.ray/auth_token')
"""Ray's file, in the user's home, with the secret for joining."""
RETRIES = 5
"""Number of restarts of a task after its worker or node dies."""
AHEAD = 2
"""Waiting tasks per running one; they keep the cores busy between tasks."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class JobOutcome:
    """Outcome of one job."""

    job: Any
    value: Any
    """None: the job failed."""
    failed: str = ''
    """Reason of the failure in one line; empty: it did not fail."""


class Cluster:
    """
    A Ray cluster. Entering the context joins or starts it; leaving the context leaves it.

    A started cluster listens on loopback only, has no dashboard, and ends with this process. A
    joined cluster continues.

    :param address: LOCAL, or as Ray takes it: 'auto', or HOST:PORT
    :param cores: of a started cluster; None: all cores of the machine
    :raises SpowlError: no cluster there
    """

    def __init__(self, address: str = LOCAL, cores: int | None = None) -> None:
        self._address, self._cores = address, cores

    def __enter__(self) -> Self:
        os.environ['RAY_USAGE_STATS_ENABLED'] = '0'  # read when Ray is imported
        if self._address == LOCAL:
            # Ray has no other switch that keeps its ports on loopback.
            os.environ['RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'] = '0'
        elif 'RAY_AUTH_TOKEN' in os.environ or (Path.home() / TOKEN).exists():
            os.environ.setdefault('RAY_AUTH_MODE', 'token')
        import ray

        own: dict[str, Any] = {}
        if self._address == LOCAL:
            own = {'num_cpus': self._cores, 'include_dashboard': False}
        try:
            ray.init(address=self._address, logging_level=logging.ERROR, log_to_driver=False,
                     **own)
        except Exception as error:  # Ray raises plain ones too, as for a start that takes too long
            reason = one_line(error)[:300]
            raise SpowlError(
                f'Ray did not start on this machine ({reason}); where other work takes all cores, '
                'try again when it is done' if self._address == LOCAL else
                f"no Ray cluster at '{self._address}' ({reason}); start one with "
                "'ray start --head', or give --address local for this machine") from error
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()

    def slots(self, cores: float = 1.0, gpus: float = 0.0) -> int:
        """
        Return how many tasks the cluster can run at a time now.

        :raises SpowlError: no machine of the cluster has the resources of one task
        """
        import ray

        needs = {name: amount for name, amount in (('CPU', cores), ('GPU', gpus)) if amount}
        nodes = [node['Resources'] for node in ray.nodes() if node['Alive']]
        room = sum(min((int(node.get(name, 0.0) / amount + 1e-9)
                        for name, amount in needs.items()), default=1) for node in nodes)
        if not room:
            most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0)
                    for name in needs}
            raise SpowlError(
                f'a task needs {_said(needs)}, and the largest machines of the cluster have '
                f'{_said(most)}; ask for less, or join a larger machine')
        return room

    def run(self, work: Callable[[Any], Any], pull: Callable[[], Any],
            cores: float = 1.0, gpus: float = 0.0, on_wait: Callable[[], object] = lambda: None
            ) -> Iterator[JobOutcome]:
        """
        Run jobs, and yield the outcome of each as it ends.

        A job restarts elsewhere if its worker or node dies. A job that raises gives an outcome
        with the reason. The number of jobs is unlimited: the cluster pulls only as many as keep it
        busy.

        :param work: function that a worker calls; it and the jobs are pickled
        :param pull: returns the next job, or None if there is none now; called again after each
            outcome, until nothing runs
        :param cores: that each job occupies; it also occupies `gpus`
        :param on_wait: called now and then
        :raises SpowlError: no machine of the cluster has the resources of one task
        """
        import ray
        from ray.exceptions import RayError

        room = self.slots(cores, gpus) * (1 + AHEAD)
        task = ray.remote(_guarded).options(
            num_cpus=cores, num_gpus=gpus, max_retries=RETRIES)
        held = ray.put(work)
        running: dict[ray.ObjectRef, Any] = {}
        try:
            while True:
                while len(running) < room and (job := pull()) is not None:
                    running[task.remote(held, job)] = job
                if not running:
                    return
                done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                on_wait()
                for reference in done:
                    try:
                        value, failed = ray.get(reference)
                    except RayError as error:
                        value, failed = None, (
                            f'its worker died {RETRIES + 1} times, or the cluster is gone: '
                            f'{type(error).__name__}: {one_line(error)[:300]}')
                    yield JobOutcome(running.pop(reference), value, failed)
                if done:
                    room = max(room, self.slots(cores, gpus) * (1 + AHEAD))  # a machine joined
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _guarded(work: Callable[[Any], Any], job: Any) -> tuple[Any, str]:
    """Return the work's result, or None and the reason of its failure; runs in a worker."""
    try:
        return work(job), ''
    except SpowlError as error:
        return None, str(error)
    except Exception as error:
        return None, one_line(f'unexpected {type(error).__name__}: {error}')


def _said(amounts: dict[str, float]) -> str:
    return ' and '.join(f'{amount:g} {name}' for name, amount in amounts.items()) or 'nothing'
