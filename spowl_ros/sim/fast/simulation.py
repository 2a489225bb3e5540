# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The physics of a task, one raw step at a time, computing nothing that nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim.compat import untextured
from spowl_ros.sim.fast.arena import Arena
from spowl_ros.sim.fast.costs import Contacts, VaseSpeeds
from spowl_ros.sim.fast.layout import LayoutError, LayoutSampler, Position, on_floor
from spowl_ros.sim.fast.objectives import PressButton, PushBox, ReachGoal
from spowl_ros.sim.fast.random_stream import RandomStream
from spowl_ros.sim.fast.senses import Senses

if TYPE_CHECKING:
    from safety_gymnasium.builder import Builder

_OBJECTIVES = ('GoalLevel', 'ButtonLevel', 'PushLevel')
_ROBOTS = ('Point', 'Car', 'Ant', 'Doggo')
_SENSORS_OFF = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
_SLEEP: Any = getattr(mujoco.mjtEnableBit, 'mjENBL_SLEEP', None)
"""Lets MuJoCo leave out bodies at rest; None where it is too old."""
_AT_REST = 1e-5
"""Speed (m/s) below which a body may sleep: a tenth of that at which a vase's motion costs."""
_RESET_TRIES = 100


class RawStep(NamedTuple):
    """What one raw step led to."""

    reward: float
    costs: dict[str, float]
    """0 or 1 by cause."""
    goal_met: bool
    terminated: bool

    @property
    def cost(self) -> float:
        """Return 1 if anything costs, else 0."""
        return float(any(self.costs.values()))


class FastSimulation:
    """
    The plain package's numbers, bit for bit, without its overhead.

    Between two observations nothing but the physics runs: no sensors, no lidar. The extra
    forward passes that the plain package makes are left out, for they change no state.
    """

    def __init__(self, builder: Builder, hazards: int | None = None, *,
                 sleep: bool = False) -> None:
        """
        Take over the task that `builder` has made.

        :param hazards: how many hazards exist; None for all
        :param sleep: let bodies at rest sleep until something touches them: many times as fast
            where many stand around
        :raises SpowlError: MuJoCo is too old to let them sleep
        """
        if sleep and _SLEEP is None:
            raise SpowlError(f'MuJoCo {mujoco.__version__} cannot let bodies sleep; install '
                             '3.17 (pip install --no-deps mujoco==3.17.0), or leave sleep off')
        task = builder.task
        task.random_generator.set_random_seed(0)
        with untextured():
            task.reset()  # compiles the model, once
        self.arena = Arena(task)
        self._task = task
        self._stream = RandomStream(0)
        self._sampler = LayoutSampler(task)
        self._contacts = Contacts(task, self.arena)
        self._objective = self._build_objective()
        self._buttons = self._objective if isinstance(self._objective, PressButton) else None
        model = self.arena.model
        self._robot = self.arena.data.xpos[self.arena.body_of['agent']]
        self._control_low, self._control_high = model.actuator_ctrlrange.T.copy()
        self._substeps: int = task.sim_conf.frameskip_binom_n
        is_ant = type(task.agent).__name__ == 'Ant'
        self._dies_below = 0.08 if is_ant else None
        joints = model.actuator_trnid[:, 0] if is_ant else np.zeros(0, np.intp)
        self._legs = model.jnt_qposadr[joints].tolist()
        self._layout: dict[str, Position] = {}
        self._zones: list[Position] = []
        self._init_costs(hazards)
        self._gremlins: Any = getattr(task, 'gremlins', None)
        self._senses = Senses(task, self.arena, {
            obstacle.name: [self.arena.body_of[name] for name in (
                self._hazards if obstacle.name == 'hazards' else _names(obstacle))]
            for obstacle in task._obstacles if obstacle.is_lidar_observed})
        model.opt.disableflags |= _SENSORS_OFF
        if sleep:
            model.opt.enableflags |= int(_SLEEP)
            model.opt.sleep_tolerance = _AT_REST

    @staticmethod
    def handles(builder: Builder) -> bool:
        """Return whether a task is made only of what this class knows."""
        task = builder.task
        return (
            type(task).__name__.rstrip('012') in _OBJECTIVES
            and type(task.agent).__name__ in _ROBOTS
            and LayoutSampler.handles(task)
            and task.agent.rot is None
            and not task.action_noise
            and task.sim_conf.frameskip_binom_p == 1.0
            and task.cost_conf.constrain_indicator
            and (task.lidar_conf.type, task.lidar_conf.alias) == ('pseudo', True))

    def seed(self, seed: int) -> None:
        """Restart the random stream."""
        self._stream = RandomStream(seed)

    def reset(self) -> None:
        """
        Begin an episode.

        Where the robot would start at a cost, which ends the plain package, draw again.

        :raises LayoutError: when no layout is found
        """
        for _ in range(_RESET_TRIES):
            self._layout = self._sampler.sample(self._stream)
            turns = self._stream.uniform(0, 2 * np.pi, len(self.arena.names))
            self.arena.place(self._layout, turns)
            self._zones = [self._layout[name] for name in self._hazards]
            mujoco.mj_kinematics(self.arena.model, self.arena.data)
            self._objective.renew(self._stream, self._layout)
            if self._buttons:
                self._buttons.timer = 0
            self._reset_robot()
            touched = self._update_positions()
            if not any(self._costs(self._robot.tolist(), touched).values()):
                return
        raise LayoutError(f'no layout without a cost at the start in {_RESET_TRIES} tries')

    def step(self, control: NDArray[np.float64], before: NDArray[np.float64] | None = None,
             late: float = 0.0) -> RawStep:
        """
        Hold a control for one raw step.

        :param control: shape (A,), in the actuators' units; clipped to their ranges
        :param before: what is held at first, for the part `late` of the raw step
        """
        self._stream.skip(1)  # the plain package draws the number of substeps, always all
        early = 0 if before is None else round(late * self._substeps)
        if before is not None and early:
            self._advance(before, early)
        self._advance(control, self._substeps - early)
        touched = self._update_positions()
        robot = self._robot.tolist()
        reward, reached = self._objective.reward(robot, touched)
        reward = min(max(reward, -self._reward_limit), self._reward_limit)
        costs = self._costs(robot, touched)
        terminated = False
        if self._buttons:
            self._buttons.timer = max(0, self._buttons.timer - 1)
        if reached:
            terminated = not self._renew_goal()
        if self._dies_below is not None and robot[2] <= self._dies_below:
            terminated = True
        return RawStep(reward, costs, reached, terminated)

    def _advance(self, control: NDArray[np.float64], substeps: int) -> None:
        """Hold a control for some of the physics' own steps."""
        model, data = self.arena.model, self.arena.data
        data.ctrl[:] = control.clip(self._control_low, self._control_high)
        if self._gremlins is None:
            mujoco.mj_step(model, data, substeps)
        else:
            for _ in range(substeps):
                self._move_gremlins()
                mujoco.mj_step(model, data)

    def observe(self) -> NDArray[np.float64]:
        """Return the plain package's observation, shape (n,)."""
        model, data = self.arena.model, self.arena.data
        model.opt.disableflags &= ~_SENSORS_OFF
        mujoco.mj_forward(model, data)
        model.opt.disableflags |= _SENSORS_OFF
        observation = self._senses.observe()
        if self._buttons and self._buttons.timer:
            observation[self._senses.slices['buttons_lidar']] = 0.0
        return observation

    def _build_objective(self) -> ReachGoal:
        if hasattr(self._task, 'buttons'):
            return PressButton(self._task, self.arena, self._sampler)
        if hasattr(self._task, 'push_box'):
            return PushBox(self._task, self.arena, self._sampler)
        return ReachGoal(self._task.goal, self.arena, self._sampler)

    def _init_costs(self, hazards: int | None) -> None:
        task = self._task
        self._reward_limit: float = task.reward_conf.reward_clip
        kinds = {obstacle.name: obstacle for obstacle in task._obstacles}
        constrained = {name for name, obstacle in kinds.items() if obstacle.is_constrained}
        self._hazards = _names(kinds['hazards'])[:hazards] if 'hazards' in kinds else []
        self._zone_radius: float | None = (
            kinds['hazards'].size if 'hazards' in constrained else None)
        self._vases = VaseSpeeds(task, self.arena) if 'vases' in constrained else None
        self._touch_costs = [name for name in ('pillars', 'gremlins') if name in constrained]
        self._buttons_cost = 'buttons' in constrained
        self._reads_contacts = bool(self._vases or self._touch_costs or self._buttons)

    def _reset_robot(self) -> None:
        """Bend the legs of an Ant, as its class does."""
        noises = self._stream.uniform(-0.1, 0.1, len(self._legs)).tolist()
        for index, (address, noise) in enumerate(zip(self._legs, noises, strict=True)):
            angle = noise if index % 2 == 0 else np.pi / 2 + noise
            self.arena.data.qpos[address] = -angle if index in (3, 5) else angle

    def _move_gremlins(self) -> None:
        """Let the gremlins' handles travel in circles, in step with the simulated time."""
        phase = float(self.arena.data.time)
        travel, height = self._gremlins.travel, self._gremlins.size
        self.arena.data.mocap_pos[:] = (np.sin(phase) * travel, np.cos(phase) * travel, height)

    def _update_positions(self) -> set[str]:
        """Compute positions of the state just reached; return what is touched, if it matters."""
        if not self._reads_contacts:
            mujoco.mj_kinematics(self.arena.model, self.arena.data)
            return set()
        mujoco.mj_fwdPosition(self.arena.model, self.arena.data)
        return self._contacts.touched()

    def _costs(self, robot: list[float], touched: set[str]) -> dict[str, float]:
        """Return 0 or 1 by cause."""
        costs: dict[str, float] = {}
        if self._buttons_cost and self._buttons and self._buttons.timer == 0:
            costs['buttons'] = float(any(name.startswith('button') for name in touched
                                         if name != self._buttons.button))
        if self._zone_radius is not None:
            costs['hazards'] = float(any(on_floor(zone, robot) < self._zone_radius
                                         for zone in self._zones))
        for name in self._touch_costs:
            costs[name] = float(name[:-1] in touched)
        if self._vases:
            costs['vases_contact'] = float('vase' in touched)
            costs['vases_velocity'] = float(self._vases.exceed())
        return costs

    def _renew_goal(self) -> bool:
        """Choose the next goal; return False when there is no place for one."""
        xpos = self.arena.data.xpos
        for name, body in self.arena.body_of.items():
            if not name.startswith('gremlin'):
                x, y, _ = xpos[body].tolist()
                self._layout[name] = (x, y)
        try:
            self._objective.renew(self._stream, self._layout)
        except LayoutError:
            return False
        return True


def _names(objects: Any) -> list[str]:
    """Return the names of SafetyGymnasium's objects of one class."""
    if hasattr(objects, 'num'):
        return [f'{objects.name[:-1]}{index}' for index in range(objects.num)]
    return [objects.name]
