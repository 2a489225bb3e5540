# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Parallel environments of one task, stepped together, here or in worker processes.

Starting and finishing a step are separate calls: workers step while the trainer learns. The
placement of environments changes no number: each stream depends only on its seed and actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
import logging
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

CHARGES = ('cost_margin', 'least_cost', 'termination_reward')
"""Settings of collection that change what a stream charges."""

Decision = dict[str, Any]
MakeStream = Callable[[int], Stream]


@dataclass(frozen=True)
class Collected:
    """One decision of every stream; the stream is axis 0 of every array."""

    decisions: dict[str, NDArray[np.float32]]
    """Arrays in the form that the replay buffer takes."""
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
        """Current observations (streams, O), each with its window beside it."""

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
        return LocalCollector(make_stream, count)
    return ProcessCollector(
        make_stream, count, min(collect.workers, count),
        environment.contract(first.task, collect.action_repeat), collect.step_timeout)


def _stream(settings: Sequence[StreamSettings], environments: int, number: int) -> Stream:
    """Return a stream by its index among all learners' streams."""
    learner, own = divmod(number, environments)
    return Stream(**vars(settings[learner]), number=own)


def _stacked(steps: Sequence[tuple[Decision, EpisodeSummary | None]], cut: list[int]) -> Collected:
    decisions, ends = zip(*steps, strict=True)
    arrays = {name: np.stack([d[name] for d in decisions]).astype(np.float32)
              for name in decisions[0]}
    return Collected(arrays, [(i, end) for i, end in enumerate(ends) if end is not None],
                     [i for i, end in enumerate(ends) if end is not None], cut)


class LocalCollector:
    """Streams in this process."""

    def __init__(self, make_stream: MakeStream, count: int) -> None:
        self.streams = [make_stream(number) for number in range(count)]
        self.contract = self.streams[0].environment.contract
        self._actions: NDArray[np.float32] | None = None

    @property
    def observations(self) -> NDArray[np.float32]:
        """Current observations (streams, O), each with its window beside it."""
        return np.stack([s.wide for s in self.streams])

    def start(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions for `finish`."""
        self._actions = actions

    def finish(self) -> Collected:
        """Step every stream once."""
        assert self._actions is not None, 'start comes first'
        return _stacked([s.step(a) for s, a in zip(self.streams, self._actions, strict=True)], [])

    def state(self) -> list[dict[str, Any]]:
        """Return the streams' states, in order."""
        return [s.state() for s in self.streams]

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Restore the state of every stream."""
        for stream, state in zip(self.streams, states, strict=True):
            stream.load_state(state)

    def close(self) -> None:
        """Do nothing: no process runs."""


class WorkerLost(Exception):
    """A worker crashed, failed or hangs; the text says which."""


class _Worker:
    """One process with some of the streams."""

    def __init__(self, make_stream: MakeStream, numbers: Sequence[int]) -> None:
        self._make_stream, self.numbers = make_stream, numbers
        self._open()

    def _open(self) -> None:
        context = ChildContext()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, daemon=True,
                                        args=(theirs, self._make_stream, self.numbers))
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


def _work(pipe: Connection, make_stream: MakeStream, numbers: Sequence[int]) -> None:
    """Serve requests until the other end closes."""
    try:
        streams = [make_stream(number) for number in numbers]
        while True:
            request, content = pipe.recv()
            if request == 'load':
                for stream, state in zip(streams, content, strict=True):
                    stream.load_state(state)
                pipe.send(('loaded', [s.wide for s in streams]))
            else:
                steps = [s.step(a) for s, a in zip(streams, content, strict=True)]
                pipe.send(('stepped', (steps, [s.wide for s in streams])))
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
                 timeout: float) -> None:
        self._seconds, self.contract = timeout, contract
        self._states: list[dict[str, Any]] = [{'episode': 0, 'actions': []} for _ in range(count)]
        self._observations: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * count
        self._actions = np.zeros((count, contract.action.size), np.float32)
        self._workers = [_Worker(make_stream, [int(n) for n in numbers])
                         for numbers in np.array_split(np.arange(count), workers)]
        self.load_state(self._states)

    @property
    def observations(self) -> NDArray[np.float32]:
        """Current observations (streams, O), each with its window beside it."""
        return np.stack(self._observations)

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
        steps: list[tuple[Decision, EpisodeSummary | None]] = []
        cut: list[int] = []
        for worker in self._workers:
            try:
                answer = worker.receive(self._seconds)
            except WorkerLost as lost:
                answer = self._recovered(worker, lost)
                cut += worker.numbers
            mine, observations = answer
            for number, step, observation in zip(worker.numbers, mine, observations, strict=True):
                state = self._states[number]
                state['actions'].append(self._actions[number].tolist())
                if step[1] is not None:
                    self._states[number] = {'episode': state['episode'] + 1, 'actions': []}
                self._observations[number] = observation
            steps += mine
        return _stacked(steps, cut)

    def _recovered(self, worker: _Worker, lost: WorkerLost) -> Any:
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
                return worker.receive(self._seconds)
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
                for number, observation in zip(worker.numbers, worker.receive(START_SECONDS),
                                               strict=True):
                    self._observations[number] = observation
        except WorkerLost as lost:
            self.close()
            raise SpowlError(f'the worker of environments {worker.numbers[0]} to '
                             f'{worker.numbers[-1]} {lost} while it started; collect.workers=0 '
                             'shows the fault itself') from lost

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.close()
