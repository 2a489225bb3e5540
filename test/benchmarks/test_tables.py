# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables, figures and cards say what the measurements say."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
import shutil
from typing import Any

import pytest

from benchmarks import (
    ablation,
    fault_table,
    learning_ablation,
    learning_curves,
    model_card,
    planner_latency,
    planner_search,
    population_curve,
    tables,
)
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle as bundles
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.evaluation.episodes import EvaluatedEpisode, Evaluation
from spowl_ros.sim.environment import contract as contract_of
from spowl_ros.training import config as configuration
from spowl_ros.training.networks import NetworkConfig

TASK = 'SafetyPointGoal1-v0'


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return results of two variants, the second without cost."""
    for number, variant in enumerate(('plan and switch', 'policy')):
        sources = {'plan': 150, 'policy': 50} if number == 0 else {'policy': 200}
        episodes = tuple(
            EvaluatedEpisode(10_000 + i, 10.0 + i, float((i % 2) * (1 - number)), 200, 1000, 1,
                             sources, 0.1) for i in range(6))
        file = tmp_path / 'ablation' / TASK / ablation.file_name(variant)
        file.parent.mkdir(parents=True, exist_ok=True)
        tables.write_figures(file, Evaluation(TASK, 'adaptive', episodes, 1.0,
                                              {'variant': variant}).to_dict())
    return tmp_path


def test_ablation_table_has_what_was_measured(results: Path) -> None:
    """Variants stand in their order with means, intervals and fractions."""
    rows = ablation.table(results / 'ablation')
    assert [row['variant'] for row in rows] == ['plan and switch', 'policy']
    first, second = rows
    assert (first['return'], first['cost'], second['cost']) == (12.5, 0.5, 0.0)
    assert first['return_low'] < 12.5 < first['return_high']
    assert (first['plan_fraction'], first['cost_free_fraction']) == (0.75, 0.5)
    assert 'return_over_policy' not in second  # it is what the others are compared with
    assert [first[name] for name in ablation.OVER_POLICY[:4]] == [0.0, 0.0, 0.0, 0.5]
    assert first['cost_over_policy_low'] < 0.5 < first['cost_over_policy_high']
    drawn = ablation.figure(rows)
    bars = [patch.get_width() for patch in drawn.axes[0].patches]
    assert bars == [12.5, 12.5]


def test_figures_are_read_as_they_were_written(results: Path) -> None:
    """The summary and the compressed table of the episodes make up the evaluation again."""
    file = results / 'ablation' / TASK / ablation.file_name('policy')
    figures = tables.read_figures(file)
    assert figures['returns'] == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
    assert figures['seeds'] == list(range(10_000, 10_006))
    assert figures['variant'] == 'policy'
    before = file.read_bytes(), file.with_suffix('.csv.gz').read_bytes()
    tables.write_figures(file, figures)
    assert (file.read_bytes(), file.with_suffix('.csv.gz').read_bytes()) == before
    assert len(file.read_text().splitlines()) < 40


def test_variant_and_policy_are_paired_by_layout() -> None:
    """Episodes are compared with those of the same layout, in any order and number."""
    policy = {'seeds': [1, 2, 3], 'returns': [1.0, 20.0, 7.0], 'costs': [0.0, 4.0, 0.0]}
    figures = {'seeds': [2, 1], 'returns': [22.0, 3.0], 'costs': [3.0, 0.0]}
    row = ablation.over_policy(figures, policy)
    assert [row[name] for name in ablation.OVER_POLICY] == [2.0, 2.0, 2.0, -0.5, -1.0, 0.0]


def test_learning_variants_differ_in_what_they_override() -> None:
    """
    Each variant changes the configuration, and nothing but what it names.

    Another kind of constraint has settings of its own, which come with it.
    """
    path = configuration.find(Path(TASK))
    shipped = configuration.load(path, []).to_dict()
    for variant, overrides in learning_ablation.VARIANTS.items():
        changed = configuration.load(path, list(overrides)).to_dict()
        differing = {f'{section}.{key}' for section, values in shipped.items()
                     if isinstance(values, dict) for key in values
                     if changed[section].get(key) != values[key]
                     and (section, key) not in own_settings(shipped, changed)}
        assert differing == {override.partition('=')[0] for override in overrides}, variant


def own_settings(shipped: dict[str, Any], changed: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the settings that belong to one kind of constraint, where the kinds differ."""
    before, after = shipped['constraint'], changed['constraint']
    if before['kind'] == after['kind']:
        return set()
    return {('constraint', key) for key in before.keys() | after.keys() if key != 'kind'}


def test_a_fault_measured_again_replaces_its_row(tmp_path: Path) -> None:
    """The rows of other faults stay, all in the faults' order, and none of unknown faults."""
    path, contract = tmp_path / 'faults.csv', contract_of(TASK, 4)
    names = ('imu silent', 'velocity silent', 'bundle missing')
    order = fault_table.names(contract)
    table = tables.Growing(path, fault_table.COLUMNS, order)
    for name in reversed(names):
        table.put({**dict.fromkeys(fault_table.COLUMNS, ''), 'fault': name, 'repetitions': 2,
                   'right': 2})
    path.write_text(path.read_text() + 'a fault of an earlier version' + ',' * 10 + '\n')
    again = tables.Growing(path, fault_table.COLUMNS, order)
    assert again.lacks(names[0], 3) and not again.lacks(names[0], 2)
    assert again.lacks('/clock stopped', 1)
    again.put({**dict.fromkeys(fault_table.COLUMNS, ''), 'fault': names[1], 'right': 20})
    with path.open(newline='') as file:
        rows = [(row['fault'], row['right']) for row in csv.DictReader(file)]
    assert rows == [(names[0], '2'), (names[1], '20'), (names[2], '2')]


def test_searches_differ_in_what_they_are_named_after() -> None:
    """Each search has the authors' value of its options and ours of everything else."""
    theirs = PlannerSettings().to_dict()
    ours = {**theirs, 'iterations': 2, 'choose': 'best', 'first_std': 1.0, 'discount': 0.98}
    searches = planner_search.searches(PlannerSettings(**ours))
    differing = {search: {name for name in ours if settings[name] != ours[name]}
                 for search, settings in searches.items()}
    assert differing == {
        'shipped': set(), 'choose random': {'choose'},
        'first_std 2.0, warm_std 2.0': {'first_std'},
        "ours at the authors' sizes": {'iterations'},
        "the authors'": {'iterations', 'choose', 'first_std'}}
    files = {planner_search.file_name(search) for search in searches}
    assert len(files) == len(searches)


def test_planner_becomes_the_shipped_one_step_by_step(untrained_bundle: Path) -> None:
    """The first is the authors' in all, the last the bundle's, and each differs from the last."""
    loaded = bundles.load(untrained_bundle)
    shipped = replace(loaded, settings=replace(loaded.settings, samples=64))
    steps = planner_latency.steps(shipped)
    assert steps[1].networks == NetworkConfig() and steps[1].settings == PlannerSettings()
    assert steps[-1].settings == shipped.settings
    assert steps[-1].networks.mlp_dim == shipped.networks['mlp_dim']
    states = [(step.networks, step.settings, step.exportable, step.threads) for step in steps]
    assert all(one != other for one, other in zip(states, states[1:]))


def test_learning_curve_is_the_run(tmp_path: Path) -> None:
    """A curve goes through the rows of progress.csv; validations appear where they were made."""
    path = tmp_path / 'seed_3.csv'
    path.write_text('decisions,raw_steps,return,cost,evaluation_return,evaluation_cost\n'
                    '10,40,nan,nan,nan,nan\n20,80,1.5,30,2,20\n30,120,2.5,20,2,20\n'
                    '40,160,3.5,10,4,5\n')
    curve = learning_curves.read(path)
    assert curve.name == '3'
    (tmp_path / 'PPOLag.csv').write_text('raw_steps,return,cost\n100,0.5,40\n200,0.7,30\n')
    other = learning_curves.read(tmp_path / 'PPOLag.csv')
    returns, validated, theirs = learning_curves.draw(TASK, [curve], [other]).axes[0].lines[:3]
    assert theirs.get_label() == 'PPOLag, training (OmniSafe)'
    assert list(theirs.get_ydata()) == [0.5, 0.7]
    assert list(returns.get_xdata()) == [40, 80, 120, 160]
    assert list(validated.get_xdata()) == [80, 160]
    assert list(validated.get_ydata()) == [2, 4]


@pytest.mark.parametrize(('name', 'other'), [('model', 'b'), ('networks', 'f0'), ('episodes', 7)])
def test_figures_of_another_model_are_not_taken_for_this_ones(results: Path, name: str,
                                                              other: Any) -> None:
    """A file of the same task and variant may be of another bundle, or of fewer episodes."""
    file = results / 'ablation' / TASK / ablation.file_name('policy')
    wanted = {'model': 'a', 'networks': 'e0', 'episodes': 6}
    tables.write_figures(file, {**tables.read_figures(file), **wanted})

    def is_measured(model: str, networks: str, episodes: int) -> bool:
        return ablation.is_measured(file, {'model': model, 'networks': networks}, episodes)

    assert is_measured(**wanted)
    with pytest.raises(SpowlError, match=f'figures of another {name}, .*; wanted is {other}'):
        is_measured(**{**wanted, name: other})
    assert not ablation.is_measured(file.with_name('absent.json'), {'model': 'a'}, 6)
    with pytest.raises(SpowlError, match='figures of other networks'):
        model_card.gather(TASK, results, None, None, 'f0')
    assert model_card.gather(TASK, results, None, None, 'e0')


def test_an_interval_over_seeds_is_of_one_value() -> None:
    """Learners that differ by more than the seed are no sample of one recipe."""
    rows = [{population_curve.LEARNER: f'seed_{seed}{rest}', 'decisions': '10'}
            for seed in range(3) for rest in (',budget=1', ',budget=2')]
    with pytest.raises(SpowlError, match='choose some with --vary: budget=1, budget=2'):
        population_curve.of_one_variation(rows, None)
    assert len(population_curve.of_one_variation(rows, 'budget=2')) == 3
    same = [row for row in rows if row[population_curve.LEARNER].endswith('1')]
    assert population_curve.of_one_variation(same, None) == same


def test_card_holds_the_measurements(results: Path, untrained_bundle: Path, tmp_path: Path
                                     ) -> None:
    """The card and the manifest get what was measured, and the bundle is whole afterwards."""
    directory = tmp_path / 'bundle'
    shutil.copytree(untrained_bundle, directory)
    curve = tmp_path / 'seeds.svg'
    with pytest.raises(SpowlError, match=r'no learning curve .*seeds\.svg'):
        model_card.gather(TASK, results, None, curve)
    curve.touch()
    bundles.amend(directory, measured=model_card.gather(TASK, results, None, curve),
                  card=model_card.model_card)
    bundle = bundles.load(directory)
    assert bundle.measured is not None
    assert set(bundle.measured['evaluations']) == {'plan and switch', 'policy'}
    card = (directory / bundles.MODEL_CARD).read_text()
    assert '| plan and switch | 12.50 [' in card
    assert '3 of 6 episodes had some cost, the most 1, with seed 10005' in card
    assert 'the lowest return was 10.0, with seed 10000' in card
    assert 'plan and switch: cost 1.0 at the 95th percentile, 1.0 at the 99th, 1 in' in card
    assert '0% of the episodes return less than 5.' in card
    assert 'a command changes by 5.0% of its range' in card
    assert f'Learning curve: {curve}' in card
    alone = replace(bundle, settings=replace(bundle.settings, kind='policy'))
    assert 'no episode had any cost' in model_card.model_card(alone)  # of what ships then
    with pytest.raises(SpowlError, match='ablation'):
        model_card.gather('SafetyCarGoal1-v0', results, None)
