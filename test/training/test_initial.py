# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A training may start from the networks of a checkpoint or a bundle, also of another task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import tempfile

import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.sim import environment
from spowl_ros.training import checkpoint
from spowl_ros.training.checkpoint import bundle_networks
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.initial import start_from
from spowl_ros.training.networks import Networks
from spowl_ros.training.trainer import Trainer
from spowl_ros.training.untrained import COMPACT, untrained_networks

SIMPLE = 'SafetyPointGoal0-v0'


def networks_of(task: str, seed: int = 0) -> Networks:
    """Return random networks of a task that look at scans."""
    contract = environment.contract(task, 4)
    return untrained_networks(contract, replace(
        COMPACT, proximity_scale=0.4, nearest_distances=(0.2, 0.5)), seed)


def saved(networks: Networks, task: str, path: Path) -> Path:
    """Write a checkpoint of networks."""
    config = TrainConfig(task=task, networks=networks.config)
    config = replace(config, collect=replace(config.collect, action_repeat=4))
    checkpoint.save(path, {'config': config.to_dict(), 'networks': networks.state_dict()})
    return path


def test_bundle_holds_the_networks(untrained_bundle: Path) -> None:
    """What is read from a bundle are the networks that were exported, to the last bit."""
    bundle = bundles.load(untrained_bundle)
    networks = bundle_networks(bundle)
    exported = untrained_networks(bundle.contract, networks.config)
    read = networks.state_dict()
    for name, value in exported.state_dict().items():
        if not name.startswith('target_'):
            assert torch.equal(read[name], value), name
        else:
            assert torch.equal(read[name], read[name.removeprefix('target_')]), name


def test_a_window_starts_without_influence() -> None:
    """Networks with a window, started from some without, see what these see."""
    contract = environment.contract(SIMPLE, 4)
    theirs = networks_of(SIMPLE, seed=1)
    ours = untrained_networks(contract, replace(theirs.config, window=2), seed=2)
    with tempfile.TemporaryDirectory() as folder:
        start_from(saved(theirs, SIMPLE, Path(folder) / 'c.pt'), ours, contract)
    seen = torch.rand(5, ours.config.wide_dim)
    with torch.no_grad():
        torch.testing.assert_close(ours.encode(seen), theirs.encode(seen[:, :contract.size]))


def test_same_task_takes_everything(tmp_path: Path) -> None:
    """Networks of the same task are taken as they are."""
    theirs, ours = networks_of(SIMPLE, seed=1), networks_of(SIMPLE, seed=2)
    start_from(saved(theirs, SIMPLE, tmp_path / 'c.pt'), ours, environment.contract(SIMPLE, 4))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize('task', ['SafetyPointGoal1-v0', 'SafetyPointButton1-v0'])
def test_new_fields_begin_without_influence(tmp_path: Path, task: str) -> None:
    """A task with more fields starts with the behaviour learned without them."""
    simple, rich = environment.contract(SIMPLE, 4), environment.contract(task, 4)
    theirs, ours = networks_of(SIMPLE, seed=1), networks_of(task, seed=2)
    theirs.features.mean.uniform_(-1, 1)
    theirs.features.scale.uniform_(1, 2)
    start_from(saved(theirs, SIMPLE, tmp_path / 'c.pt'), ours, rich)
    observation = torch.rand(5, rich.size)
    known = torch.cat([observation[:, rich.slices[f.name]] for f in simple.fields], dim=1)
    assert rich.size > simple.size
    torch.testing.assert_close(ours.encode(observation), theirs.encode(known))


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    """Networks of other sizes are refused with the first difference."""
    contract = environment.contract(SIMPLE, 4)
    larger = untrained_networks(contract, replace(COMPACT, mlp_dim=24))
    with pytest.raises(SpowlError, match=r'do not fit this configuration: .* wanted \['):
        start_from(saved(larger, SIMPLE, tmp_path / 'c.pt'), networks_of(SIMPLE), contract)


def test_another_robot_is_refused(tmp_path: Path) -> None:
    """Networks of a robot with other commands are refused, also where every size agrees."""
    point, car = 'SafetyPointGoal1-v0', 'SafetyCarGoal1-v0'
    with pytest.raises(SpowlError, match='command left, right, those of SafetyPointGoal1-v0 x, z'):
        start_from(saved(networks_of(car), car, tmp_path / 'c.pt'), networks_of(point),
                   environment.contract(point, 4))


@pytest.mark.parametrize('device', ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a CUDA device'))])
def test_training_starts_from_a_bundle(device: str, untrained_bundle: Path, tiny: TrainConfig,
                                       tmp_path: Path) -> None:
    """A run with `initial` begins with those networks, in what acts and in what is shipped."""
    bundle = bundles.load(untrained_bundle)
    config = replace(tiny, task=bundle.contract.task, initial=str(untrained_bundle), device=device,
                     networks=bundle_networks(bundle).config)
    trainer = Trainer(config, tmp_path / 'run')
    wanted = bundle_networks(bundle).state_dict()
    for networks in (trainer.learners.weights.members[0], trainer.learners.averages.members[0]):
        for name, value in networks.state_dict().items():
            assert torch.equal(value.cpu(), wanted[name]), name


def test_a_refused_training_leaves_no_folder(untrained_bundle: Path, tiny: TrainConfig,
                                             tmp_path: Path) -> None:
    """A run that cannot begin leaves nothing behind; the folder may be used by the next."""
    config = replace(tiny, initial=str(untrained_bundle))
    with pytest.raises(SpowlError, match='do not fit this configuration'):
        Trainer(config, tmp_path / 'runs' / 'first')
    assert not (tmp_path / 'runs').exists()
