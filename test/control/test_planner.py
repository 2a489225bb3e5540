# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The planner at run time: in time, deterministic, and usable by itself."""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path
import subprocess
import sys
import time

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.plan import RECORDED, Plan
from spowl_ros.control.planner import Planner


@pytest.fixture(scope='module')
def loaded(untrained_bundle: Path) -> Bundle:
    """Return the untrained bundle, loaded."""
    return bundle.load(untrained_bundle)


@pytest.fixture
def planner(loaded: Bundle) -> Planner:
    """Return a planner that has decided nothing yet."""
    return Planner(loaded, seed=3)


@pytest.fixture
def observe(loaded: Bundle) -> Callable[[], np.ndarray]:
    """Return a source of random observations."""
    random = np.random.default_rng(0)
    return lambda: random.uniform(-1, 1, loaded.contract.size).astype(np.float32)


def same(one: Plan, other: Plan) -> bool:
    """Return whether two plans are equal in every bit but the times."""
    return all(np.array_equal(getattr(one, name), getattr(other, name),
                              equal_nan=name != 'source')
               for name in (*RECORDED, 'latent', 'predicted_next'))


def test_same_steps_give_the_same_plans(loaded: Bundle, observe: Callable) -> None:
    """Seed, step and observations determine every bit, whatever a planner did before."""
    observations = [observe() for _ in range(5)]
    planner = Planner(loaded, seed=1)
    first = [planner.plan(o, step) for step, o in enumerate(observations)]
    planner.reset()
    again = [planner.plan(o, step) for step, o in enumerate(observations)]
    assert all(same(a, b) for a, b in zip(first, again))
    other = Planner(loaded, seed=2)
    assert not same(first[0], other.plan(observations[0], 0))
    planner.reset()
    assert not same(first[0], planner.plan(observations[0], 7))


def test_forced_iterations_replay_a_timed_decision(loaded: Bundle, observe: Callable) -> None:
    """Decisions cut short by the clock come out again with their numbers of iterations."""
    planner, replayed = Planner(loaded), Planner(loaded)
    counts = set()
    for step, budget in enumerate([1.0, 0.002, 0.0, 1.0, 0.001, 0.003] * 3):
        observation = observe()
        plan = planner.plan(observation, step, deadline=time.perf_counter() + budget)
        counts.add(plan.iterations)
        assert same(plan, replayed.plan(observation, step, iterations=plan.iterations))
    assert {0, loaded.settings.iterations} <= counts


def plans_in(planner: Planner, observe: Callable, budget: float, decisions: int) -> list[int]:
    """Return which of so many decisions, each with as many seconds, were planned."""
    return [step for step in range(decisions)
            if planner.plan(observe(), step, deadline=time.perf_counter() + budget).iterations]


def test_a_stall_is_not_believed_for_ever(loaded: Bundle, observe: Callable) -> None:
    """After stages took long once, one decision tries again, and planning goes on."""
    planner = Planner(loaded)
    for recent in planner._recent.values():
        recent.extend([1.0] * 5)  # as when the process was stopped for five seconds
    assert plans_in(planner, observe, 0.5, 40) == list(range(15, 40))


def test_what_stays_too_slow_is_tried_ever_less_often(loaded: Bundle, observe: Callable) -> None:
    """Where a plan never is in time, hardly any decision is late for trying."""
    planner = Planner(loaded)
    for recent in planner._recent.values():
        recent.extend([1.0] * 5)
    tried = plans_in(planner, observe, 1e-4, 400)
    # on a busy machine the time is over before some decisions begin, and nothing is tried then
    assert 3 <= len(tried) <= 4
    assert all(gap >= least for gap, least in zip(np.diff([-1, *tried]), (16, 32, 64, 128)))


def test_without_any_time_nothing_is_tried(loaded: Bundle, observe: Callable) -> None:
    """Deadlines that have passed give the policy's action, however many there are."""
    assert plans_in(Planner(loaded), observe, 0.0, 40) == []


def test_no_time_gives_the_policys_action(planner: Planner, observe: Callable) -> None:
    """With a deadline that has passed, the policy's action comes at once."""
    plan = planner.plan(observe(), 0, deadline=time.perf_counter())
    assert (plan.source, plan.iterations) == ('policy', 0)
    np.testing.assert_array_equal(plan.action, plan.policy_action)
    assert plan.plan_action == () and math.isnan(plan.plan_value)


def test_model_error_follows_what_was_executed(planner: Planner, observe: Callable) -> None:
    """The error is the distance to the latent predicted for the action that was executed."""
    first = planner.plan(observe(), 0)
    assert math.isnan(first.model_error)
    second = planner.plan(observe(), 1)
    assert second.model_error == pytest.approx(
        np.linalg.norm(second.latent - first.predicted_next), rel=1e-5)
    planner.executed('stop')
    assert math.isnan(planner.plan(observe(), 2).model_error)
    planner.executed('policy')
    assert not math.isnan(planner.plan(observe(), 3).model_error)
    planner.reset()
    assert math.isnan(planner.plan(observe(), 4).model_error)


def test_settings_change_within_the_bundle(planner: Planner, observe: Callable) -> None:
    """Run-time settings take effect; a setting that shapes the graphs is refused."""
    settings = planner.bundle.settings
    planner.change(settings.at_run_time({'kind': 'policy'}))
    assert planner.plan(observe(), 0).iterations == 0
    planner.change(settings.at_run_time({'switch': False, 'iterations': 1}))
    plan = planner.plan(observe(), 1)
    assert (plan.source, plan.iterations) == ('plan', 1)
    with pytest.raises(SpowlError, match="'samples' is fixed in the bundle at 32"):
        settings.at_run_time({'samples': 64})


def test_settings_that_need_each_other_change_together(planner: Planner) -> None:
    """Values that are wrong one after the other are right at once, in any order."""
    settings = planner.bundle.settings.at_run_time({'min_std': 0.1, 'max_std': 0.2})
    for values in ({'min_std': 0.4, 'max_std': 0.8}, {'max_std': 0.8, 'min_std': 0.4}):
        assert settings.at_run_time(values).min_std == 0.4
    with pytest.raises(SpowlError, match=r'min_std 0\.4 is above max_std 0\.2'):
        settings.at_run_time({'min_std': 0.4})


def test_wrong_observation_is_refused(planner: Planner) -> None:
    """An observation of another size is refused with both sizes."""
    with pytest.raises(SpowlError, match=r'\(3,\).*wants \(60,\)'):
        planner.plan(np.zeros(3, np.float32), 0)


def test_five_lines_without_ros_and_torch(untrained_bundle: Path) -> None:
    """A bundle drives in five lines of Python that import neither PyTorch nor rclpy."""
    code = f"""
import numpy, sys
from spowl_ros.control import bundle
from spowl_ros.control.planner import Planner
planner = Planner(bundle.load({str(untrained_bundle)!r}))
action = planner.plan(numpy.zeros(60, numpy.float32), step=0).action
assert len(action) == 2 and not {{'torch', 'rclpy', 'safety_gymnasium'}} & set(sys.modules)
"""
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60)
