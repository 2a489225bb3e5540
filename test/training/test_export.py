# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle is written before training, or again with other settings or without planning."""

from __future__ import annotations

from pathlib import Path
import shutil

import numpy as np
import pytest

from spowl_ros.cli.main import main
from spowl_ros.control import bundle as bundles
from spowl_ros.control.planner import Planner
from spowl_ros.training.export import export_bundle


def test_planning_off_is_a_setting_of_a_bundle(untrained_bundle: Path, tmp_path: Path) -> None:
    """With kind policy a bundle does not plan; with its kind given it plans as before."""
    before = bundles.load(untrained_bundle)
    off = tmp_path / 'off'
    assert main(['export', str(untrained_bundle), str(off), '--set', 'kind=policy']) == 0
    after = bundles.load(off)
    kept = bundles.LISTED - {bundles.MODEL_CARD}
    assert all(before.content[name] == after.content[name] for name in kept)
    assert 'Planning is off' in (off / bundles.MODEL_CARD).read_text()
    observation = np.zeros(after.contract.size, np.float32)
    assert Planner(after).plan(observation, 0).source == 'policy'
    again = after.settings.at_run_time({'kind': before.settings.kind})
    on, as_before = (planner.plan(observation, 0)
                     for planner in (Planner(after, again), Planner(before)))
    assert repr(on) == repr(as_before)  # NaN is no NaN's equal from Python 3.13 on


def test_another_search_with_the_same_networks(untrained_bundle: Path, tmp_path: Path) -> None:
    """Other sizes of the search give new graphs for the same weights, and no former figures."""
    directory = tmp_path / 'smaller'
    before = bundles.load(untrained_bundle)
    after = export_bundle(untrained_bundle, directory, {'samples': 12, 'iterations': 1})
    assert (after.settings.samples, after.settings.iterations) == (12, 1)
    assert after.provenance['networks_of'] == before.digest
    assert (after.measured, after.calibration) == (None, None)
    observation = np.full(after.contract.size, 0.1, np.float32)
    ours, theirs = (Planner(bundle).plan(observation, 0) for bundle in (after, before))
    assert ours.policy_action == theirs.policy_action
    assert ours.policy_value == theirs.policy_value
    assert ours.iterations == 1


@pytest.mark.slow
@pytest.mark.parametrize(('task', 'repeat'), [
    ('examples/own_task/crossing.yaml', 2), ('CarGoal1', 2), ('PointGoal1', 4), ('PointPush2', 5)])
def test_untrained_networks_decide_at_the_rate_of_the_training(
        task: str, repeat: int, tmp_path: Path) -> None:
    """An untrained bundle holds actions as long as its task's configuration; 5 steps without."""
    assert main(['export', '--untrained', task, str(tmp_path / 'model')]) == 0
    assert bundles.load(tmp_path / 'model').contract.action_repeat == repeat


def test_a_signed_bundle_is_not_replaced(untrained_bundle: Path, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    """Its signature would be lost without a word, by whatever writes bundles."""
    signed = shutil.copytree(untrained_bundle, tmp_path / 'signed')
    (signed / 'model.sig').write_text('signed')
    before = sorted((path.name, path.read_bytes()) for path in signed.iterdir())
    assert main(['export', str(untrained_bundle), str(signed)]) == 2
    assert 'is signed and would lose its signature' in capsys.readouterr().err
    assert sorted((path.name, path.read_bytes()) for path in signed.iterdir()) == before
