# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Your own task: any environment with Gymnasium's interface and a cost.

Wherever a task is named, give ``package.module:make``: a function without arguments that returns
an `OwnEnvironment`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
from dataclasses import replace
import importlib
import math
import os
from pathlib import Path
import site
import sys
import traceback
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.sim.body import Body
from spowl_ros.sim.compat import import_safety_gymnasium
from spowl_ros.sim.perturbation import Perturbation
from spowl_ros.sim.scene import SimulatedScene
from spowl_ros.sim.step import StepResult, checked

TIMEOUT_PERIODS = 1.7
"""A field is stale after this many control periods, unless its Field says otherwise."""

IMPLAUSIBLE = 1e9
"""Greatest magnitude of a value, unless its Field says otherwise."""

LONGEST_EPISODE = 10_000
"""Decisions within which an episode must end; SafetyGymnasium's end within 1000 raw steps."""

_WANTED = {
    'cannot be imported': 'name it package.module:make, and mend what its module runs',
    'failed in make': 'mend it: a function without arguments returns '
                      'OwnEnvironment(environment, period=seconds)',
    'failed in reset': 'mend it: reset(seed=...) returns observation, info',
    'failed in step': 'mend it: step(action) returns observation, reward, terminated, truncated, '
                      'info',
    'failed in cost': "mend it: the cost in a step's info is a number",
    'failed in observation': 'mend it: an observation has every part of the observation space, '
                             'in numbers'}
"""What can go wrong in a user's code, and what to do."""
_LIBRARIES = (Path(__file__).parents[1], Path(os.__file__).parent,
              *map(Path, (*site.getsitepackages(), site.getusersitepackages())))
"""Folders of this package, of Python and of installed libraries."""


class Gymnasium(Protocol):
    """The interface that an environment must have; it is Gymnasium's."""

    observation_space: Any
    """A Box, or a Dict of Boxes."""
    action_space: Any
    """A Box with finite bounds."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the same seed gives the same episode."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return observation, reward, terminated, truncated, info."""


def cost_in_info(info: Mapping[str, Any]) -> float:
    """
    Return info['cost'], where most environments with a cost put it.

    :raises SpowlError: info has no cost
    """
    if 'cost' not in info:
        raise SpowlError("the environment's info has no 'cost'; tell OwnEnvironment how to find "
                         'it: cost=lambda info: ...')
    return float(info['cost'])


@contextlib.contextmanager
def _users_code(task: str, failed: str) -> Iterator[None]:
    """
    Run code of a task; whatever goes wrong there is its author's to mend.

    :param failed: a key of `_WANTED`
    :raises SpowlError: names task, part, error, and file and line in the user's code
    """
    try:
        yield
    except (Exception, SystemExit) as error:  # programs with pygame call sys.exit()
        said, to_do = f'{type(error).__name__}: {error}'.removesuffix(': '), f'; {_WANTED[failed]}'
        if isinstance(error, SpowlError):  # says itself what to do
            said, to_do = str(error), ''
        elif isinstance(error, SystemExit):
            to_do = '; a task must not end the process: remove the call of sys.exit()'
        lines = [f'{frame.f_code.co_filename}:{line}'
                 for frame, line in traceback.walk_tb(error.__traceback__)
                 if not _is_library(frame.f_code.co_filename)]
        place = f' ({lines[-1]})' if lines else ''
        raise SpowlError(f'the task {task} {failed}: {said}{place}{to_do}') from error


def _is_library(file: str) -> bool:
    """Return whether a file is not the user's; names like <string> stand for no file."""
    return file.startswith('<') or any(map(Path(file).is_relative_to, _LIBRARIES))


class OwnEnvironment:
    """
    Adapts an environment with Gymnasium's interface to training.

    :param environment: deterministic for a given seed, otherwise trainings cannot be resumed
    :param period: seconds of one of its steps
    :param cost: cost of a step from its info, at least 0
    :param fields: how a robot's messages carry the observation, in its order (a Dict space's
        order for a Dict); by default one field for each part, and the robot's YAML names the path
        that reads it
    :param stop: action that brings the robot to rest; by default the middle of the action space
    :raises SpowlError: spaces that training cannot use
    """

    body: Body | None = None
    """Nothing is known about the robot's body."""

    def __init__(self, environment: Gymnasium, period: float,
                 cost: Callable[[Mapping[str, Any]], float] = cost_in_info,
                 fields: tuple[Field, ...] = (), stop: tuple[float, ...] | None = None) -> None:
        self._environment = environment
        self._period = period
        self._cost = cost
        self._stop = stop
        self._low, self._high = _bounds(environment.action_space)
        self._sizes = sizes = _parts(environment.observation_space)
        self._fields = fields or tuple(
            Field(name, 'vector', name, size, '1', -IMPLAUSIBLE, IMPLAUSIBLE, 0.0)
            for name, size in sizes.items())
        size = sum(field.size for field in self._fields)
        if size != sum(sizes.values()):
            raise SpowlError(f'the fields have {size} values, the observation space '
                             f'{sum(sizes.values())}')
        self._ended = True
        self.unperturbed = np.zeros(size, np.float32)
        """The last observation, shape (n,)."""
        self.set_up('own', 1)

    def set_up(self, task: str, action_repeat: int) -> None:
        """Take the task's name and the number of steps for which an action is held."""
        timeout = TIMEOUT_PERIODS * self._period * action_repeat
        middle = tuple(((self._low + self._high) / 2).tolist())
        self.contract = Contract(
            task=task, robot=type(self._environment).__name__,
            fields=tuple(replace(field, timeout=field.timeout or timeout)
                         for field in self._fields),
            action=ActionSpec(tuple(f'action_{index}' for index in range(len(self._low))),
                              tuple(self._low.tolist()), tuple(self._high.tolist()), 'effort',
                              self._stop or middle),
            raw_period=self._period, action_repeat=action_repeat)

    def reset(self, seed: int | None = None) -> NDArray[np.float32]:
        """Begin an episode and return its first observation, shape (n,)."""
        with _users_code(self.contract.task, 'failed in reset'):
            observation, _ = self._environment.reset(seed=seed)
        self._ended = False
        self._decisions = 0
        self.unperturbed = self._flat(observation)
        return self.unperturbed

    def perturb(self, perturbation: Perturbation) -> None:
        """
        Accept only the perturbation that changes nothing.

        :raises SpowlError: any other
        """
        if perturbation != Perturbation():
            raise SpowlError(f'{self.contract.task} cannot be perturbed; it is a task of your '
                             'own, whose environment can take care of that')

    def step(self, action: ArrayLike) -> StepResult:
        """
        Hold an action until the next decision, or until the episode ends.

        :param action: shape (A,), each in [-1, 1], mapped to the action space's bounds
        :raises SpowlError: another shape, an ended episode, an episode without end, a failure of
            the environment, or a cost, a reward or an observation that is none
        """
        values = checked(action, self.contract, self._ended)
        space = self._environment.action_space
        given = (self._low + (values + 1.0) * (self._high - self._low) / 2).astype(
            space.dtype).reshape(space.shape)
        reward = cost = 0.0
        raw_steps = 0
        terminated = truncated = False
        while raw_steps < self.contract.action_repeat and not (terminated or truncated):
            with _users_code(self.contract.task, 'failed in step'):
                observation, part, over, cut, info = self._environment.step(given)
                reward += float(part)
                terminated, truncated = bool(over), bool(cut)
            raw_steps += 1
            with _users_code(self.contract.task, 'failed in cost'):
                spent = float(self._cost(info))
            if not 0.0 <= spent < math.inf:
                raise SpowlError(f'{self.contract.task} gave a cost of {spent}; costs are finite '
                                 'and at least 0')
            cost += spent
        if not math.isfinite(reward):
            raise SpowlError(f'{self.contract.task} gave a reward of {reward}; rewards are finite')
        self._ended = terminated or truncated
        self._decisions += 1
        # no truncation: the episode's return and cost would hang on a limit that nobody chose
        if self._decisions >= LONGEST_EPISODE and not self._ended:
            raise SpowlError(f'{self.contract.task} did not end its episode within '
                             f'{LONGEST_EPISODE} decisions; give it an end, as with gymnasium.'
                             'wrappers.TimeLimit(environment, max_episode_steps=1000)')
        self.unperturbed = self._flat(observation)
        return StepResult(self.unperturbed, reward, cost, terminated, truncated,
                          {'goals': 0, 'raw_steps': raw_steps, 'cost_parts': {'cost': cost}})

    def scene(self) -> SimulatedScene:
        """Return an empty scene: such an environment has no picture."""
        return SimulatedScene((), (0.0, 0.0, 0.0), 0.0)

    def _flat(self, observation: Any) -> NDArray[np.float32]:
        with _users_code(self.contract.task, 'failed in observation'):
            given = (observation if isinstance(observation, Mapping)
                     else {'observation': observation})
            parts = {name: np.asarray(given[name], np.float32).reshape(-1)
                     for name in self._sizes}
        for name, size in self._sizes.items():
            if parts[name].size != size:
                raise SpowlError(f"{self.contract.task} gave an observation whose part '{name}' "
                                 f'has {parts[name].size} values, its space {size}; return as '
                                 'many')
        flat = np.concatenate(list(parts.values()))
        if not np.isfinite(flat).all():
            raise SpowlError(f'{self.contract.task} gave an observation that is not finite: '
                             f'number {np.flatnonzero(~np.isfinite(flat))[0]} of {flat.size}')
        return flat


def make(task: str, action_repeat: int) -> OwnEnvironment:
    """
    Return the environment that ``package.module:make`` makes.

    :raises SpowlError: no such module or function, it fails, or it returns something else
    """
    module_name, _, function_name = task.partition(':')
    import_safety_gymnasium()  # quietly, before a task imports Gymnasium
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; an installed command does not
    with _users_code(task, 'cannot be imported'):
        function = getattr(importlib.import_module(module_name), function_name)
    with _users_code(task, 'failed in make'):
        environment = function()
    if not isinstance(environment, OwnEnvironment):
        raise SpowlError(f'{task} made a {type(environment).__name__}; wrap it: return '
                         'OwnEnvironment(environment, period=...)')
    environment.set_up(task, action_repeat)
    return environment


def _bounds(space: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return least and greatest action, each of shape (A,)."""
    low, high = (np.asarray(getattr(space, name, np.nan), np.float64).reshape(-1)
                 for name in ('low', 'high'))
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise SpowlError(f'the action space {space} is no Box with finite bounds')
    return low, high


def _parts(space: Any) -> dict[str, int]:
    """Return the name and size of each part of an observation."""
    spaces = getattr(space, 'spaces', {'observation': space})
    if not isinstance(spaces, Mapping) or not all(
            getattr(part, 'shape', None) and hasattr(part, 'low') for part in spaces.values()):
        raise SpowlError(f'the observation space {space} is neither a Box nor a Dict of Boxes')
    return {name: math.prod(part.shape) for name, part in spaces.items()}
