# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables from held-out episodes: what they promise, and that they reach the controller."""

from __future__ import annotations

import math
from pathlib import Path
import shutil

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.cli.main import main
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.monitors.calibration import (
    Calibration,
    HeldOutEpisode,
    conformal_table,
    discounted_sums,
    quantile_table,
    window_of,
)


def test_conformal_offsets_cover_what_follows() -> None:
    """On new data of the same kind, the bound holds about as often as it says."""
    random = np.random.default_rng(0)
    covered = {0.8: [], 0.9: [], 0.95: []}
    for _ in range(200):
        predicted = random.uniform(0, 5, 400)
        true = predicted * random.exponential(1.0, 400)
        offsets = dict(conformal_table(predicted[:200], true[:200]))
        for coverage, hits in covered.items():
            hits.append(np.mean(true[200:] <= predicted[200:] + offsets[coverage]))
    for coverage, hits in covered.items():
        assert np.mean(hits) == pytest.approx(coverage, abs=0.01)


def test_few_data_promise_little() -> None:
    """With ten differences nothing is promised beyond ten elevenths."""
    assert max(p for p, _ in conformal_table(np.zeros(10), np.arange(10))) == 0.9


def test_discounted_sums_of_whole_windows() -> None:
    """Each sum discounts the costs from its decision on; cut windows are left out."""
    np.testing.assert_allclose(discounted_sums([1, 0, 2, 4], 0.5, 3), [1.5, 2.0])
    assert discounted_sums([1, 2], 0.5, 3).size == 0


def test_an_episode_that_ended_by_itself_is_known_to_its_end() -> None:
    """No cost follows it, so every decision has its sum; a cut one keeps its open windows."""
    np.testing.assert_allclose(discounted_sums([1, 0, 4], 0.5, 2, terminated=True), [1, 2, 4])
    np.testing.assert_allclose(discounted_sums([1, 2], 0.5, 3, terminated=True), [2, 2])


@pytest.mark.parametrize(('lengths', 'window'), [
    ([200, 30], 100), ([100], 100), ([99, 20], 50), ([30], 15), ([1], 1), ([], 100)])
def test_the_window_fits_short_episodes(lengths: list[int], window: int) -> None:
    """It is half of the longest where none is long enough; those that ended do not count."""
    cut = [HeldOutEpisode(costs=[0.0] * length) for length in lengths]
    ended = HeldOutEpisode(costs=[0.0] * 7, terminated=True)
    assert window_of([*cut, ended]) == window


def test_tables_round_up_and_survive_json() -> None:
    """Between two tabulated probabilities the more careful one holds."""
    tables = Calibration({'model_error': quantile_table(np.arange(1001)),
                          'cost_offset': ((0.5, 1.0), (0.9, 2.0))}, 100, 1, 1, 7)
    assert tables.at('model_error', 0.97, 0.0) == pytest.approx(980)
    assert tables.at('cost_offset', 0.6, 0.0) == 2.0
    assert tables.at('cost_offset', 0.99, 0.0) == 2.0  # the most that was measured
    assert Calibration.from_dict(tables.to_dict()) == tables
    assert Calibration.from_dict(None).at('model_error', 0.9, math.inf) == math.inf
    with pytest.raises(SpowlError, match='malformed calibration'):
        Calibration.from_dict({'model_error': 3})


@pytest.mark.slow
def test_calibrating_a_bundle(untrained_bundle: Path, tmp_path: Path) -> None:
    """The verb writes tables into the manifest that the monitors of a controller then use."""
    model = tmp_path / 'model'
    shutil.copytree(untrained_bundle, model)
    assert main(['calibrate', str(model), '--episodes', '2']) == 0
    loaded = bundle.load(model)
    tables = Calibration.from_dict(loaded.calibration)
    assert tables.episodes == 2
    assert tables.decisions == 400
    assert tables.first_seed == 20_000
    errors = [value for _, value in tables.tables['model_error']]
    assert errors == sorted(errors)
    assert errors[0] > 0.0
    assert tables.tables['cost_offset']
    controller = Controller(loaded)
    assert controller.calibration == tables
