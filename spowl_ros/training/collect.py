# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Parallel environments of one task, stepped together, here or in worker processes.

Starting and finishing a step are separate calls: workers step while the trainer learns. The
placement of environments changes no number: each stream depends only on its seed and actions.
Workers write what they collect into memory that they share with the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from dataclasses import dataclass
from functools import partial
import logging
from multiprocessing.connection import Connection
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.children import ChildContext, child
from spowl_ros.base.errors import SpowlError
from spowl_ros.sim import environment
from spowl_ros.training.stream import EpisodeSummary, Stream, decision_shapes

if TYPE_CHECKING:  # without PyTorch workers start several times faster
    from spowl_ros.training.config import TrainConfig

log = logging.getLogger(__name__)

START_SECONDS = 180.0
"""How long a worker may take to start, build its environments and restore their states."""
_ATTEMPTS = 3
_EXIT_SECONDS = 2.0
_SEEN = 'seen'
"""The present observations with their windows, in the memory that processes share."""

CHARGES = ('cost_margin', 'least_cost', 'termination_reward')
"""Settings of collection that change what a stream charges."""

Ended = list[tuple[int, EpisodeSummary]]
"""Episodes that ended, with their streams."""
Makers = Mapping[int, Callable[[], Stream]]


@dataclass(frozen=True)
class Collected:
    """One decision of every stream; the stream is axis 0 of every array."""

    decisions: dict[str, NDArray[np.float32]]
    """Arrays in the form that the replay buffer takes; the next step may overwrite them."""
    ended: Ended
    cut: list[int]
    """Streams that lost their episode: their earlier decisions have no continuation."""


class Local:
    """
    Some of the streams, in this process.

    :param makers: a function for each stream, by its number among all learners' streams
    :param memory: of all streams, shared by all processes; each writes its streams' rows
    :param row: what a row has: the parts of a decision and `_SEEN`
    """

    def __init__(self, makers: Makers, memory: Any, row: np.dtype[np.void]) -> None:
        self.numbers = list(makers)
        self.streams = {number: make() for number, make in makers.items()}
        self._rows = np.frombuffer(memory, row)

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Restore the streams' states."""
        for (number, stream), state in zip(self.streams.items(), states, strict=True):
            stream.load_state(state)
            self._rows[_SEEN][number] = stream.wide

    def step(self, actions: NDArray[np.float32]) -> Ended:
        """Step every stream once; return the episodes that ended."""
        ended = []
        for (number, stream), action in zip(self.streams.items(), actions, strict=True):
            decision, end = stream.step(action)
            for name, value in decision.items():
                self._rows[name][number] = value
            self._rows[_SEEN][number] = stream.wide
            if end is not None:
                ended.append((number, end))
        return ended

    def send(self, work: Callable[[Local, Any], Any], content: Any) -> None:
        """Keep a request for `receive`."""
        self._asked = partial(work, self, content)

    def receive(self, seconds: float) -> Any:
        """Carry out the last request, however long it takes, and return its result."""
        return self._asked()

    def close(self) -> None:
        """Let the environments go: MuJoCo reserves half a gigabyte for each."""
        self.streams.clear()


class WorkerLost(Exception):
    """A worker crashed, failed or hangs; the text says which."""


class Worker:
    """One process with some of the streams."""

    def __init__(self, makers: Makers, memory: Any, row: np.dtype[np.void]) -> None:
        self.numbers = list(makers)
        self._arguments = makers, memory, row
        self._open()

    def _open(self) -> None:
        self._pipe, self._process = child(_work, *self._arguments, daemon=True)

    def send(self, work: Callable[[Local, Any], Any], content: Any) -> None:
        """Send a request; if the process has ended, `receive` raises."""
        with contextlib.suppress(OSError):
            self._pipe.send((work, content))

    def receive(self, seconds: float) -> Any:
        """
        Return the result of the last request.

        :raises WorkerLost: no answer within `seconds`, or the process has ended
        """
        try:
            if not self._pipe.poll(seconds):
                raise self._lost(f'gave no answer for {seconds:g} s')
            failure, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if failure:
            raise self._lost(f'failed with {failure}')
        return result

    def _ended(self) -> WorkerLost:
        self._process.join(_EXIT_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return self._lost(f'was killed by {signal.Signals(-code).name}')
        return self._lost(f'ended with exit code {code}')

    def _lost(self, how: str) -> WorkerLost:
        return WorkerLost(f'the worker of environments {self.numbers[0]} to {self.numbers[-1]} '
                          f'{how}')

    def restart(self) -> None:
        """Replace the process by a new one."""
        self.close()
        self._open()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(pipe: Connection, *arguments: Any) -> None:
    """Serve requests until the other end closes."""
    try:
        local = Local(*arguments)
        while True:
            work, content = pipe.recv()
            pipe.send(('', work(local, content)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # report any exception of an environment, then end this process
        pipe.send((f'{type(error).__name__}: {error}', None))


class Collector:
    """
    Streams stepped together, in the learners' order, in worker processes if configured.

    A worker that crashes or hangs is reported and replaced. Its streams continue with new
    episodes; their first decision replaces the lost one.

    :param configs: of the learners; they differ only in what each stream has of its own
    :param states: of the streams, from another collector's :meth:`state`; None: new episodes
    :raises SpowlError: a worker cannot start
    """

    def __init__(self, configs: Sequence[TrainConfig], states: list[dict[str, Any]] | None = None
                 ) -> None:
        collect = configs[0].collect
        makers = [partial(Stream, c.task, c.collect.action_repeat, c.seed, number,
                          c.collect.cost_margin, c.collect.least_cost,
                          c.collect.termination_reward, c.collect.least_upright,
                          c.collect.sleep, c.randomisation, c.networks.window)
                  for c in configs for number in range(collect.environments)]
        count = len(makers)
        self.contract = environment.contract(configs[0].task, collect.action_repeat)
        sizes = decision_shapes(self.contract.size, self.contract.action.size)
        row = np.dtype([(name, np.float32, shape) for name, shape in sizes.items()]
                       + [(_SEEN, np.float32, configs[0].networks.fitted(self.contract).wide_dim)])
        # without a name in the file system: it ends with its last process, however that ends
        memory = ChildContext().RawArray('c', count * row.itemsize)
        rows = np.frombuffer(memory, row)
        self._decisions = {name: rows[name] for name in sizes}
        self.observations = rows[_SEEN]
        """Current observations (streams, O), each with its window; a step overwrites them."""
        self._seconds = collect.step_timeout
        self._actions = np.zeros((count, self.contract.action.size), np.float32)
        self.workers: list[Local | Worker] = [
            (Worker if collect.workers else Local)(
                {int(n): makers[n] for n in numbers}, memory, row)
            for numbers in np.array_split(np.arange(count), min(max(collect.workers, 1), count))]
        self.load_state(states or [{'episode': 0, 'actions': []} for _ in makers])

    def start(self, actions: NDArray[np.float32]) -> None:
        """Begin one step of every stream with actions (streams, A) in [-1, 1]."""
        self._actions = actions
        for worker in self.workers:
            worker.send(Local.step, actions[worker.numbers])

    def finish(self) -> Collected:
        """
        Finish the step and return its outcome.

        :raises SpowlError: a worker is lost repeatedly
        """
        ended: Ended = []
        cut: list[int] = []
        for worker in self.workers:
            try:
                ended += worker.receive(self._seconds)
            except WorkerLost as lost:
                assert isinstance(worker, Worker)
                ended += self._recovered(worker, lost)
                cut += worker.numbers
        for state, action in zip(self._states, self._actions, strict=True):
            state['actions'].append(action.tolist())
        self._begin_next([number for number, _ in ended])
        return Collected(self._decisions, ended, cut)

    def _begin_next(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._states[number] = {'episode': self._states[number]['episode'] + 1, 'actions': []}

    def _recovered(self, worker: Worker, lost: WorkerLost) -> Ended:
        """Replace a worker, begin new episodes, and take one step in them."""
        for _ in range(_ATTEMPTS):
            log.warning('%s; restarted, they go on with new episodes', lost)
            self._begin_next(worker.numbers)
            try:
                worker.restart()
                worker.send(Local.load, [self._states[n] for n in worker.numbers])
                worker.receive(START_SECONDS)
                worker.send(Local.step, self._actions[worker.numbers])
                ended: Ended = worker.receive(self._seconds)
                return ended
            except WorkerLost as again:
                lost = again
        raise SpowlError(f'{lost}, {_ATTEMPTS} times in a row; continue with --resume, with '
                         'collect.workers=0 to see the fault itself')

    def state(self) -> list[dict[str, Any]]:
        """Return the streams' states, in order; not between `start` and `finish`."""
        return [{'episode': s['episode'], 'actions': list(s['actions'])} for s in self._states]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """
        Restore the state of every stream; what :meth:`state` returned then belongs to this.

        :raises SpowlError: a worker cannot restore its state
        """
        self._states = states
        try:
            for worker in self.workers:
                worker.send(Local.load, [states[n] for n in worker.numbers])
            for worker in self.workers:
                worker.receive(START_SECONDS)
        except WorkerLost as lost:
            self.close()
            raise SpowlError(f'{lost} while it started; collect.workers=0 shows the fault itself'
                             ) from lost

    def close(self) -> None:
        """End all workers, or let the environments of this process go."""
        for worker in self.workers:
            worker.close()
