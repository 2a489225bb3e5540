# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Other methods are trained in our environment, go on after an interruption, and are measured."""

from __future__ import annotations

from collections.abc import Sequence
import csv
from dataclasses import replace
import importlib.util
import json
from pathlib import Path
import pickle
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest
import torch

from benchmarks.baselines import __main__ as baselines
from benchmarks.baselines import driving, runs, safedreamer
from benchmarks.baselines.runs import Run, measure, table, train
from benchmarks.baselines.safedreamer import SafeDreamerTraining
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import training_seed
from spowl_ros.control.contract import ActionSpec
from spowl_ros.sim import environment
from spowl_ros.sim.compat import import_safety_gymnasium
from spowl_ros.sim.step import StepResult

TASK = 'SafetyPointGoal1-v0'
needs_omnisafe = pytest.mark.skipif(not importlib.util.find_spec('omnisafe'),
                                    reason='needs OmniSafe: make baselines installs it')
SHORT: dict[str, dict[str, Any]] = {
    'PPOLag': {'algo_cfgs': {'steps_per_epoch': 1_000, 'update_iters': 1, 'batch_size': 500}},
    'CPO': {'algo_cfgs': {'steps_per_epoch': 1_000, 'update_iters': 1, 'batch_size': 500}},
    'SACLag': {'algo_cfgs': {'steps_per_epoch': 1_000, 'start_learning_steps': 990,
                             'batch_size': 16, 'update_cycle': 50}},
    'RCEPETS': {'algo_cfgs': {'start_learning_steps': 1_990, 'update_dynamics_cycle': 900},
                'dynamics_cfgs': {'max_epoch': 1, 'hidden_size': 16},
                'planner_cfgs': {'num_samples': 8, 'num_elites': 2, 'num_iterations': 1,
                                 'num_particles': 5, 'plan_horizon': 2}}}
"""Settings with which two epochs of 1,000 raw steps take seconds."""


class Standing:
    """A policy that stands still."""

    window = 0

    def begin(self, seeds: Sequence[int]) -> None:
        """Do nothing."""

    def paid(self, lane: int, cost: float) -> None:
        """Do nothing."""

    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return zeros."""
        return np.zeros((len(lanes), 2), np.float32), ['policy'] * len(lanes)


class Counting:
    """A method that only counts, and is interrupted once."""

    observation, action_repeat, total_steps = runs.SCANS, 5, 5_000
    interrupt_at = 3_000

    def __init__(self, run: Run, folder: Path) -> None:
        self.raw_steps = 0

    def advance(self) -> tuple[float, float]:
        """Count; return numbers that show how far it is."""
        if self.raw_steps == Counting.interrupt_at:
            Counting.interrupt_at = -1
            raise KeyboardInterrupt
        self.raw_steps += 1_000
        return self.raw_steps / 100, 1.0

    def state(self) -> bytes:
        """Return the count."""
        return pickle.dumps(self.raw_steps)

    def restore(self, state: bytes) -> None:
        """Take a count."""
        self.raw_steps = pickle.loads(state)

    def policy(self) -> Standing:
        """Return a policy."""
        return Standing()


def test_an_interrupted_run_goes_on_and_is_measured(tmp_path: Path) -> None:
    """The curve has each point once; the table has a row with every column."""
    run = Run(TASK, 'Counting', 3, 4_500, 25.0)
    folder = run.folder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(run, folder, Counting, checkpoint_s=0.0)
    training = train(run, folder, Counting, checkpoint_s=0.0)
    with (folder / runs.CURVE).open() as stream:
        points = [int(row['raw_steps']) for row in csv.DictReader(stream)]
    assert points == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert not table(tmp_path)
    row = measure(run, folder, training, episodes=2, workers=1)
    assert tuple(row) == runs.COLUMNS
    assert (row['raw_steps'], row['seed'], row['cost'], row['cost_free_fraction']) == (
        5_000, 3, 0.0, 1.0)
    assert table(tmp_path) == [row]
    assert not (folder / runs.STATE).exists()


def test_figures_of_another_number_of_episodes_are_not_these(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is done is skipped, unless its evaluation is not the one that is asked for."""
    folder = Run(TASK, 'CPO', 0, 4_500, 25.0).folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / runs.RESULT).write_text(json.dumps({**dict.fromkeys(runs.COLUMNS, 0),
                                                  'episodes': 512}))
    asked = ['baselines', TASK, 'CPO', '--steps', '4500', '--runs', str(tmp_path), '--episodes']
    monkeypatch.setattr(sys, 'argv', [*asked, '512'])
    assert baselines.main() == 0
    monkeypatch.setattr(sys, 'argv', [*asked, '128'])
    with pytest.raises(SpowlError, match='over 512 episodes, not over 128'):
        baselines.main()


def omnisafe_training(method: str, folder: Path) -> Any:
    """Return a short training of one of OmniSafe's methods."""
    from benchmarks.baselines.omnisafe_methods import OmniSafeTraining

    return OmniSafeTraining(Run(TASK, method, 0, 2_000, 1.0), folder, SHORT[method])


def numbers(training: Any) -> NDArray[np.float64]:
    """Return every weight that a method learns."""
    agent = training._agent
    nets = agent._dynamics.ensemble_model if hasattr(agent, '_dynamics') else agent._actor_critic
    return np.concatenate([value.numpy().ravel() for value in nets.state_dict().values()])


@needs_omnisafe
@pytest.mark.slow
@pytest.mark.parametrize('method', SHORT)
def test_methods_of_omnisafe_go_on_exactly(method: str, tmp_path: Path) -> None:
    """After a checkpoint another process learns what this one would have; its policy acts."""
    one = omnisafe_training(method, tmp_path / 'one')
    one.advance()
    state = one.state()
    expected = one.advance()
    other = omnisafe_training(method, tmp_path / 'other')
    other.restore(state)
    assert other.advance() == expected
    assert other.raw_steps == one.raw_steps == other.total_steps
    np.testing.assert_array_equal(numbers(other), numbers(one))
    size = (60 if one.observation == runs.SCANS else
            one._agent._dynamics_state_space.shape[0])
    policy = pickle.loads(pickle.dumps(other.policy()))
    policy.begin([7])
    actions, _ = policy.act([0], np.zeros((1, size), np.float32))
    assert actions.shape == (1, 2) and np.abs(actions).max() <= 1.0


@needs_omnisafe
@pytest.mark.slow
def test_coordinates_are_those_over_the_plain_package() -> None:
    """OmniSafe's class computes the same from our simulation, bit for bit."""
    from benchmarks.baselines import omnisafe_tasks
    from benchmarks.baselines.coordinates import CoordinateEnvironment

    ours = CoordinateEnvironment(TASK, action_repeat=1)
    omnisafe_tasks.coordinates.safety_gymnasium = import_safety_gymnasium()
    try:
        plain = omnisafe_tasks.coordinates.SafetyGymnasiumModelBased(
            TASK + omnisafe_tasks.MODEL_BASED)
        seen, _ = plain.reset(seed=10_003)
        np.testing.assert_array_equal(ours.reset(10_003), seen.numpy())
        for _ in range(60):
            action = torch.tensor([0.8, 0.2])
            seen, reward, cost, *_ = plain.step(action)
            made = ours.step(action.numpy())
            np.testing.assert_array_equal(made.observation, seen.numpy())
            assert (np.float32(made.reward), made.cost) == (reward.item(), cost.item())
    finally:
        omnisafe_tasks.register()


LANE = ActionSpec(('speed',), (-1.0,), (1.0,), 'effort', (0.0,))


class Lane:
    """A vehicle on a line: it earns its speed, and pays above a speed of 0.5."""

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Stand at the beginning."""
        self.speed, self.decisions = 0.0, 0
        return np.zeros(1, np.float32)

    def step(self, action: NDArray[np.float32]) -> StepResult:
        """Speed up or slow down."""
        self.speed = 0.5 * self.speed + 0.5 * float(np.clip(action[0], -1.0, 1.0))
        self.decisions += 1
        return StepResult(np.array([self.speed], np.float32), self.speed,
                          float(self.speed > 0.5), False, self.decisions == 50, {'goals': 0})


def mean_speed(policy: Any) -> float:
    """Return the mean speed of an episode in the lane."""
    lane, speeds = Lane(), []
    seen = lane.reset()
    for _ in range(50):
        seen = lane.step(policy.act([0], seen[None])[0][0]).observation
        speeds.append(lane.speed)
    return float(np.mean(speeds))


def dreaming(limit: float, folder: Path) -> SafeDreamerTraining:
    """Return a small SafeDreamer that learns to drive in the lane."""
    return SafeDreamerTraining(
        Run(TASK, 'SafeDreamer', 0, 2_000, limit), folder, Lane(), LANE, safedreamer.Settings(
            deter=32, units=32, groups=4, classes=4, layers=1, length=10, random_decisions=200,
            round_decisions=50, updates_per_decision=1.0, model_rate=3e-3, rate=1e-3, horizon=5,
            samples=60, elites=10, iterations=3))


LIMITED = [np.full(1, wanted, np.float32) for wanted in (1.0, -1.0, -1.0, 1.0)]
"""Actions of which the second and the last change by the whole range."""


def test_a_driver_limits_actions_and_remembers_the_limited_ones() -> None:
    """Each changes by the contract's part of the range at most; an episode begins at rest."""
    driver = driving.Driver(Lane(), replace(LANE, change=0.25), 0, 1)
    wanted = iter([*LIMITED, *[np.ones(1, np.float32)] * 47])
    driver.drive(lambda seen, begins: next(wanted), 51)
    done = driver.experience()['action'].ravel()
    np.testing.assert_allclose(done[:4], [0.5, 0.0, -0.5, 0.0])
    np.testing.assert_allclose(done[49:], [1.0, 0.5])


def test_safedreamer_sees_the_limited_action() -> None:
    """Its memory holds what the environment executes."""
    settings = safedreamer.Settings(deter=8, units=8, groups=2, classes=2, layers=1, horizon=3,
                                    samples=8, elites=2, iterations=1)
    dreamer = safedreamer.Dreamer(1, replace(LANE, change=0.01), 1.0, 50, settings)
    dreamer.begin([0])
    last = np.zeros((1, 1), np.float32)
    for _ in range(3):
        action, _ = dreamer.act([0], np.zeros((1, 1), np.float32))
        assert 0.0 < np.abs(action - last).max() <= 0.0201
        np.testing.assert_array_equal(dreamer._action.numpy(), action)
        last = action


def model_loss(cost: float, **weights: float) -> float:
    """Return the loss of a small model of random weights for a batch of one cost."""
    torch.manual_seed(0)
    settings = safedreamer.Settings(deter=8, units=8, groups=2, classes=2, layers=1, **weights)
    parts = {name: torch.zeros(5, 3, 1) for name in driving.NAMES}
    model = safedreamer.WorldModel(1, 1, settings)
    return model.loss({**parts, 'cost': torch.full((5, 3, 1), cost)})[0].item()


def test_safedreamer_weighs_costs_as_its_authors_do() -> None:
    """The loss of costs of at least 1 counts tenfold, that of less once."""
    assert model_loss(0.9) == model_loss(0.9, cost_weight=1.0)
    once, twice, ten = (model_loss(1.0, cost_weight=weight) for weight in (1.0, 2.0, 10.0))
    assert ten - once == pytest.approx(9.0 * (twice - once), rel=1e-3) and twice > once
    assert ten == model_loss(1.0)


@needs_omnisafe
def test_omnisafe_drives_a_robot_within_its_greatest_change() -> None:
    """An Ant's actions change by three quarters of the range at most, as in evaluation."""
    from benchmarks.baselines.omnisafe_tasks import CoordinateTask, ScanTask, register

    register()
    task = 'SafetyAntGoal1-v0'
    spec = environment.contract(task, 1).action
    up = np.ones(spec.size, np.float32)
    for kind in (ScanTask, CoordinateTask):
        made = kind(task)
        plain = environment.make(task)
        made.reset(0)
        plain.reset(training_seed(0, 0))
        for wanted, limited in ((up, up), (-up, -0.5 * up), (-up, -up), (up, 0.5 * up)):
            seen = made.step(torch.as_tensor(wanted) if kind is ScanTask else wanted)[0]
            np.testing.assert_array_equal(np.asarray(seen), plain.step(limited).observation)
        made.reset()
        plain.reset(training_seed(0, 1))
        seen = made.step(torch.as_tensor(-up) if kind is ScanTask else -up)[0]
        np.testing.assert_array_equal(np.asarray(seen), plain.step(-up).observation)


@needs_omnisafe
@pytest.mark.slow
def test_mbppol_drives_as_fast_as_the_limit_allows(tmp_path: Path) -> None:
    """Without a limit it learns full speed, with a limit of 0 a speed that costs nothing."""
    from benchmarks.baselines.mbppol import MBPPOLTraining, Problem, Settings

    settings = Settings(round_decisions=200, models=3, model_hidden=32, horizon=20,
                        trajectories=39, batch=200, rate=3e-3, multiplier_rate=0.3)
    speeds = []
    for limit in (1e6, 0.0):
        training = MBPPOLTraining(
            Run(TASK, 'MBPPOL', 0, 4_000, limit), tmp_path,
            lambda task, repeat: Problem(Lane(), LANE, lambda seen: (seen > 0.5).float()),
            settings)
        while training.raw_steps < training.total_steps:
            training.advance()
        speeds.append(mean_speed(training.policy()))
    assert speeds[0] > 0.8 and 0.2 < speeds[1] < 0.5


@pytest.mark.slow
def test_safedreamer_drives_as_fast_as_the_limit_allows(tmp_path: Path) -> None:
    """Without a limit it learns full speed; with a low one it still drives, and pays little."""
    speeds = []
    for limit in (1e6, 1.0):
        training = dreaming(limit, tmp_path)
        while training.raw_steps < training.total_steps:
            training.advance()
        policy = training.policy()
        policy.begin([1])
        speeds.append(mean_speed(policy))
    assert speeds[0] > 0.8 and 0.0 < speeds[1] < 0.5


@pytest.mark.slow
def test_safedreamer_goes_on_exactly(tmp_path: Path) -> None:
    """From a checkpoint between two episodes another process learns what this one would have."""
    one, other = dreaming(1.0, tmp_path), dreaming(1.0, tmp_path)
    for _ in range(5):
        one.advance()
    state = one.state()
    expected = one.advance()
    other.restore(state)
    assert other.advance() == expected and other.raw_steps == one.raw_steps
    for mine, theirs in zip(other.policy().parameters(), one.policy().parameters(), strict=True):
        assert torch.equal(mine, theirs)


@needs_omnisafe
@pytest.mark.slow
def test_mbppol_goes_on_exactly(tmp_path: Path) -> None:
    """From a checkpoint between two episodes another process learns what this one would have."""
    from benchmarks.baselines.mbppol import MBPPOLTraining, Settings

    settings = Settings(round_decisions=200, models=2, model_hidden=16, horizon=5,
                        trajectories=8, most_updates=2)

    def begin() -> Any:
        return MBPPOLTraining(Run(TASK, 'MBPPOL', 0, 2_000, 1.0), tmp_path, settings=settings)

    one, other = begin(), begin()
    one.advance()
    state = one.state()
    expected = one.advance()
    other.restore(state)
    assert other.advance() == expected and other.raw_steps == other.total_steps
    for mine, theirs in zip(other.policy().parameters(), one.policy().parameters(), strict=True):
        assert torch.equal(mine, theirs)
