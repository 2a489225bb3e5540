# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Join a Ray cluster, or start one on this machine, and have work done on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from spowl_ros.base.errors import SpowlError, one_line

if TYPE_CHECKING:
    import ray

LOCAL = 'local'
"""The address that starts a cluster of this machine alone, for as long as the work lasts."""
TOKEN = Path('.ray/auth_token')
"""Where Ray keeps, in the user's home, the secret that lets others join."""
RETRIES = 5
"""How often a task begins anew whose worker or node died."""
AHEAD = 2
"""Tasks that wait for each one that can run, so that no core is idle between two."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Resources:
    """What a task occupies."""

    cores: float = 1.0
    gpus: float = 0.0


ONE_CORE = Resources()


@dataclass(frozen=True)
class Outcome:
    """What came of one job."""

    job: Any
    value: Any
    """None where it failed."""
    failed: str = ''
    """The reason in one line; empty where it did not fail."""


class Cluster:
    """
    A cluster of Ray, joined or started on entering and left on leaving.

    One that is started here listens on loopback only, has no dashboard, and ends with this
    process. One that is joined goes on.

    :param address: LOCAL, or as Ray takes it: 'auto', or HOST:PORT
    :param cores: of a cluster that is started here; None: as many as the machine has
    :raises SpowlError: no cluster there
    """

    def __init__(self, address: str = LOCAL, cores: int | None = None) -> None:
        self._address, self._cores = address, cores

    def __enter__(self) -> Self:
        os.environ['RAY_USAGE_STATS_ENABLED'] = '0'  # read when Ray is imported
        if self._address == LOCAL:
            # Ray has no other switch by which its ports are on loopback only.
            os.environ['RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'] = '0'
        elif 'RAY_AUTH_TOKEN' in os.environ or (Path.home() / TOKEN).exists():
            os.environ.setdefault('RAY_AUTH_MODE', 'token')
        import ray
        from ray.exceptions import RayError

        quiet: dict[str, Any] = {'logging_level': logging.ERROR, 'log_to_driver': False}
        try:
            if self._address == LOCAL:
                ray.init(address=LOCAL, num_cpus=self._cores, include_dashboard=False,
                         **quiet)
            else:
                ray.init(address=self._address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            raise SpowlError(
                f"no Ray cluster at '{self._address}' ({one_line(error)[:300]}); start one with "
                "'ray start --head', or leave the address out for this machine") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        import ray

        ray.shutdown()

    def slots(self, resources: Resources) -> int:
        """
        Return how many tasks run at a time, as the cluster is now.

        :raises SpowlError: no machine of the cluster has what one task needs
        """
        import ray

        needs = {name: amount for name, amount in (
            ('CPU', resources.cores), ('GPU', resources.gpus)) if amount}
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
            resources: Resources = ONE_CORE,
            on_wait: Callable[[], object] = lambda: None) -> Iterator[Outcome]:
        """
        Have jobs done, and yield what came of each as it ends.

        A job whose worker or node dies begins anew elsewhere. One that raises is an outcome like
        another. Only so many jobs are pulled as keep the cluster busy, so that there may be any
        number of them.

        :param work: what a worker calls; it and the jobs are pickled
        :param pull: returns the next job, or None where there is none now; asked again after
            each outcome, until nothing runs any more
        :param on_wait: called now and then
        :raises SpowlError: no machine of the cluster has what one task needs
        """
        import ray

        room = self.slots(resources) * (1 + AHEAD)
        task = ray.remote(_guarded).options(
            num_cpus=resources.cores, num_gpus=resources.gpus, max_retries=RETRIES)
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
                    yield _outcome(reference, running.pop(reference))
                if done:
                    room = max(room, self.slots(resources) * (1 + AHEAD))  # a machine came
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _outcome(reference: ray.ObjectRef, job: Any) -> Outcome:
    import ray
    from ray.exceptions import RayError

    try:
        value, failed = ray.get(reference)
    except RayError as error:
        return Outcome(job, None, f'its worker died {RETRIES + 1} times, or the cluster is gone: '
                                  f'{type(error).__name__}: {one_line(error)[:300]}')
    return Outcome(job, value, failed)


def _guarded(work: Callable[[Any], Any], job: Any) -> tuple[Any, str]:
    """Return what the work returns, or None and why it failed; runs in a worker."""
    try:
        return work(job), ''
    except SpowlError as error:
        return None, str(error)
    except Exception as error:
        return None, one_line(f'unexpected {type(error).__name__}: {error}')


def _said(amounts: dict[str, float]) -> str:
    return ' and '.join(f'{amount:g} {name}' for name, amount in amounts.items()) or 'nothing'
