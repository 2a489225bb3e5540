# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Parallel environments of one task, stepped together, here or in worker processes.

Starting and finishing a step are separate calls: workers step while the trainer learns. The
placement of environments changes no number: each stream depends only on its seed and actions.
Workers write what they collect into memory that they share with the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
import logging
import math
from multiprocessing.connection import Connection
import signal
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.children import ChildContext
from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract
from spowl_ros.sim import environment
from spowl_ros.sim.randomisation import Randomisation
from spowl_ros.training.stream import EpisodeSummary, Stream

if TYPE_CHECKING:  # without PyTorch workers start several times faster
    from spowl_ros.training.config import TrainConfig

log = logging.getLogger(__name__)

START_SECONDS = 180.0
"""How long a worker may take to start, build its environments and restore their states."""
_ATTEMPTS = 3
_EXIT_SECONDS = 2.0
_SEEN = 'seen'
"""The present observations with their windows, among the shared arrays."""

CHARGES = ('cost_margin', 'least_cost', 'termination_reward')
"""Settings of collection that change what a stream charges."""

SCALARS = ('reward', 'cost', 'terminated', 'ended')
"""Parts of a decision that are one number."""

MakeStream = Callable[[int], Stream]


@dataclass(frozen=True)
class Collected:
    """One decision of every stream; the stream is axis 0 of every array."""

    decisions: dict[str, NDArray[np.float32]]
    """Arrays in the form that the replay buffer takes; the next step may overwrite them."""
    ended: list[tuple[int, EpisodeSummary]]
    """Episodes that ended, with their streams."""
    fresh: list[int]
    """Streams whose next observation is the first of an episode."""
    cut: list[int]
    """Streams that lost their episode: their earlier decisions have no continuation."""


class Collector(Protocol):
    """Streams stepped together."""

    contract: Contract

    @property
    def observations(self) -> NDArray[np.float32]:
        """Current observations (streams, O), each with its window; a step overwrites them."""

    def start(self, actions: NDArray[np.float32]) -> None:
        """Begin one step of every stream with actions (streams, A) in [-1, 1]."""

    def finish(self) -> Collected:
        """Finish the step and return its outcome."""

    def state(self) -> list[dict[str, Any]]:
        """Return the streams' states, in order; not between `start` and `finish`."""

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Restore the state of every stream."""

    def close(self) -> None:
        """End what runs."""


@dataclass(frozen=True)
class StreamSettings:
    """Settings of a learner's streams."""

    task: str
    action_repeat: int
    seed: int
    cost_margin: float
    least_cost: float
    termination_reward: float
    sleep: bool
    randomisation: Randomisation
    window: int


def make(configs: Sequence[TrainConfig]) -> Collector:
    """Return the configured collector; the streams are in the learners' order."""
    first, collect = configs[0], configs[0].collect
    settings = [StreamSettings(c.task, c.collect.action_repeat, c.seed, c.collect.cost_margin,
                               c.collect.least_cost, c.collect.termination_reward,
                               c.collect.sleep, c.randomisation, c.networks.window)
                for c in configs]
    make_stream = partial(_stream, settings, collect.environments)
    count = collect.environments * len(configs)
    if not collect.workers:
        return LocalCollector(make_stream, count, first.networks.window)
    return ProcessCollector(
        make_stream, count, min(collect.workers, count),
        environment.contract(first.task, collect.action_repeat), first.networks.window,
        collect.step_timeout)


def _stream(settings: Sequence[StreamSettings], environments: int, number: int) -> Stream:
    """Return a stream by its index among all learners' streams."""
    learner, own = divmod(number, environments)
    return Stream(**vars(settings[learner]), number=own)


class Shared:
    """
    What the streams collect, in one memory for all processes; each writes its streams' rows.

    :param count: number of streams
    :param window: rows of the observations' windows
    """

    def __init__(self, count: int, contract: Contract, window: int) -> None:
        observation, action = contract.size, contract.action.size
        self._sizes = {'obs': (observation,), 'next_obs': (observation,), 'action': (action,),
                       **dict.fromkeys(SCALARS, ()),
                       _SEEN: (observation + window * (observation + action),)}
        self._count = count
        # without a name in the file system: it ends with its last process, however that ends
        self._memory = ChildContext().RawArray(
            'f', count * sum(math.prod(size) for size in self._sizes.values()))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return views: parts of a decision and `_SEEN`, each (streams, ...)."""
        flat, views, start = np.frombuffer(self._memory, np.float32), {}, 0
        for name, size in self._sizes.items():
            end = start + self._count * math.prod(size)
            views[name] = flat[start:end].reshape(self._count, *size)
            start = end
        return views


class _Rows:
    """Streams and their rows of the shared memory."""

    def __init__(self, shared: Shared, numbers: Sequence[int], streams: Sequence[Stream]) -> None:
        self.numbers, self.streams = numbers, streams
        self._arrays = shared.arrays()

    def show(self) -> None:
        """Write the current observations."""
        for number, stream in zip(self.numbers, self.streams, strict=True):
            self._arrays[_SEEN][number] = stream.wide

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Restore the streams' states."""
        for stream, state in zip(self.streams, states, strict=True):
            stream.load_state(state)
        self.show()

    def step(self, actions: NDArray[np.float32]) -> list[tuple[int, EpisodeSummary]]:
        """Step every stream once; return the episodes that ended, with their streams."""
        ended = []
        for number, stream, action in zip(self.numbers, self.streams, actions, strict=True):
            decision, end = stream.step(action)
            for name, value in decision.items():
                self._arrays[name][number] = value
            if end is not None:
                ended.append((number, end))
        self.show()
        return ended


def _collected(arrays: dict[str, NDArray[np.float32]], ended: list[tuple[int, EpisodeSummary]],
               cut: list[int]) -> Collected:
    return Collected({name: array for name, array in arrays.items() if name != _SEEN}, ended,
                     [stream for stream, _ in ended], cut)


class LocalCollector:
    """Streams in this process."""

    def __init__(self, make_stream: MakeStream, count: int, window: int) -> None:
        self.streams = [make_stream(number) for number in range(count)]
        self.contract = self.streams[0].environment.contract
        shared = Shared(count, self.contract, window)
        self._rows, self._arrays = _Rows(shared, range(count), self.streams), shared.arrays()
        self._rows.show()
        self._actions: NDArray[np.float32] | None = None

    @property
    def observations(self) -> NDArray[np.float32]:
        """Current observations (streams, O), each with its window; a step overwrites them."""
        return self._arrays[_SEEN]

    def start(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions for `finish`."""
        self._actions = actions

    def finish(self) -> Collected:
        """Step every stream once."""
        assert self._actions is not None, 'start comes first'
        return _collected(self._arrays, self._rows.step(self._actions), [])

    def state(self) -> list[dict[str, Any]]:
        """Return the streams' states, in order."""
        return [s.state() for s in self.streams]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Restore the state of every stream."""
        self._rows.load(states)

    def close(self) -> None:
        """Let the environments go: MuJoCo reserves half a gigabyte for each."""
        self.streams.clear()


class WorkerLost(Exception):
    """A worker crashed, failed or hangs; the text says which."""


class _Worker:
    """One process with some of the streams."""

    def __init__(self, make_stream: MakeStream, numbers: Sequence[int], shared: Shared) -> None:
        self._make_stream, self.numbers, self._shared = make_stream, numbers, shared
        self._open()

    def _open(self) -> None:
        context = ChildContext()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, daemon=True, args=(
            theirs, self._make_stream, self.numbers, self._shared))
        self._process.start()
        theirs.close()  # else this end would not see the process die

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._process.pid

    def send(self, request: str, content: Any) -> None:
        """
        Send a request.

        :raises WorkerLost: the process has ended
        """
        try:
            self._pipe.send((request, content))
        except OSError as error:
            raise WorkerLost(self._death()) from error

    def receive(self, seconds: float) -> Any:
        """
        Return the answer to the last request.

        :raises WorkerLost: no answer within `seconds`, or the process has ended
        """
        try:
            if not self._pipe.poll(seconds):
                raise WorkerLost(f'gave no answer for {seconds:g} s')
            kind, content = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost(self._death()) from error
        if kind == 'failed':
            raise WorkerLost(f'failed with {content}')
        return content

    def _death(self) -> str:
        self._process.join(_EXIT_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f'was killed by {signal.Signals(-code).name}'
        return f'ended with exit code {code}'

    def restart(self) -> None:
        """Replace the process by a new one."""
        self.close()
        self._open()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(pipe: Connection, make_stream: MakeStream, numbers: Sequence[int], shared: Shared
          ) -> None:
    """Serve requests until the other end closes."""
    try:
        rows = _Rows(shared, numbers, [make_stream(number) for number in numbers])
        while True:
            request, content = pipe.recv()
            if request == 'load':
                rows.load(content)
                pipe.send(('loaded', None))
            else:
                pipe.send(('stepped', rows.step(content)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # report any exception of an environment, then end this process
        pipe.send(('failed', f'{type(error).__name__}: {error}'))


class ProcessCollector:
    """
    Streams in worker processes.

    A worker that crashes or hangs is reported and replaced. Its streams continue with new
    episodes; their first decision replaces the lost one.

    :param timeout: seconds that one step may take before a worker counts as hanging
    """

    def __init__(self, make_stream: MakeStream, count: int, workers: int, contract: Contract,
                 window: int, timeout: float) -> None:
        self._seconds, self.contract = timeout, contract
        self._states: list[dict[str, Any]] = [{'episode': 0, 'actions': []} for _ in range(count)]
        self._actions = np.zeros((count, contract.action.size), np.float32)
        shared = Shared(count, contract, window)
        self._arrays = shared.arrays()
        self._workers = [_Worker(make_stream, [int(n) for n in numbers], shared)
                         for numbers in np.array_split(np.arange(count), workers)]
        self.load_state(self._states)

    @property
    def observations(self) -> NDArray[np.float32]:
        """Current observations (streams, O), each with its window; a step overwrites them."""
        return self._arrays[_SEEN]

    @property
    def pids(self) -> list[int | None]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def start(self, actions: NDArray[np.float32]) -> None:
        """Send the actions; `finish` handles lost workers."""
        self._actions = actions
        for worker in self._workers:
            try:
                worker.send('step', actions[worker.numbers])
            except WorkerLost as lost:
                log.debug('worker %s: %s', worker.pid, lost)

    def finish(self) -> Collected:
        """
        Wait for every worker.

        :raises SpowlError: a worker is lost repeatedly
        """
        ended: list[tuple[int, EpisodeSummary]] = []
        cut: list[int] = []
        for worker in self._workers:
            try:
                ended += worker.receive(self._seconds)
            except WorkerLost as lost:
                ended += self._recovered(worker, lost)
                cut += worker.numbers
        for state, action in zip(self._states, self._actions, strict=True):
            state['actions'].append(action.tolist())
        for number, _ in ended:
            self._states[number] = {'episode': self._states[number]['episode'] + 1,
                                    'actions': []}
        return _collected(self._arrays, ended, cut)

    def _recovered(self, worker: _Worker, lost: WorkerLost
                   ) -> list[tuple[int, EpisodeSummary]]:
        """Replace a worker, begin new episodes, and take one step in them."""
        for _ in range(_ATTEMPTS):
            log.warning('the worker of environments %d to %d %s; restarted, they go on with new '
                        'episodes', worker.numbers[0], worker.numbers[-1], lost)
            for number in worker.numbers:
                self._states[number] = {'episode': self._states[number]['episode'] + 1,
                                        'actions': []}
            try:
                worker.restart()
                worker.send('load', [self._states[n] for n in worker.numbers])
                worker.receive(START_SECONDS)
                worker.send('step', self._actions[worker.numbers])
                ended: list[tuple[int, EpisodeSummary]] = worker.receive(self._seconds)
                return ended
            except WorkerLost as again:
                lost = again
        raise SpowlError(f'the worker of environments {worker.numbers[0]} to {worker.numbers[-1]} '
                         f'{lost}, {_ATTEMPTS} times in a row; continue with --resume, with '
                         'collect.workers=0 to see the fault itself')

    def state(self) -> list[dict[str, Any]]:
        """Return the streams' states, in order."""
        return [{'episode': s['episode'], 'actions': list(s['actions'])} for s in self._states]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """
        Restore the state of every stream.

        :raises SpowlError: a worker cannot restore its state
        """
        self._states = [{'episode': s['episode'], 'actions': list(s['actions'])} for s in states]
        try:
            for worker in self._workers:
                worker.send('load', [self._states[n] for n in worker.numbers])
            for worker in self._workers:
                worker.receive(START_SECONDS)
        except WorkerLost as lost:
            self.close()
            raise SpowlError(f'the worker of environments {worker.numbers[0]} to '
                             f'{worker.numbers[-1]} {lost} while it started; collect.workers=0 '
                             'shows the fault itself') from lost

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.close()
