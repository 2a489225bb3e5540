# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles of an earlier schema, and those that lack a knob, decide as they always did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import json
from pathlib import Path

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import setting
from spowl_ros.control import bundle as bundles
from spowl_ros.control import graph_io
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.plan import Plan
from spowl_ros.control.planner import Planner
from spowl_ros.control.planner_settings import PlannerSettings

SHIPPED = Path(__file__).resolve().parents[2] / 'models' / 'SafetyPointGoal2-v0'


@dataclass(frozen=True)
class NewerSettings(PlannerSettings):
    """Those of a later release, which has one more knob."""

    patience: float = setting(0.5, 'A knob that no bundle of today has.', low=0.0, high=1.0)

    def knobs(self) -> dict[str, float]:
        """Return all knobs by name."""
        return {**super().knobs(), 'patience': self.patience}


@pytest.fixture(scope='module')
def older() -> Bundle:
    """Return a shipped bundle, of schema 2: its knobs are packed, its tensors named otherwise."""
    loaded = bundles.load(SHIPPED)
    assert loaded.schema == 2 and 'knobs' in loaded.graphs[graph_io.SELECT].inputs
    return loaded


def plans(bundle: Bundle, change: Callable[[PlannerSettings], PlannerSettings] = lambda s: s,
          count: int = 6) -> list[Plan]:
    """Return plans for random observations in a row."""
    planner = Planner(bundle, change(bundle.settings), seed=4)
    random = np.random.default_rng(0)
    return [planner.plan(random.uniform(-1, 1, bundle.contract.size).astype(np.float32), step)
            for step in range(count)]


def shown(decided: list[Plan]) -> list[str]:
    """Return all that is recorded of plans, not-a-number included."""
    return [repr(plan) for plan in decided]


@pytest.mark.parametrize('changes', [
    {}, {'kind': 'threshold', 'cost_threshold': 0.3}, {'switch': False, 'temperature': 2.0},
    {'cost_budget': 0.2, 'cost_weight': 1.0, 'first_std': 0.3, 'warm_std': 0.2, 'min_std': 0.1,
     'max_std': 0.6, 'interval_width': 0.0}])
@pytest.mark.slow
def test_knobs_by_name_decide_as_packed_ones(older: Bundle, tmp_path: Path, changes: dict) -> None:
    """Exported anew, networks of a bundle of schema 2 decide the same, bit for bit."""
    from spowl_ros.training.checkpoint import bundle_networks
    from spowl_ros.training.export import export

    newer = export(bundle_networks(older), older.contract, older.settings, tmp_path / 'new')
    assert newer.schema == 3 and 'knob.temperature' in newer.graphs[graph_io.IMPROVE].inputs
    assert json.loads((tmp_path / 'new' / 'manifest.json').read_text())['planner']['knobs'] == (
        older.settings.knobs())
    one, other = (plans(bundle, lambda s: s.at_run_time(changes)) for bundle in (older, newer))
    assert shown(one) == shown(other)


def test_every_knob_has_its_place_in_an_older_bundle(older: Bundle) -> None:
    """Each number of the packed tensor is the setting that was there when it was exported."""
    settings = older.settings.at_run_time({
        'kind': 'threshold', 'switch': False, 'temperature': 0.9, 'min_std': 0.11, 'max_std': 1.1,
        'first_std': 1.2, 'warm_std': 1.3, 'interval_width': 1.4, 'cost_threshold': 1.5})
    packed = Planner(older, settings)._buffers['knobs']
    np.testing.assert_allclose(
        packed, [0, 1, 0, 0.9, 0.11, 1.1, 1.2, 1.3, 1.4, 1.5, 1e9, 0.0], rtol=1e-6)


@pytest.mark.parametrize('which', ['older', 'untrained'])
def test_an_older_bundle_under_a_newer_knob(older: Bundle, untrained_bundle: Path, which: str
                                            ) -> None:
    """A bundle without a knob plans as ever; who sets the knob is told that it has no effect."""
    known = older if which == 'older' else bundles.load(untrained_bundle)
    newer = replace(known, settings=NewerSettings(**known.settings.to_dict()))
    assert shown(plans(newer)) == shown(plans(known))
    with pytest.raises(SpowlError, match=r"'patience' is 0\.7, but the graphs of .* do not take"):
        Planner(newer, newer.settings.at_run_time({'patience': 0.7}))


def test_former_names_of_settings_are_known(older: Bundle) -> None:
    """Bundles, recordings and configurations that say seed mean what fills the mean today."""
    settings = older.settings
    assert settings.fill == 'policy'
    named = settings.to_dict()
    named['seed'] = named.pop('fill')
    assert PlannerSettings.from_dict(named) == settings
    assert settings.at_run_time({'seed': 'policy'}) == settings
    with pytest.raises(SpowlError, match="'fill' is fixed"):
        settings.at_run_time({'seed': 'zero'})
