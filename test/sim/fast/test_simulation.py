# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fast simulation gives the plain package's numbers."""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim import environment, tasks
from spowl_ros.sim.compat import import_safety_gymnasium, untextured
from spowl_ros.sim.fast.simulation import FastSimulation


class Driver:
    """Actions that meet goals, boxes and buttons; for legged robots random ones."""

    def __init__(self, task: Any, seed: int) -> None:
        self._task = task
        self._robot = type(task.agent).__name__
        self._rng = np.random.default_rng(seed)
        self._action = np.zeros(task.action_space.shape)

    def act(self, step: int) -> NDArray[np.float64]:
        """Return the action of a raw step, shape (A,)."""
        if step % 10 == 0:
            self._action = self._rng.uniform(-1, 1, self._action.shape)
            if self._robot in ('Point', 'Car') and self._rng.random() < 0.9:
                self._action = self._steer()
        return self._action

    def _steer(self) -> NDArray[np.float64]:
        target = self._task.goal.pos
        if hasattr(self._task, 'push_box') and self._rng.random() < 0.7:
            target = self._task.push_box.pos
        x, y = self._task._ego_xy(target[:2])
        if self._robot == 'Point':
            angle = math.atan2(y, x)
            return np.array([0.6 * math.cos(angle), max(-1.0, min(1.0, 2 * angle))])
        angle = math.atan2(-x, y)  # a Car drives along its y axis
        forward = math.copysign(0.5, math.cos(angle))
        return np.clip([forward - angle, forward + angle], -1, 1)


def compare(task: str, seed: int, steps: int, resets: int = 2) -> dict[str, float]:
    """Drive both simulations alike, demand equal numbers, and count what happened."""
    plain = import_safety_gymnasium().make(task, disable_env_checker=True)
    builder, _ = tasks.build(task)
    assert FastSimulation.handles(builder)
    fast = FastSimulation(builder)
    driver = Driver(plain.unwrapped.task, seed)
    seen = {'goals': 0.0, 'cost': 0.0, 'deaths': 0.0}
    fast.seed(seed)
    for reset in range(resets):
        with untextured():  # the same physics; with pictures each reset takes ten times as long
            expected, _ = plain.reset(seed=seed if reset == 0 else None)
        fast.reset()
        np.testing.assert_array_equal(fast.observe(), expected)
        for step in range(steps):
            action = driver.act(step)
            expected, reward, cost, terminated, truncated, info = plain.step(action)
            raw = fast.step(action)
            np.testing.assert_array_equal(fast.observe(), expected)
            assert (raw.reward, raw.cost, raw.terminated) == (reward, cost, terminated)
            assert raw.goal_met == info.get('goal_met', False)
            assert raw.costs == {key.removeprefix('cost_'): value for key, value in info.items()
                                 if key.startswith('cost_') and key != 'cost_sum'}
            seen['goals'] += raw.goal_met
            seen['cost'] += raw.cost
            seen['deaths'] += raw.terminated
            if terminated or truncated:
                break
    return seen


@pytest.mark.parametrize('task', tasks.TASKS)
def test_every_task_moves_senses_and_costs_as_the_plain_package(task: str) -> None:
    """Observations, rewards, costs and ends are equal to the last bit, resets included."""
    compare(task, seed=3, steps=100)


@pytest.mark.slow
@pytest.mark.parametrize('seed', [0, 1])
def test_whole_episodes_are_equal(seed: int) -> None:
    """Over full episodes, goals met and moved, costs incurred, nothing drifts apart."""
    seen = compare('SafetyPointGoal1-v0', seed, steps=1000)
    assert seen['goals'] >= 2
    assert seen['cost'] > 0


@pytest.mark.slow
def test_buttons_pressed_are_equal() -> None:
    """Buttons pressed, right and wrong ones, count alike, and the pause after it is the same."""
    seen = compare('SafetyPointButton1-v0', seed=0, steps=500, resets=1)
    assert seen['goals'] >= 2
    assert seen['cost'] > 0


def test_falls_are_equal() -> None:
    """An Ant falls at the same raw step, and the stream of numbers goes on equally after it."""
    seen = compare('SafetyAntGoal1-v0', seed=1, steps=1000, resets=4)
    assert seen['deaths'] >= 1


def test_a_fresh_simulation_continues_nothing() -> None:
    """The same seed after other episodes gives the same episode: no state survives a reset."""
    env = environment.make('SafetyPointButton1-v0', seed=0, action_repeat=5)
    first = [env.reset(seed=7), *(env.step([0.5, 0.2]).observation for _ in range(20))]
    for _ in range(30):
        env.step([-1.0, 1.0])
    second = [env.reset(seed=7), *(env.step([0.5, 0.2]).observation for _ in range(20))]
    np.testing.assert_array_equal(first, second)


SLEEPS = hasattr(mujoco.mjtEnableBit, 'mjENBL_SLEEP')


@pytest.mark.skipif(SLEEPS, reason='this MuJoCo can let bodies sleep')
def test_an_old_mujoco_cannot_let_bodies_sleep() -> None:
    """It is said in one line, with the version that can."""
    with pytest.raises(SpowlError, match='cannot let bodies sleep; install 3.17'):
        environment.make('SafetyPointGoal1-v0', sleep=True)


@pytest.mark.skipif(not SLEEPS, reason='needs MuJoCo 3.17')
@pytest.mark.parametrize('task', ['SafetyPointGoal1-v0', 'SafetyPointButton1-v0'])
def test_bodies_at_rest_may_sleep(task: str) -> None:
    """
    Until something is touched, all is as awake; the goal is seen where it moved to.

    Contacts that a body at rest has with the floor are solved to another last digit.
    """
    awake, asleep = (environment.make(task, action_repeat=5, sleep=sleep)
                     for sleep in (False, True))
    goal = awake.contract.slices['goal_lidar']
    for seed in range(4):
        np.testing.assert_allclose(awake.reset(seed), asleep.reset(seed), atol=1e-5)
        for step in range(5):
            if step == 2 and 'Goal' in task:
                assert awake._simulation._renew_goal() and asleep._simulation._renew_goal()
            one, other = awake.step([0.4, 0.3]), asleep.step([0.4, 0.3])
            np.testing.assert_allclose(one.observation[goal], other.observation[goal], atol=1e-4)
            assert one.reward == pytest.approx(other.reward, abs=1e-5)
            assert one.cost == other.cost


@pytest.mark.skipif(not SLEEPS, reason='needs MuJoCo 3.17')
def test_no_vase_sleeps_while_its_motion_costs() -> None:
    """Else a vase that creeps would cost less asleep than awake."""
    simulation = environment.make('SafetyPointGoal2-v0', sleep=True)._simulation
    assert simulation.arena.model.opt.sleep_tolerance < simulation._task.vases.velocity_threshold
