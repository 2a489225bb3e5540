# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a user's own task is one line that names the task, the part and the place."""

from __future__ import annotations

from pathlib import Path
import re
import sys
from typing import Any

import gymnasium
from gymnasium.spaces import Box, Dict
import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim import environment, own
from spowl_ros.sim.own import OwnEnvironment

HERE = r'\(.*test_own_faults\.py:\d+\)'
"""How a message names a line of this file."""


class Still(gymnasium.Env):
    """Nothing ever happens, unless a part of it is replaced."""

    action_space = Box(-1.0, 1.0, (2, 2))
    observation_space = Dict({'a': Box(-1.0, 1.0, (2,)), 'b': Box(-1.0, 1.0, (1,))})

    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[Any, Any]:
        """Begin."""
        return seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Stay."""
        return seen(), 0.0, False, False, {'cost': 0.0}


def seen(**parts: Any) -> dict[str, Any]:
    """Return an observation with some parts replaced."""
    return {'a': np.zeros(2), 'b': np.zeros(1), **parts}


def fail(error: BaseException) -> Any:
    """Raise an error."""
    raise error


def after(**outcome: Any) -> Any:
    """Return a step with some of its outcome replaced."""
    usual = {'observation': seen(), 'reward': 0.0, 'over': False, 'cut': False,
             'info': {'cost': 0.0}}
    return lambda action: tuple((usual | outcome).values())


def said_of(make: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the error of a task made by a function, up to its first decision."""
    monkeypatch.setattr(sys.modules[__name__], 'task', make, raising=False)
    with pytest.raises(SpowlError) as caught:
        made = environment.make(f'{__name__}:task')
        made.reset(seed=0)
        made.step(np.zeros(4))
    said = str(caught.value)
    assert f'{__name__}:task ' in said
    return said


@pytest.mark.parametrize(('source', 'said'), [
    ('def make(:', r'SyntaxError: .*\.py, line 1\)'),
    ('\nx = undefined', r"NameError: .*'undefined'.* \({path}:2\)"),
    ('raise RuntimeError("no\\nlicence")', r'RuntimeError: no licence \({path}:1\)'),
    ('import sys\nsys.exit(0)', r'SystemExit: 0 \({path}:2\); a task must not end'),
    ('import nothing_like_this', r'ModuleNotFoundError: .*nothing_like_this.* \({path}:1\)'),
    ('', "AttributeError: .*has no attribute 'make'")])
def test_a_module_that_fails(source: str, said: str, tmp_path: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails names error, file and line."""
    (tmp_path / 'failing_task.py').write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'failing_task', raising=False)
    said = said.replace('{path}', re.escape(str(tmp_path / 'failing_task.py')))
    with pytest.raises(SpowlError, match=f'task failing_task:make cannot be imported: {said}'):
        environment.make('failing_task:make')


@pytest.mark.parametrize('task', [':make', '.tasks:make', 'examples.own_task.crossing:'])
def test_a_name_that_is_none(task: str) -> None:
    """It says how a task is named."""
    with pytest.raises(SpowlError, match=f'task {task} cannot be .*name it package.module:make'):
        environment.make(task)


@pytest.mark.parametrize(('make', 'said'), [
    (lambda: 1 / 0, f'ZeroDivisionError: division by zero {HERE}; mend it: a function without'),
    (lambda: fail(AssertionError()), f'AssertionError {HERE}'),
    (lambda: sys.exit(0), f'SystemExit: 0 {HERE}; a task must not end the process'),
    (lambda size: None, 'TypeError: .* missing 1 required positional argument'),
    (3, "TypeError: 'int' object is not callable; mend it: a function"),
    (lambda: OwnEnvironment(Still(), period='0.1'), f'TypeError: .* {HERE}; .*period=seconds'),
    (lambda: OwnEnvironment(Still(), period=0.0), f'raw_period is 0.0; .* {HERE}')])
def test_a_make_that_fails(make: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that makes no environment is told apart from its module."""
    assert re.search(f'failed in make: .*{said}', said_of(make, monkeypatch))


@pytest.mark.parametrize(('parts', 'said'), [
    ({'reset': lambda seed: fail(OSError(28, 'no space'))},
     f'failed in reset: OSError: .*no space {HERE}; mend it: reset'),
    ({'reset': lambda seed: np.zeros(3)}, 'failed in reset: ValueError: .*returns obs.*, info'),
    ({'reset': lambda seed: ({'a': np.zeros(2)}, {})}, "failed in observation: KeyError: 'b'"),
    ({'reset': lambda seed: (np.zeros(3), {})}, "failed in observation: KeyError: 'a'"),
    ({'step': lambda action: fail(ValueError('the motor\nis hot'))},
     f'failed in step: ValueError: the motor is hot {HERE}; mend it: step'),
    ({'step': lambda action: sys.exit(0)}, f'failed in step: SystemExit: 0 {HERE}'),
    ({'step': lambda action: fail(StopIteration())}, f'failed in step: StopIteration {HERE}'),
    ({'step': lambda action: (seen(), 0.0, True, {'cost': 0.0})},
     'failed in step: ValueError: .*expected 5, got 4.*; .*terminated, truncated, info'),
    ({'step': after(reward=None)}, 'failed in step: TypeError'),
    ({'step': after(over=np.array([True, False]))}, 'failed in step: ValueError'),
    ({'step': after(info={'cost': None})}, 'failed in cost: TypeError: .*is a number'),
    ({'step': after(info={'cost': 'high'})}, "failed in cost: ValueError: .*'high'; mend it"),
    ({'step': after(info={'cost': np.zeros(2)})}, 'failed in cost: TypeError'),
    ({'step': after(info=None)}, 'failed in cost: TypeError'),
    ({'step': after(info={})}, "failed in cost: the environment's info has no 'cost'"),
    ({'step': after(observation=seen(b=np.zeros(4)))}, "part 'b' has 4 values, its space 1"),
    ({'step': after(observation=seen(a=np.zeros(1), b=np.zeros(2)))}, "part 'a' has 1 values"),
    ({'step': after(observation=seen(b='left'))}, "failed in observation: ValueError: .*'left'")])
def test_an_environment_that_fails(parts: dict[str, Any], said: str,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says which part failed, how, where, and what it has to do."""
    assert re.search(said, said_of(lambda: OwnEnvironment(Still(**parts), 0.1), monkeypatch))


def test_a_cost_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's function is named by its line."""
    said = said_of(lambda: OwnEnvironment(Still(), 0.1, cost=lambda info: info['danger']),
                   monkeypatch)
    assert re.search(f"failed in cost: KeyError: 'danger' {HERE}; mend it: the cost", said)


def test_the_place_is_the_users_not_a_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's own lines say nothing to the author of a task."""
    said = said_of(lambda: OwnEnvironment(
        Still(step=lambda action: np.linalg.inv(np.zeros((2, 3)))), 0.1), monkeypatch)
    assert re.search(f'failed in step: LinAlgError: .* {HERE}', said)


def test_an_interrupt_is_no_fault_of_the_task() -> None:
    """Ctrl-C ends what the task was doing, and nobody is to blame."""
    still = OwnEnvironment(Still(reset=lambda seed: fail(KeyboardInterrupt())), 0.1)
    with pytest.raises(KeyboardInterrupt):
        still.reset()


def test_an_action_has_the_shape_of_its_space() -> None:
    """The environment gets a matrix if its action space holds matrices."""
    given = []
    space = Box(np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]), dtype=np.float64)
    still = OwnEnvironment(Still(action_space=space, step=lambda action: (
        given.append(action) or after()(action))), 0.1)
    still.reset()
    still.step(np.ones(4))
    assert space.contains(given[0])
    assert given[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_an_episode_must_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without end is an error, not a command that hangs; a time limit mends it."""
    monkeypatch.setattr(own, 'LONGEST_EPISODE', 5)
    limited = OwnEnvironment(gymnasium.wrappers.TimeLimit(Still(), 5), 0.1)
    for _ in range(2):  # each episode is counted anew
        limited.reset()
        assert [limited.step(np.zeros(4)).truncated for _ in range(5)] == [False] * 4 + [True]
    endless = OwnEnvironment(Still(), 0.1)
    endless.reset()
    for _ in range(4):
        endless.step(np.zeros(4))
    with pytest.raises(SpowlError, match='own did not end .* within 5 decisions; .*TimeLimit'):
        endless.step(np.zeros(4))
