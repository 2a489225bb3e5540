# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The environment around the simulation: repeats, ends, perturbations, other tasks, mistakes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from numpy.typing import NDArray
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.sim import environment, tasks
from spowl_ros.sim.fast.random_stream import RandomStream
from spowl_ros.sim.perturbation import CommandDelay, Perturbation

POINT = tasks.TASKS[0]
ACTION = [0.7, 0.3]


def drive(perturbation: Perturbation | None = None, steps: int = 20,
          task: str = POINT) -> NDArray[np.float32]:
    """Return the observations of a short drive, shape (steps + 1, n)."""
    env = environment.make(task, 3, 2, perturbation)
    return np.stack([env.reset(), *(env.step(ACTION).observation for _ in range(steps))])


def test_a_decision_sums_its_raw_steps() -> None:
    """Held for five raw steps or given five times: the same end, and the sums of the parts."""
    once, five = environment.make(POINT, 1, 1), environment.make(POINT, 1, 5)
    np.testing.assert_array_equal(once.reset(8), five.reset(8))
    for _ in range(60):
        parts = [once.step(ACTION) for _ in range(5)]
        whole = five.step(ACTION)
        np.testing.assert_array_equal(whole.observation, parts[-1].observation)
        assert whole.reward == sum(part.reward for part in parts)
        assert whole.cost == sum(part.cost for part in parts)
        assert whole.info['goals'] == sum(part.info['goals'] for part in parts)


def test_an_episode_ends_after_a_thousand_raw_steps() -> None:
    """The last decision is cut short; no step follows before a reset."""
    env = environment.make(POINT, 0, 90)
    env.reset()
    results = [env.step([0.0, 0.0]) for _ in range(12)]
    assert [result.info['raw_steps'] for result in results] == [90] * 11 + [10]
    assert [result.truncated for result in results] == [False] * 11 + [True]
    with pytest.raises(SpowlError, match='reset the environment'):
        env.step([0.0, 0.0])


def test_nothing_is_perturbed_by_default() -> None:
    """The default perturbation gives the same numbers as none."""
    np.testing.assert_array_equal(drive(Perturbation()), drive(None))


@pytest.mark.parametrize('perturbation', [
    Perturbation(observation_noise=1.0), Perturbation(command_delay=3), Perturbation(mass=1.5),
    Perturbation(strength=1.5), Perturbation(friction=0.2), Perturbation(sensor_loss=0.5)])
def test_each_perturbation_changes_the_drive_repeatably(perturbation: Perturbation) -> None:
    """It differs from the plain drive, and is the same each time."""
    drives = drive(perturbation)
    assert np.abs(drives - drive(None)).max() > 1e-3
    np.testing.assert_array_equal(drives, drive(perturbation))


def test_noise_leaves_empty_sectors_empty() -> None:
    """Noise of a scan is noise of a distance: nothing seen stays nothing, and all is in [0, 1]."""
    scans = slice(12, None)
    plain, noisy = drive(None)[:, scans], drive(Perturbation(observation_noise=5.0))[:, scans]
    assert not noisy[plain == 0.0].any()
    assert noisy.min() >= 0.0 and noisy.max() <= 1.0


def test_delayed_commands_leave_the_robot_standing() -> None:
    """Until the first command arrives the wheels get the stop command."""
    speeds = np.abs(drive(Perturbation(command_delay=8), steps=8)[:, 3:5]).max(axis=1)
    assert speeds[:5].max() < 1e-3 < speeds[7]


def test_commands_are_late_by_parts_of_a_raw_step() -> None:
    """What acts is the last command until the new one arrives, by physics of 2 ms a step."""
    part, whole = (drive(Perturbation(command_delay=delay), steps=8) for delay in (0.3, 1.0))
    plain = drive(None, steps=8)
    apart = [np.abs(drives - plain).max() for drives in (part, whole)]
    assert 1e-4 < apart[0] < apart[1]
    np.testing.assert_array_equal(drive(Perturbation(command_delay=0.04), steps=8), plain)
    delay = CommandDelay(1.3, np.zeros(1))
    delay.reset()
    arriving = [[part.item() for part in delay(np.array([sent]))] for sent in (1.0, 2.0, 3.0)]
    assert arriving == [[0, 0], [0, 1], [1, 2]]
    assert delay.late == pytest.approx(0.3)


def test_fewer_hazards_in_the_same_observation() -> None:
    """Hazards that do not exist are neither seen nor paid for; the rest of the world is alike."""
    part = environment.contract(POINT).slices['hazards_lidar']
    none, all_ = drive(Perturbation(hazards=0)), drive(None)
    assert none.shape == all_.shape
    assert not none[:, part].any() and all_[:, part].any()
    np.testing.assert_array_equal(np.delete(none, part, axis=1), np.delete(all_, part, axis=1))


def test_lost_commands_leave_the_last_one_acting() -> None:
    """The robot does what it would do if it were given the command before once more."""
    losing, perfect = (environment.make(POINT, 3, 2, Perturbation(command_loss=loss))
                       for loss in (0.5, 0.0))
    np.testing.assert_array_equal(losing.reset(), perfect.reset())
    acting, lost = 0.0, 0
    for given in np.arange(1, 16) / 20:
        seen = losing.step([given, given]).observation
        arrived = bool(np.isclose(losing._control[0], given))  # type: ignore[union-attr]
        acting, lost = given if arrived else acting, lost + (not arrived)
        np.testing.assert_array_equal(seen, perfect.step([acting, acting]).observation)
    assert 2 < lost < 13


def test_lost_fields_keep_their_last_reading() -> None:
    """Each field of an observation is the true one or that of the observation before, whole."""
    plain, drops = drive(None), drive(Perturbation(sensor_loss=0.4))
    np.testing.assert_array_equal(drops[0], plain[0])
    kept = 0
    for part in environment.contract(POINT, 2).slices.values():
        for before, true, seen in zip(drops[:-1, part], plain[1:, part], drops[1:, part],
                                      strict=True):
            lost = not np.array_equal(seen, true)
            assert not lost or np.array_equal(seen, before)
            kept += lost
    fields = 20 * len(environment.contract(POINT, 2).fields)
    assert 0.2 * fields < kept < 0.6 * fields


@pytest.mark.parametrize('values', [{'mass': 0.0}, {'command_delay': -1}, {'hazards': -1},
                                    {'command_loss': 1.0}, {'sensor_loss': -0.1}])
def test_senseless_perturbations_are_refused(values: dict[str, float]) -> None:
    """The message names what is wrong."""
    with pytest.raises(SpowlError, match=next(iter(values))):
        Perturbation(**values)  # type: ignore[arg-type]


def test_other_tasks_run_in_the_plain_package() -> None:
    """An existing id that is not listed is tried, and a decision is the sum of its raw steps."""
    once, three = (environment.make('SafetyPointCircle1-v0', 1, repeat) for repeat in (1, 3))
    np.testing.assert_array_equal(once.reset(2), three.reset(2))
    for _ in range(5):
        parts = [once.step(ACTION) for _ in range(3)]
        whole = three.step(ACTION)
        np.testing.assert_array_equal(whole.observation, parts[-1].observation)
        assert whole.reward == pytest.approx(sum(part.reward for part in parts))
    with pytest.raises(SpowlError, match='cannot be perturbed'):
        environment.make('SafetyPointCircle1-v0', perturbation=Perturbation(mass=2.0))
    with pytest.raises(SpowlError, match='parts of a raw step'):
        environment.make('SafetyPointCircle1-v0', perturbation=Perturbation(command_delay=0.5))


def test_an_unknown_task_is_one_line_that_lists_what_exists() -> None:
    """The nearest names come first, then the tested tasks, and not the hundred others."""
    with pytest.raises(SpowlError, match='there is no task') as caught:
        environment.make('SafetyPointGaol1-v0')
    assert 'did you mean SafetyPointGoal1-v0' in str(caught.value)
    assert 'SafetyCarButton1-v0' in str(caught.value)
    assert 'SafetyRacecarGoal2-v0' not in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('action', [[0.0], [0.0, 0.0, 0.0]])
def test_an_action_of_another_size_is_refused(action: list[float]) -> None:
    """Broadcasting a single number to both wheels would hide a mistake."""
    env = environment.make(POINT)
    env.reset()
    with pytest.raises(SpowlError, match='shape'):
        env.step(action)


def test_another_process_makes_the_same_environment() -> None:
    """Nothing but the seed decides: a process of its own sees the same first observation."""
    code = (f'import sys; from spowl_ros.sim import environment; '
            f'sys.stdout.buffer.write(environment.make({POINT!r}, 5, 5).reset().tobytes())')
    seen = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)
    assert seen.stderr == b''
    np.testing.assert_array_equal(np.frombuffer(seen.stdout, np.float32),
                                  environment.make(POINT, 5, 5).reset())


@pytest.mark.parametrize('seed', range(10))
def test_the_stream_is_numpys(seed: int) -> None:
    """Floats, choices and numbers looked at in advance come as from RandomState."""
    numpys, ours = np.random.RandomState(seed), RandomStream(seed)
    choices = np.random.default_rng(seed)
    for _ in range(1000):
        kind = choices.integers(3)
        if kind == 0:
            count = int(choices.integers(4))
            np.testing.assert_array_equal(ours.uniform(-1.3, 0.7, count),
                                          numpys.uniform(-1.3, 0.7, count))
        elif kind == 1:
            bound = int(choices.integers(1, 9))
            assert ours.below(bound) == numpys.choice(bound)
        else:
            seen = ours.peek(30)
            used = int(choices.integers(31))
            ours.skip(used)
            np.testing.assert_array_equal(seen[:used], numpys.random_sample(used))


def test_the_simulation_starts_no_process_while_it_is_imported() -> None:
    """The process would print its own lines when Ctrl-C interrupts both."""
    program = (
        'import sys; sys.addaudithook(lambda event, args: event == "subprocess.Popen" and '
        'sys.exit(f"started {args[1]}")); '
        f'from spowl_ros.sim import environment; environment.make({POINT!r}); import glfw')
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
