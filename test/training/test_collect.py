# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments in processes are the environments of this process, until one is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import logging
import os
import signal
import time
from typing import Any

import numpy as np
import psutil
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim import environment
from spowl_ros.training import collect as collector
from spowl_ros.training.collect import Collected, Collector, Worker
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.stream import Stream, margin_cost

COUNT = 3


def step(tested: Collector, rng: np.random.Generator) -> Collected:
    """Act at random once; return copies, which later steps do not overwrite."""
    tested.start(rng.uniform(-1, 1, (COUNT, 2)).astype(np.float32))
    result = tested.finish()
    return replace(result, decisions={k: v.copy() for k, v in result.decisions.items()})


def pids_of(tested: Collector) -> list[int | None]:
    """Return the process ids of the workers."""
    return [worker._process.pid for worker in tested.workers if isinstance(worker, Worker)]


@pytest.fixture
def local(tiny: TrainConfig) -> Collector:
    """Return the streams in this process."""
    return Collector([tiny])


@pytest.fixture
def workers(tiny: TrainConfig) -> Iterator[Collector]:
    """Return the streams in two processes, one with two of them."""
    made = Collector([replace(tiny, collect=replace(tiny.collect, workers=2, step_timeout=20.0))])
    yield made
    made.close()


def equal(one: Collected, other: Collected) -> bool:
    """Compare everything."""
    return (all((one.decisions[name] == other.decisions[name]).all() for name in one.decisions)
            and (one.ended, one.cut) == (other.ended, other.cut))


@pytest.mark.slow
def test_processes_collect_the_same(local: Collector, workers: Collector, tiny: TrainConfig
                                    ) -> None:
    """Decisions, ends and states are the same wherever the environments live."""
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    assert (local.observations == workers.observations).all()
    for i in range(60):
        mine, theirs = step(local, one), step(workers, other)
        assert equal(mine, theirs)
        assert (local.observations == workers.observations).all()
        if i == 49:
            assert [end.raw_steps for _, end in mine.ended] == COUNT * [1000]
            assert [stream for stream, _ in mine.ended] == [0, 1, 2]
    state = workers.state()
    assert state == local.state()
    again = Collector([tiny])
    again.load_state(state)
    assert (again.observations == local.observations).all()
    assert equal(step(again, np.random.default_rng(5)), step(local, np.random.default_rng(5)))


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_lost_worker_is_replaced(number: int, workers: Collector, monkeypatch: Any,
                                 caplog: pytest.LogCaptureFixture) -> None:
    """A worker that dies or hangs is reported and replaced; its streams begin new episodes."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        step(workers, rng)
    before = workers.state()
    pid = pids_of(workers)[0]
    assert pid
    if number == signal.SIGSTOP:
        monkeypatch.setattr(workers, '_seconds', 1.0)
    os.kill(pid, number)
    with caplog.at_level(logging.WARNING):
        workers.start(rng.uniform(-1, 1, (COUNT, 2)).astype(np.float32))
        monkeypatch.setattr(collector, 'START_SECONDS', 180.0)
        lost = workers.finish()
    assert 'environments 0 to 1' in caplog.text
    assert ('SIGKILL' if number == signal.SIGKILL else 'no answer for 1 s') in caplog.text
    assert lost.cut == [0, 1]
    assert [state['episode'] for state in workers.state()] == [
        before[0]['episode'] + 1, before[1]['episode'] + 1, before[2]['episode']]
    fresh = workers.observations.copy()
    assert np.isfinite(fresh).all()
    after = step(workers, rng)
    assert (after.decisions['obs'] == fresh).all()
    assert pids_of(workers)[0] != pid
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_worker_that_always_fails_ends_the_run(tiny: TrainConfig) -> None:
    """An environment that cannot even start is an error that says so."""
    broken = replace(tiny, collect=replace(tiny.collect, workers=1, action_repeat=20))
    made = Collector([broken])
    try:
        made.start(np.full((COUNT, 5), 0.5, np.float32))  # five actuators: none has so many
        with pytest.raises(SpowlError, match=r'3 times in a row; .*collect.workers=0'):
            made.finish()
    finally:
        made.close()


@pytest.mark.slow
def test_workers_end_with_the_trainer(tiny: TrainConfig) -> None:
    """Workers whose trainer is gone do not stay."""
    made = Collector([replace(tiny, collect=replace(tiny.collect, workers=2))])
    pids = pids_of(made)
    for worker in made.workers:
        worker._pipe.close()
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
              for pid in pids if pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = [worker._process.is_alive() for worker in made.workers]
    for worker in made.workers:
        worker._process.kill()
        worker._process.join()
    assert alive == [False, False]


@pytest.mark.slow
def test_workers_import_no_pytorch(workers: Collector) -> None:
    """A worker is small: it imports no PyTorch."""
    pid = pids_of(workers)[0]
    assert pid
    maps = [entry.path for entry in psutil.Process(pid).memory_maps()]
    assert not any('libtorch' in path for path in maps)


def test_margin_cost_is_a_ramp() -> None:
    """Towards an obstacle that costs the charge grows from 0 to that of contact."""
    contract = environment.contract('SafetyPointGoal1-v0', 4)
    field = contract.field('hazards_lidar')
    assert field.hazard_radius is not None
    charges = []
    for distance in np.linspace(field.hazard_radius + 0.2, 0.0, 30):
        observation = np.zeros(contract.size, np.float32)
        observation[contract.slices['hazards_lidar']][3] = 1 - distance / 3.0
        charges.append(margin_cost(contract, observation, observation, 0.1))
    assert charges[0] == 0
    assert charges[-1] == pytest.approx(contract.action_repeat)
    assert (np.diff(charges) >= -1e-6).all()
    assert margin_cost(contract, observation, observation, 0.0) == 0


def test_margin_cost_lets_one_leave_a_button() -> None:
    """Another button than the wanted one is charged for while it comes nearer, and only then."""
    contract = environment.contract('SafetyPointButton1-v0', 4)
    radius = contract.field('buttons_lidar').others_radius
    assert radius is not None

    def charge(before: float | None, after: float, *, wanted: bool = False) -> float:
        seen = []
        for distance in (before, after):
            observation = np.zeros(contract.size, np.float32)
            if distance is not None:
                observation[contract.slices['buttons_lidar']][3] = 1 - distance / 3.0
                observation[contract.slices['goal_lidar']][3 if wanted else 9] = (
                    1 - distance / 3.0)
            seen.append(observation)
        return margin_cost(contract, *seen, 0.1)

    assert charge(radius + 0.3, radius + 0.2) == 0
    assert 0 < charge(radius + 0.1, radius + 0.05) < contract.action_repeat
    assert charge(radius + 0.05, radius - 0.01) == pytest.approx(contract.action_repeat)
    assert charge(radius - 0.01, radius + 0.05) == 0, 'leaving is free'
    assert charge(None, radius) == 0, 'buttons are not seen for a moment after one was pressed'
    assert charge(radius + 0.05, radius - 0.01, wanted=True) == 0


@pytest.mark.slow
def test_least_cost_is_charged_where_something_cost() -> None:
    """A decision that cost anything is charged so much at least, and the summary is the task's."""
    plain, charged = (Stream('SafetyPointGoal2-v0', 20, 0, 0, cost_margin=0.1, least_cost=least)
                      for least in (0.0, 50.0))
    costly = 0
    for _ in range(300):
        before = plain.cost
        (decision, summary), (other, same) = (
            stream.step(np.array([1.0, 0.2], np.float32)) for stream in (plain, charged))
        assert summary == same
        cost = 0.0 if summary else plain.cost - before
        costly += cost > 0
        if summary is None:
            assert other['cost'] == (50.0 if cost > 0 else decision['cost'])
    assert costly


def test_a_fall_is_charged_to_the_learner_only() -> None:
    """The last decision of a fallen robot's episode carries the charge, its return does not."""
    plain, charged = (Stream('SafetyAntGoal1-v0', 1, 0, 0, termination_reward=reward)
                      for reward in (0.0, -1.0))
    random = np.random.default_rng(0)
    ended, total = None, 0.0
    for _ in range(1000):
        action = random.uniform(-1, 1, 8).astype(np.float32)
        decision, ended = plain.step(action)
        other, summary = charged.step(action)
        total += float(decision['reward'])
        assert other['reward'] == decision['reward'] - decision['terminated']
        if ended is not None:
            break
    assert ended is not None
    assert decision['terminated']
    assert summary == ended
    assert ended.reward == pytest.approx(total)


def test_an_episode_ends_on_the_back_where_that_is_a_fall() -> None:
    """Doggo's task goes on there, and so does a stream that was not told."""
    told, plain = (Stream('SafetyDoggoGoal1-v0', 1, 0, 0, termination_reward=-1.0,
                          least_upright=least) for least in (0.0, -1.0))
    for stream in (told, plain):
        stream.environment.body._task.data.qpos[2:7] = [1.0, 0.0, 1.0, 0.0, 0.0]
    (fallen, summary), (lying, none) = (
        stream.step(np.zeros(12, np.float32)) for stream in (told, plain))
    assert fallen['terminated'] and fallen['ended'] and summary is not None
    assert fallen['reward'] == lying['reward'] - 1.0
    assert not lying['ended'] and none is None
    assert not told.step(np.zeros(12, np.float32))[0]['terminated']


def test_streams_differ_and_repeat() -> None:
    """Each stream has episodes of its own, and the same ones every time."""
    made = [Stream('SafetyPointGoal1-v0', 20, seed, number)
            for seed, number in ((0, 0), (0, 0), (0, 1), (1, 0))]
    first, same, *others = (stream.observation for stream in made)
    assert (first == same).all()
    assert all((first != other).any() for other in others)
