# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Our environments as OmniSafe's own.

`register` takes SafetyGymnasium's ids from OmniSafe's environment class and gives them to
`ScanTask`, so that OmniSafe still finds its settings for the task. The ids that end in -modelbased
stay OmniSafe's: its class computes coordinates from a simulation, which is ours then.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from benchmarks.baselines.stand_ins import import_omnisafe
from spowl_ros.base.seeds import training_seed
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.sim import environment, tasks
from spowl_ros.sim.compat import import_safety_gymnasium
from spowl_ros.sim.environment import Environment
from spowl_ros.sim.step import StepResult

import_safety_gymnasium()  # OmniSafe imports it, and it only imports with our changes
import_omnisafe()

from omnisafe.envs import safety_gymnasium_modelbased as coordinates  # noqa: E402
from omnisafe.envs.core import CMDP, ENV_REGISTRY, env_register, env_unregister  # noqa: E402
from omnisafe.envs.safety_gymnasium_env import SafetyGymnasiumEnv  # noqa: E402

MODEL_BASED = '-modelbased'
_SENSORS_OFF = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)


class Episodes:
    """
    Our environment at raw steps; each episode has a training seed of its own.

    Limits actions to the contract's greatest change, as evaluation does. OmniSafe's methods learn
    from the actions that they wanted: the limit is a part of the task to them.
    """

    def __init__(self, task: str) -> None:
        self.environment = environment.make(task)
        self.seed = 0
        self.begun = 0
        """Number of episodes begun; with `seed` it is the whole state between episodes."""

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin the next episode; a seed begins another sequence of them."""
        if seed is not None:
            self.seed, self.begun = seed, 0
        drawn = training_seed(self.seed, self.begun)
        self.begun += 1
        self._last = self.environment.contract.action.rest.astype(np.float32)
        return self.environment.reset(drawn)

    def step(self, action: NDArray[np.float32]) -> StepResult:
        """Make one raw step with a limited action (A,)."""
        self._last = self.environment.contract.action.held(np.clip(action, -1.0, 1.0), self._last)
        return self.environment.step(self._last)


def spaces(size: int, actions: int) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Return the spaces of observations and actions, as OmniSafe wants them."""
    return (gymnasium.spaces.Box(-np.inf, np.inf, (size,)),
            gymnasium.spaces.Box(-1.0, 1.0, (actions,)))


class ScanTask(CMDP):
    """One of our tasks: raw steps, rewards and costs, and the plain observation."""

    need_auto_reset_wrapper = True
    need_time_limit_wrapper = False  # our environment truncates
    need_evaluation = False
    _support_envs: ClassVar[list[str]] = list(tasks.TASKS)

    def __init__(self, env_id: str, num_envs: int = 1, device: Any = 'cpu', **_: Any) -> None:
        super().__init__(env_id)
        self._num_envs, self._device = num_envs, torch.device(device)
        self._metadata: dict[str, Any] = {}
        self.episodes = Episodes(env_id)
        contract = self.episodes.environment.contract
        self._observation_space, self._action_space = spaces(contract.size, contract.action.size)

    @property
    def max_episode_steps(self) -> int:
        """Return the raw steps of an episode."""
        return RAW_STEPS

    def reset(self, seed: int | None = None, options: object = None
              ) -> tuple[Tensor, dict[str, Any]]:
        """Begin an episode."""
        return torch.as_tensor(self.episodes.reset(seed), device=self._device), {}

    def step(self, action: Tensor) -> tuple[Any, ...]:
        """Make one raw step."""
        made = self.episodes.step(action.detach().cpu().numpy())
        values = made.observation, made.reward, made.cost, made.terminated, made.truncated
        return (*(torch.as_tensor(value, dtype=torch.float32, device=self._device)
                  for value in values), {})

    def set_seed(self, seed: int) -> None:
        """Begin the sequence of episodes of a seed."""
        self.reset(seed)

    def render(self) -> None:
        """Refuse: nothing asks for pictures."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing: nothing is open."""


class CoordinateTask:
    """
    What OmniSafe's class of coordinates reaches for inside SafetyGymnasium, from our simulation.

    Its coordinates then equal those over the plain package.
    """

    metadata: ClassVar[dict[str, Any]] = {}

    def __init__(self, task: str) -> None:
        self.episodes = Episodes(task)
        inner = self.episodes.environment
        assert isinstance(inner, Environment)
        self.observation_space, self.action_space = spaces(inner.contract.size,
                                                           inner.contract.action.size)
        self.env = SimpleNamespace(spec=SimpleNamespace(max_episode_steps=RAW_STEPS))
        self.task = scene_of(inner)

    def reset(self, seed: int | None = None, options: object = None
              ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        return self.episodes.reset(seed), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Any, ...]:
        """Make one raw step."""
        made = self.episodes.step(action)
        info = {'goal_met': True} if made.info['goals'] else {}
        return (made.observation, made.reward, made.cost, made.terminated, made.truncated, info)

    def render(self) -> NDArray[np.uint8]:
        """Return a black picture: evaluations that draw are switched off."""
        return np.zeros((8, 8, 3), np.uint8)

    def close(self) -> None:
        """Do nothing: nothing is open."""


def scene_of(inner: Environment) -> Any:
    """Return robot, goal and hazards of an environment, as SafetyGymnasium's task has them."""
    simulation: Any = inner._simulation
    arena = simulation.arena
    model, data = arena.model, arena.data
    robot, goal = arena.body_of['agent'], arena.body_of['goal']
    hazards = [body for name, body in arena.body_of.items() if name.startswith('hazard')]

    class Agent:
        """The robot."""

        pos = property(lambda self: data.xpos[robot].copy())
        mat = property(lambda self: data.xmat[robot].reshape(3, 3).copy())

        def get_sensor(self, name: str) -> NDArray[np.float64]:
            """Return a sensor's reading; observing has computed it."""
            sensor = model.sensor(name)
            start = int(sensor.adr[0])
            return np.array(data.sensordata[start:start + int(sensor.dim[0])])

    class Goal:
        """The goal."""

        pos = property(lambda self: data.xpos[goal].copy())

    class Hazards:
        """The hazards."""

        pos = property(lambda self: [data.xpos[body].copy() for body in hazards])

    return SimpleNamespace(agent=Agent(), goal=Goal(), hazards=Hazards())


def _make(id: str, **_: Any) -> CoordinateTask:  # noqa: A002  its name is theirs
    return CoordinateTask(id)


def register() -> ModuleType:
    """Make our environments OmniSafe's, once; return OmniSafe."""
    if SafetyGymnasiumEnv.__name__ in ENV_REGISTRY._class:
        env_unregister(SafetyGymnasiumEnv)
        env_register(ScanTask)
    # its class imports safety_gymnasium for one call only
    coordinates.safety_gymnasium = SimpleNamespace(make=_make)
    return import_omnisafe()


def episodes_of(adapter: Any) -> Episodes:
    """Return the episodes under the wrappers of an adapter."""
    inner = adapter._env
    while not hasattr(inner, 'episodes'):
        inner = inner._env
    return inner.episodes
