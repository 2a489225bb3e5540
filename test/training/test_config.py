# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A run is configured once, and a mistake is named."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig, from_dict, load, resumed

MODELS = Path(__file__).parents[2] / 'models'
FOLDER = Path(__file__).parents[2] / 'config' / 'training'
FILES = sorted(path for path in FOLDER.glob('*.yaml') if path.stem not in ('compact', 'legs'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_shipped_configurations_load(path: Path) -> None:
    """Every file in config/training is complete and survives being stored with a run."""
    config = load(path, [])
    assert config.task.startswith('Safety')
    assert from_dict(config.to_dict()) == config
    assert from_dict(json.loads(json.dumps(config.to_dict()))) == config
    if path.stem.startswith('Safety'):
        assert config.task == path.stem


@pytest.mark.parametrize('path', sorted(MODELS.iterdir()), ids=lambda path: path.name)
def test_shipped_bundles_plan_as_configured(path: Path) -> None:
    """Whoever trains a task anew exports the planner that ships for it, if with planning off."""
    shipped, planner = bundles.load(path).settings, load(FOLDER / f'{path.name}.yaml', []).planner
    assert replace(shipped, kind=planner.kind) == planner
    assert shipped.kind in (planner.kind, 'policy')


def test_authors_configuration_is_the_authors() -> None:
    """The authors' sizes are the default of every section; all environments plan, with theirs."""
    config = load(FOLDER / 'authors.yaml', [])
    assert config.collect.planning_share == 1.0
    plain = TrainConfig(config.task)
    assert config.planner == PlannerSettings()
    for section in ('networks', 'loss', 'optimiser', 'constraint'):
        assert getattr(config, section) == getattr(plain, section)


def test_planner_follows_the_losses() -> None:
    """The planner's discounts are the losses', unless it has its own."""
    config = from_dict({'task': 'T', 'loss': {'discount': 0.9}, 'planner': {'iterations': 2}})
    assert (config.planner.discount, config.planner.iterations) == (0.9, 2)
    assert config.planner.samples == PlannerSettings.compact().samples
    own = from_dict({'task': 'T', 'loss': {'discount': 0.9}, 'planner': {'discount': 0.5}})
    assert own.planner.discount == 0.5


@pytest.mark.parametrize(('data', 'reason'), [
    ({'task': 'T', 'bach_size': 3}, "bach_size'; did you mean 'batch_size'"),
    ({'task': 'T', 'collect': {'worker': 3}}, "collect.worker'; did you mean 'collect.workers'"),
    ({'task': 'T', 'planner': {'iteration': 3}}, "did you mean 'planner.iterations'"),
    ({'task': 'T', 'batch_size': 'many'}, 'batch_size'),
    ({'task': 'T', 'networks': {'latent_dim': 12}}, 'latent_dim'),
    ({'task': 'T', 'planner': {'iterations': -3}}, 'iterations'),
    ({'task': 'T', 'guide': {'updates': 0}}, "guide.updates' is 0"),
    ({'task': 'T', 'collect': {'least_cost': -6}}, "collect.least_cost' is -6"),
    ({'task': 'T', 'collect': {'cost_margin': -0.1}}, "collect.cost_margin' is -0.1"),
    ({}, 'task'),
])
def test_mistakes_are_named(data: dict, reason: str) -> None:
    """An unknown key comes with the nearest one, a wrong value with its key."""
    with pytest.raises(SpowlError, match=reason) as caught:
        from_dict(data)
    assert '\n' not in str(caught.value)


def test_overrides_and_bases(tmp_path: Path) -> None:
    """A file changes its base, the command line changes both."""
    (tmp_path / 'base.yaml').write_text('task: A\nbatch_size: 3\ncollect: {workers: 1}\n')
    path = tmp_path / 'file.yaml'
    path.write_text('base: base.yaml\ntask: B\ncollect: {environments: 4}\n')
    config = load(path, ['collect.workers=2', 'loss.rho=0.25'])
    assert (config.task, config.batch_size, config.loss.rho) == ('B', 3, 0.25)
    assert (config.collect.workers, config.collect.environments) == (2, 4)
    for wrong in ('collect.workers', 'task.name=3'):
        with pytest.raises(SpowlError, match='override'):
            load(path, [wrong])
    path.write_text('- a list')
    with pytest.raises(SpowlError, match='mapping'):
        load(path, [])
    with pytest.raises(SpowlError, match='SafetyPointGoal1-v0'):
        configuration.find(Path('SafetyPointGoal9-v0'))


def test_resumed_runs_keep_what_they_learn_from() -> None:
    """A resumed run may get longer or use other processes, and nothing else."""
    config = from_dict({'task': 'T', 'seed': 3})
    longer = resumed(config, ['collect.decisions=7', 'schedule.log=5'])
    assert (longer.collect.decisions, longer.schedule.log, longer.seed) == (7, 5, 3)
    for override in ('seed=4', 'collect.environments=2', 'optimiser.learning_rate=1'):
        with pytest.raises(SpowlError, match='another run'):
            resumed(config, [override])
    for started in ('constraint.multiplier=0.5', 'constraint.penalty=0.5'):
        with pytest.raises(SpowlError, match='only has an effect at the beginning'):
            resumed(config, [started])
