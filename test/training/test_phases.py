# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A recipe runs by itself: its phases begin on time, and go on exactly after a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.training import checkpoint, population
from spowl_ros.training import config as configuration
from spowl_ros.training.config import check_stack, from_dict, in_phase, overridden, resumed
from spowl_ros.training.trainer import BEST, CHECKPOINT, Trainer

HELD = ('encoder.', 'policy.', 'features.')


def same(one: Any, other: Any) -> bool:
    """Compare nested states of networks, buffers and optimisers bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@pytest.mark.slow
def test_a_recipe_runs_untouched(tiny_data: dict[str, Any], tmp_path: Path) -> None:
    """
    Budget and charges change on time; then the kept policy is held and values go on learning.

    Interrupted in the last phase and resumed, the run is the same bit for bit.
    """
    data = {**tiny_data, 'phases': [
        {'decisions': 40, 'settings': {'constraint.budget': 0.25, 'collect.least_cost': 3.0,
                                       'optimiser.average_rate': 0.2}},
        {'decisions': 60, 'kept': True, 'settings': {'collect.planning_share': 1.0}}]}
    data['collect'] = {**data['collect'], 'environments': 2, 'decisions': 90}
    data['schedule'] = {**data['schedule'], 'evaluate': 45}
    config = from_dict(data)
    whole = Trainer(config, tmp_path / 'whole')
    charged: list[set[float]] = []
    whole.run(lambda row: charged.append({
        stream.least_cost for stream in whole.collector.workers[0].streams.values()}))
    assert (charged[0], charged[-1]) == ({0.0}, {3.0})
    assert whole.phases_begun == 2
    now = whole.members[0].config
    assert (now.constraint.budget, now.collect.least_cost) == (0.25, 3.0)
    assert (now.optimiser.policy_learning_rate, now.optimiser.encoder_factor) == (0.0, 0.0)
    assert whole.explorer.planning == 2

    parts = tmp_path / 'parts'
    first = replace(config, collect=replace(config.collect, decisions=76))
    Trainer(first, parts).run()
    kept = checkpoint.load(parts / BEST)['networks']
    Trainer.resume(parts, ['collect.decisions=90']).run()
    ended, interrupted = (checkpoint.load(run / CHECKPOINT) for run in (tmp_path / 'whole', parts))
    for name in ('networks', 'learner', 'buffer', 'rng', 'evaluation'):
        assert same(ended['members'][0][name], interrupted['members'][0][name]), name
    final = checkpoint.load(parts / BEST)['networks']
    for name, value in final.items():
        held = name.startswith(HELD)
        if held or name.startswith(('reward_value.', 'dynamics.')):
            assert torch.equal(value, kept[name]) == held or 'ln_' in name, name


@pytest.mark.parametrize(('phases', 'said'), [
    ([{'decisions': 9}, {'decisions': 3}], 'in order'),
    ([{'decisions': 9, 'settings': {'networks.latent_dim': 64}}], 'a phase may change'),
    ([{'decisions': 9, 'settings': {'constraint.bugdet': 1.0}}], 'did you mean'),
    ([{'decisions': 9, 'settings': {'constraint.budget': 'much'}}], 'a number'),
    ([{'decisions': 9, 'settings': {'constraint.kind': 'augmented'}}], 'kind'),
    ([{'decisions': 9, 'settings': {'optimiser.average_rate': 0}}], 'averaging on or off'),
    ([{'decisions': 9, 'settings': {'constraint.multiplier': 0.3}}], 'only .* at the beginning')])
def test_senseless_phases_are_refused(phases: list[dict[str, Any]], said: str,
                                      tiny_data: dict[str, Any]) -> None:
    """The message says which phase, and what it may do."""
    with pytest.raises(SpowlError, match=said):
        from_dict({**tiny_data, 'phases': phases})


def test_a_phase_cannot_begin_averaging(tiny_data: dict[str, Any]) -> None:
    """The average is made when the run begins, so a first rate of 0 cannot change either."""
    phases = [{'decisions': 9, 'settings': {'optimiser.average_rate': 0.1}}]
    with pytest.raises(SpowlError, match='averaging on or off.* is 0.0 at first') as caught:
        from_dict({**tiny_data, 'optimiser': {'average_rate': 0.0}, 'phases': phases})
    assert '\n' not in str(caught.value)
    from_dict({**tiny_data, 'optimiser': {'average_rate': 0.2}, 'phases': phases})


def test_a_value_of_ones_own_holds_in_every_phase(tiny_data: dict[str, Any]) -> None:
    """The command line, a resume and `--vary` win over a phase, which keeps what it else sets."""
    phase = {'decisions': 9, 'settings': {'constraint.budget': 0.5,
                                          'constraint.multiplier_max': 0.8}}
    config = from_dict({**tiny_data, 'phases': [phase]})
    assert in_phase(config, config.phases[0]).constraint.budget == 0.5
    mine = overridden(config, ['constraint.budget=2'])
    later = resumed(config, ['constraint.budget=2'])
    varied = population.members(config, [0], ['constraint.budget=2,3'])
    for run in (mine, later, varied['seed_0,constraint.budget=2.0']):
        assert in_phase(run, run.phases[0]).constraint.budget == 2.0
        assert in_phase(run, run.phases[0]).constraint.multiplier_max == 0.8
    check_stack(list(varied.values()))
    given = overridden(config, ['phases=[{"decisions": 9, "settings": {"constraint.budget": 4}}]',
                                'constraint.budget=2'])
    assert in_phase(given, given.phases[0]).constraint.budget == 4.0


@pytest.mark.parametrize('task', ['PointGoal1', 'CarGoal1', 'DoggoGoal1'])
def test_shipped_recipes_end_around_the_kept_policy(task: str) -> None:
    """The last phase holds the policy, and leaves time to learn values around it."""
    config = configuration.load(configuration.find(Path(task)))
    last = config.phases[-1]
    assert last.kept and config.phases[0].values['constraint.multiplier_max'] > (
        config.constraint.multiplier_max)  # type: ignore[attr-defined]
    assert config.collect.decisions - last.decisions >= 200_000
    assert configuration.from_dict(config.to_dict()) == config
