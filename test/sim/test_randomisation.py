# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Domain randomisation draws robots from its ranges, repeatably."""

from __future__ import annotations

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.sim import environment
from spowl_ros.sim.perturbation import PRESETS, Perturbation, preset
from spowl_ros.sim.randomisation import Randomisation

WIDE = Randomisation(mass=(0.8, 1.5), strength=(0.7, 1.3), friction=(0.5, 1.5),
                     observation_noise=(0.0, 1.5), command_delay=(0.0, 0.04),
                     command_loss=(0.0, 0.1), sensor_loss=(0.0, 0.1))


def test_draws_fill_their_ranges() -> None:
    """Every number is uniform over its range; a delay is in seconds and becomes raw steps."""
    rng = np.random.default_rng(0)
    drawn = [WIDE.draw(rng, 0.02) for _ in range(2000)]
    for name, (low, high) in (('mass', (0.8, 1.5)), ('strength', (0.7, 1.3)),
                              ('command_delay', (0.0, 2.0)), ('sensor_loss', (0.0, 0.1))):
        values = np.array([getattr(one, name) for one in drawn])
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_scale_and_share_bring_the_nominal_robot_back() -> None:
    """Half the scale draws from half of each range; a share of the episodes is nominal."""
    half = Randomisation(scale=0.5, mass=(0.8, 1.6))
    masses = [half.draw(np.random.default_rng(i), 0.02).mass for i in range(500)]
    assert 0.9 <= min(masses) < 0.92 and 1.28 < max(masses) <= 1.3
    shared = Randomisation(nominal_share=0.25, mass=(0.8, 1.6))
    nominal = [shared.draw(np.random.default_rng(i), 0.02) == Perturbation() for i in range(500)]
    assert np.mean(nominal) == pytest.approx(0.25, abs=0.06)
    assert not Randomisation().active and not Randomisation(scale=0.0, mass=(1, 2)).active
    assert WIDE.active


@pytest.mark.parametrize(('values', 'said'), [
    ({'mass': [1.5, 1.0]}, 'lower end'), ({'strength': [0.0, 1.0]}, 'strength is 0'),
    ({'sensor_loss': [0.0, 1.0]}, 'sensor_loss is 1'), ({'mass': 1.2}, 'a list of')])
def test_senseless_ranges_are_refused(values: dict[str, object], said: str) -> None:
    """The message names the range."""
    with pytest.raises(SpowlError, match=said):
        read(Randomisation, values, 'randomisation')


def test_an_environment_changes_its_robot_between_episodes() -> None:
    """Each episode is that of an environment made for its robot; nominal comes back exactly."""
    def drive(env: environment.AnyEnvironment) -> np.ndarray:
        return np.stack([env.reset(4), *(env.step([0.7, 0.4]).observation for _ in range(15))])

    robots = [Perturbation(), WIDE.draw(np.random.default_rng(3), 0.02), Perturbation(mass=1.4),
              Perturbation()]
    changing = environment.make('PointGoal1', action_repeat=2)
    for robot in robots:
        changing.perturb(robot)
        fresh = environment.make('PointGoal1', action_repeat=2, perturbation=robot)
        np.testing.assert_array_equal(drive(changing), drive(fresh))
    with pytest.raises(SpowlError, match='hazards'):
        changing.perturb(Perturbation(hazards=2))


def test_presets_count_their_delay_in_seconds() -> None:
    """Twenty milliseconds are one raw step of a Point and half of one of a Car."""
    assert set(PRESETS) == {'ordinary'}
    assert preset('ordinary', 0.02).command_delay == 1.0
    assert preset('ordinary', 0.04).command_delay == 0.5
    assert preset('ordinary', 0.02).mass == 1.2
