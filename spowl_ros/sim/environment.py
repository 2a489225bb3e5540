# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One simulated robot in its task: reset and step, with actions held for several raw steps."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.tasks import task_id
from spowl_ros.control.contract import Contract
from spowl_ros.sim import own, scene, sensors, tasks
from spowl_ros.sim.body import Body
from spowl_ros.sim.fast.simulation import FastSimulation
from spowl_ros.sim.perturbation import CommandDelay, Perturbation, RobotModel, SensorFaults
from spowl_ros.sim.plain import PlainSimulation
from spowl_ros.sim.step import StepResult, checked


class Environment:
    """
    A task of SafetyGymnasium with the plain package's numbers, many times as fast.

    For the listed tasks and their kin, rewards, costs, episode ends and (before rounding to
    float32) observations equal those of the plain package, bit for bit. Any other task runs in
    the plain package itself.
    """

    def __init__(self, task: str, seed: int | None = None, action_repeat: int = 1,
                 perturbation: Perturbation | None = None, *, sleep: bool = False) -> None:
        """See `make`."""
        if action_repeat < 1:
            raise SpowlError(f'action_repeat is {action_repeat}; at least 1 is needed')
        perturbation = perturbation or Perturbation()
        builder, self._max_steps = tasks.build(task)
        self.contract: Contract = sensors.contract(task, builder.task, action_repeat)
        self._simulation: FastSimulation | PlainSimulation
        self._hazards = perturbation.hazards
        self._robot: RobotModel | None = None
        if FastSimulation.handles(builder):
            self._simulation = FastSimulation(builder, self._hazards, sleep=sleep)
            self._robot = RobotModel(self._simulation.arena.model)
        else:
            self._simulation = PlainSimulation(builder)
        self.perturb(perturbation)
        self._task = builder.task
        self.body = Body(builder.task)
        self.unperturbed = np.zeros(self.contract.size, np.float32)
        """The last observation, shape (n,), without noise and losses."""
        self._steps = 0
        self._seed(int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed)

    def perturb(self, perturbation: Perturbation) -> None:
        """
        Change how the robot differs from the plain package's, from the next reset on.

        :raises SpowlError: the task does not allow it, or another number of hazards
        """
        if self._robot is not None:
            if perturbation.hazards != self._hazards:
                raise SpowlError(f'{self.contract.task} was made with hazards={self._hazards}; '
                                 'their number cannot change later')
            self._robot.change(perturbation)
        elif perturbation.needs_fast_simulation:
            raise SpowlError(f'{self.contract.task} cannot be perturbed in mass, strength, '
                             'friction or hazards, nor by parts of a raw step; tasks that can: '
                             f'{", ".join(tasks.TASKS)}')
        self._delay = CommandDelay(perturbation.command_delay,
                                   np.array(self.contract.action.stop))
        self._command_loss = perturbation.command_loss
        self._faults = SensorFaults(self.contract, perturbation)
        self._ended = True

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """
        Begin an episode and return its first observation, shape (n,).

        :param seed: restarts the random stream; None continues it
        """
        if seed is not None:
            self._seed(seed)
        self._steps = 0
        self._ended = False
        self._delay.reset()
        self._control = np.array(self.contract.action.stop)
        self._faults.reset()
        self._simulation.reset()
        return self._observe()

    def step(self, action: ArrayLike) -> StepResult:
        """
        Hold an action for the contract's number of raw steps, or until the episode ends.

        :param action: shape (A,), each in [-1, 1], mapped to the actuators' ranges
        :raises SpowlError: the action has another shape, or the episode has ended
        """
        values = checked(action, self.contract, self._ended)
        if not self._command_loss or self._perturbation_rng.random() >= self._command_loss:
            self._control = self.contract.action.command(values)
        reward = cost = 0.0
        parts: dict[str, float] = {}
        goals = raw_steps = 0
        terminated = truncated = False
        while raw_steps < self.contract.action_repeat and not (terminated or truncated):
            first, then = self._delay(self._control)
            raw = self._simulation.step(then, first, self._delay.late)
            raw_steps += 1
            self._steps += 1
            terminated = raw.terminated
            truncated = self._steps >= self._max_steps
            reward += raw.reward
            goals += raw.goal_met
            cost += raw.cost
            for name, value in raw.costs.items():
                parts[name] = parts.get(name, 0.0) + value
        self._ended = terminated or truncated
        return StepResult(self._observe(), reward, cost, terminated, truncated,
                          {'goals': goals, 'raw_steps': raw_steps, 'cost_parts': parts})

    def scene(self) -> scene.SimulatedScene:
        """Return where everything is, for pictures."""
        return scene.read(self._task)

    def _seed(self, seed: int) -> None:
        self._simulation.seed(seed)
        self._perturbation_rng = np.random.default_rng(seed)

    def _observe(self) -> NDArray[np.float32]:
        observation = self._simulation.observe()
        self.unperturbed = observation.astype(np.float32)
        return self._faults(observation, self._perturbation_rng).astype(np.float32)


AnyEnvironment = Environment | own.OwnEnvironment


def make(task: str, seed: int | None = None, action_repeat: int = 1,
         perturbation: Perturbation | None = None, *, sleep: bool = False) -> AnyEnvironment:
    """
    Return the environment of a task, by any name that `task_id` knows.

    An environment stays in one process; each process makes its own.

    :param seed: of layouts and all other randomness; None draws one
    :param action_repeat: raw steps for which each action is held
    :param perturbation: how the robot differs from the plain package's
    :param sleep: let bodies at rest sleep, see `FastSimulation`; no effect on tasks that it does
        not know
    :raises SpowlError: no such task
    """
    task = task_id(task)
    if ':' in task:
        mine = own.make(task, action_repeat)
        mine.perturb(perturbation or Perturbation())
        return mine
    return Environment(task, seed, action_repeat, perturbation, sleep=sleep)


@functools.cache
def contract(task: str, action_repeat: int = 1) -> Contract:
    """
    Return the contract that a controller of this task must meet.

    :raises SpowlError: no such task
    """
    task = task_id(task)
    if ':' in task:
        return own.make(task, action_repeat).contract
    builder, _ = tasks.build(task)
    return sensors.contract(task, builder.task, action_repeat)
