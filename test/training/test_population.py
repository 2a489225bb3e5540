# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Populations: each learner is as alone, in processes and as a stack, and fails alone."""

from __future__ import annotations

import csv
from dataclasses import replace
import json
from multiprocessing.connection import Connection
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEST
from spowl_ros.training import checkpoint, choice, population
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig, from_dict
from spowl_ros.training.trainer import CHECKPOINT, Trainer


def short(config: TrainConfig, decisions: int = 120) -> TrainConfig:
    """Return a run that validates once."""
    return replace(config, collect=replace(config.collect, decisions=decisions),
                   schedule=replace(config.schedule, evaluate=60))


def figures(run: Path, name: str) -> dict[str, list[float]]:
    """Return the columns of a learner's progress that no clock decides."""
    with (run / name / 'progress.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    return {column: [float(row[column]) for row in rows]
            for column in ('decisions', 'updates', 'loss', 'policy_loss', 'value', 'entropy')}


class Killing(population.Population):
    """A population whose learner seed_2 is killed as soon as it has started."""

    def _start(self, name: str) -> tuple[Connection, Any]:
        pipe, process = super()._start(name)
        if name == 'seed_2':
            process.kill()
        return pipe, process


def states(run: Path) -> dict[str, dict[str, Any]]:
    """Return the state of each learner in a run's checkpoints."""
    paths = [run / CHECKPOINT] if (run / CHECKPOINT).exists() else run.glob(f'seed_*/{CHECKPOINT}')
    return {state['name'] or path.parent.name: state for path in paths
            for state in checkpoint.load(path)['members']}


@pytest.mark.parametrize(('text', 'seeds'), [('0-3', [0, 1, 2, 3]), ('7', [7]),
                                             ('1,4-5', [1, 4, 5])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    """Ranges and lists of them."""
    assert population.parse_seeds(text) == seeds


@pytest.mark.parametrize('text', ['', 'a', '3-', '1,1', '5-2', '0-99999'])
def test_bad_seeds_are_refused(text: str) -> None:
    """The message shows what was given."""
    with pytest.raises(SpowlError, match='seeds'):
        population.parse_seeds(text)


def test_numbers_vary_with_every_seed(tiny: TrainConfig) -> None:
    """Every combination of seed and value is a learner with a name; what is no number is not."""
    made = population.members(tiny, [0, 1], ['constraint.budget=0.5,2'])
    assert list(made) == ['seed_0,constraint.budget=0.5', 'seed_0,constraint.budget=2.0',
                          'seed_1,constraint.budget=0.5', 'seed_1,constraint.budget=2.0']
    assert [(c.seed, c.constraint.budget) for c in made.values()] == [
        (0, 0.5), (0, 2.0), (1, 0.5), (1, 2.0)]
    with pytest.raises(SpowlError, match='no number'):
        population.members(tiny, [0], ['device=cpu,cuda'])
    with pytest.raises(SpowlError, match='no setting'):
        population.members(tiny, [0], ['constraint.colour=1,2'])


@pytest.mark.parametrize('name', ['loss.discount', 'loss.cost_discount'])
def test_a_varied_setting_is_the_same_override(name: str, tmp_path: Path) -> None:
    """The planner takes a varied discount too, unless it has its own."""
    path = tmp_path / 'run.yaml'
    for planner in ('{}', f'{{{name.partition(".")[2]}: 0.5}}'):
        path.write_text(f'task: T\nloss: {{discount: 0.98}}\nplanner: {planner}\n')
        (varied,) = population.members(configuration.load(path), [0], [f'{name}=0.9']).values()
        assert varied == configuration.load(path, [f'{name}=0.9'])


@pytest.mark.parametrize('varied', [
    'collect.planning_share=0,0.5', 'collect.updates_per_decision=0.1,1',
    'collect.environments=2,3', 'batch_size=4,8', 'horizon=2,3', 'schedule.evaluate=60,120',
    'networks.window=0,2', 'networks.dropout=0,0.1'])
def test_a_stack_refuses_what_holds_for_all(varied: str, tiny: TrainConfig, tmp_path: Path
                                            ) -> None:
    """One line names the setting and its values; no learner silently has another's."""
    with pytest.raises(SpowlError, match=f'{varied.partition("=")[0]} differs among') as caught:
        Trainer(population.members(tiny, [0], [varied]), tmp_path)
    assert '\n' not in str(caught.value)


def test_a_stack_that_will_plan_has_one_planner(tiny: TrainConfig) -> None:
    """Discounts may differ if no phase plans; what is no setting of all may differ anyhow."""
    quiet = replace(tiny, collect=replace(tiny.collect, planning_share=0.0))
    varied = ['loss.discount=0.9,0.95', 'collect.quiet_share=0,0.5', 'constraint.budget=1,2']
    configuration.check_stack(list(population.members(quiet, [0, 1], varied).values()))
    later = from_dict({**quiet.to_dict(), 'phases': [
        {'decisions': 90, 'settings': {'collect.planning_share': 1.0}}]})
    with pytest.raises(SpowlError, match='planner.discount differs'):
        configuration.check_stack(list(population.members(later, [0], varied).values()))


@pytest.mark.slow
def test_learners_of_a_stack_are_as_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    """
    Trained as a stack, each seed gives what it gives alone, and can be stopped and resumed.

    Without planning, whose choices among candidates turn the last digit into another action.
    """
    tiny = short(replace(tiny, networks=replace(tiny.networks, dropout=0.0),
                         collect=replace(tiny.collect, planning_share=0.0)))
    configs = population.members(tiny, [3, 5])
    part = {name: short(config, 90) for name, config in configs.items()}
    Trainer(part, tmp_path / 'stack').run()
    Trainer.resume(tmp_path / 'stack', ['collect.decisions=120']).run()
    for name, config in configs.items():
        Trainer(config, tmp_path / name).run()
        alone, stacked = figures(tmp_path, name), figures(tmp_path / 'stack', name)
        for column, values in alone.items():
            np.testing.assert_allclose(stacked[column], values, rtol=2e-3, atol=1e-4,
                                       err_msg=f'{column} of {name}')
        one, other = (checkpoint.load_networks(run / BEST)[0].state_dict()
                      for run in (tmp_path / name, tmp_path / 'stack' / name))
        for weight, value in one.items():
            torch.testing.assert_close(other[weight], value, rtol=1e-2, atol=1e-4)
    with pytest.raises(SpowlError, match='several learners.*seed_3, seed_5'):
        checkpoint.load_networks(tmp_path / 'stack' / CHECKPOINT)


@pytest.mark.slow
def test_one_learner_of_a_stack_fails_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    """NaN in one learner is told and ends it; the other goes on, also after a resume."""
    trainer = Trainer(population.members(short(tiny), [0, 1]), tmp_path)
    policy = trainer.learners.weights.members[0].policy
    next(policy.parameters()).data.fill_(torch.nan)
    trainer.run()
    assert 'became nan' in trainer.members[0].failed
    assert not trainer.members[1].failed
    assert figures(tmp_path, 'seed_1')['decisions'][-1] == 120
    assert np.isfinite(figures(tmp_path, 'seed_1')['loss'][-1])
    again = Trainer.resume(tmp_path, ['collect.decisions=150'])
    assert 'became nan' in again.members[0].failed
    again.run()
    assert figures(tmp_path, 'seed_1')['decisions'][-1] == 150


@pytest.mark.slow
@pytest.mark.timeout(900)  # it starts six processes that import PyTorch
def test_processes_train_as_alone_and_fail_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    """Each learner leaves what it leaves alone, bit for bit; NaN or a kill ends one only."""
    configs = population.members(short(tiny), [0, 1, 2])
    broken = replace(configs['seed_1'], optimiser=replace(tiny.optimiser, learning_rate=1e30))
    run = Killing({**configs, 'seed_1': broken}, tmp_path / 'run', processes=3)
    run.run()
    assert sorted(run.failed) == ['seed_1', 'seed_2']
    assert 'after' in run.failed['seed_1'] and 'optimiser.learning_rate' in run.failed['seed_1']
    assert 'was killed' in run.failed['seed_2']
    Trainer(configs['seed_0'], tmp_path / 'alone').run()
    np.testing.assert_equal(figures(tmp_path / 'run', 'seed_0'), figures(tmp_path, 'alone'))
    assert population.folder_of(tmp_path / 'run', 0) == tmp_path / 'run' / 'seed_0'
    with pytest.raises(SpowlError, match='no learner with seed 7'):
        population.folder_of(tmp_path / 'run', 7)
    with (tmp_path / 'run' / 'progress.csv').open() as stream:
        assert {row['seed'] for row in csv.DictReader(stream)} == {'0', '1'}
    with pytest.raises(SpowlError, match='--resume'):
        population.Population(configs, tmp_path / 'run')
    more = population.Population(None, tmp_path / 'run', overrides=['collect.decisions=150'])
    more.run()
    assert more.rows['seed_0']['decisions'] == more.rows['seed_2']['decisions'] == 150


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """What is in the way is named, and how to go on."""
    (tmp_path / 'progress.csv' / 'x').mkdir(parents=True)
    with pytest.raises(SpowlError, match='cannot write .*progress.csv.*--resume'):
        population.write_table(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('processes', [0, 2])
def test_the_worst_copies_the_best(tiny: TrainConfig, tmp_path: Path, processes: int) -> None:
    """
    The copy has the best one's networks and a changed setting, and this is written down.

    Choosing again changes nothing, as after an interruption; the resumed run does not repeat it.
    """
    tiny = short(replace(tiny, collect=replace(tiny.collect, planning_share=0.0)))
    varied = ['optimiser.entropy=0.001,0.004']
    configs = population.members(tiny, [0], varied)
    lineage = choice.begin(tiny, 60, varied)

    def proceed() -> Trainer | population.Population:
        return (population.Population(None, tmp_path, processes=processes) if processes
                else Trainer.resume(tmp_path, []))

    first = (population.Population(configs, tmp_path, processes=processes) if processes
             else Trainer(configs, tmp_path))
    first.until = 60
    first.run()
    before = states(tmp_path)
    choice.choose(tmp_path, lineage, 60)
    (made,) = lineage.choices
    best, copy = before[made['copied']], states(tmp_path)[made['learner']]
    assert made['score'] < made['its_score']
    torch.testing.assert_close(copy['networks'], best['networks'], rtol=0, atol=0)
    assert copy['learner']['model_optimiser']['first'].equal(
        best['learner']['model_optimiser']['first'])
    assert copy['rng'] == before[made['learner']]['rng']
    weight, its = (state['config']['optimiser']['entropy'] for state in (best, copy))
    assert its in [pytest.approx(weight * factor) for factor in choice.FACTORS]
    assert made['settings'] == {'optimiser.entropy': its}

    kept = choice.read(tmp_path)
    assert kept == lineage
    choice.choose(tmp_path, kept, 60)
    assert kept == lineage
    for part in choice.parts(proceed(), proceed, kept):
        part.run()
    assert kept == lineage
    ended = states(tmp_path)
    assert {state['config']['optimiser']['entropy'] for state in ended.values()} == {weight, its}
    for state in ended.values():  # what the updates used
        assert float(state['learner']['entropy_weight']) == pytest.approx(
            state['config']['optimiser']['entropy'])
    assert figures(tmp_path, made['learner'])['decisions'][-1] == 120


@pytest.mark.slow
@pytest.mark.parametrize('processes', [0, 2])
def test_copies_go_through_the_phases_of_the_recipe(tiny: TrainConfig, tmp_path: Path,
                                                    processes: int) -> None:
    """A choice between two phases leaves both to every learner, with the copy's own setting."""
    phases = [{'decisions': 30, 'settings': {'constraint.budget': 0.25}},
              {'decisions': 90, 'kept': True, 'settings': {'constraint.budget': 0.125}}]
    config = from_dict({**short(tiny).to_dict(), 'phases': phases})
    varied = ['loss.consistency=10,20']
    configs = population.members(config, [0], varied)

    def proceed() -> Trainer | population.Population:
        return (population.Population(None, tmp_path, processes=processes) if processes
                else Trainer.resume(tmp_path, []))

    first = (population.Population(configs, tmp_path, processes=processes) if processes
             else Trainer(configs, tmp_path))
    lineage = choice.begin(config, 60, varied)
    for part in choice.parts(first, proceed, lineage):
        part.run()
    (made,) = lineage.choices
    ended = {name: state['config'] for name, state in states(tmp_path).items()}
    assert len(ended) == 2
    assert {one['constraint']['budget'] for one in ended.values()} == {0.125}
    assert {one['optimiser']['policy_learning_rate'] for one in ended.values()} == {0.0}
    assert (ended[made['learner']]['loss']['consistency']
            == made['settings']['loss.consistency'])


@pytest.mark.slow
def test_a_choosing_run_takes_any_setting_from_the_command_line(
        tiny_data: dict[str, Any], tmp_path: Path) -> None:
    """It goes on after a choice, with settings that no resume could change."""
    file, run = tmp_path / 'tiny.yaml', tmp_path / 'run'
    file.write_text(json.dumps(tiny_data))
    done = subprocess.run(
        [sys.executable, '-m', 'spowl_ros.cli.main', 'train', str(file), '--output', str(run),
         'collect.random_decisions=60', 'collect.decisions=180', 'schedule.evaluate=90',
         '--seeds', '0-1', '--vary', 'constraint.budget=1,2', '--choose', '90'],
        text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('180 decisions') == 4
    assert '1 copies, see' in done.stdout
    lineage = choice.read(run, [])
    assert lineage is not None and len(lineage.choices) == 1


def test_a_choice_needs_a_validation(tiny: TrainConfig) -> None:
    """One that would come before any validation is refused."""
    with pytest.raises(SpowlError, match='schedule.evaluate is 180'):
        choice.begin(tiny, 100, [])


def test_a_choice_comes_when_all_environments_have_acted(tiny: TrainConfig) -> None:
    """Three environments decide at once, so learners can stop after a multiple of three only."""
    assert choice.begin(tiny, 180, []).every == 180
    assert choice.begin(tiny, 181, []).every == 183


@pytest.mark.parametrize(('varied', 'target'), [
    ('constraint.multiplier=0.1,0.2', None), ('optimiser.entropy=0.1,0.2', -1.0),
    ('seed=1,2', None), ('networks.window=0,3', None), ('collect.environments=2,4', None),
    ('collect.random_decisions=30,60', None)])
def test_what_cannot_act_on_a_copy_cannot_be_searched(varied: str, target: float | None,
                                                      tiny: TrainConfig) -> None:
    """Settings of a run's beginning are refused in one line; those of a running one are not."""
    config = replace(tiny, optimiser=replace(tiny.optimiser, entropy_target=target))
    with pytest.raises(SpowlError, match=f'{varied.partition("=")[0]} cannot vary.*leave') as said:
        choice.begin(config, 180, [varied])
    assert '\n' not in str(said.value)
    acting = ['optimiser.entropy', 'constraint.budget', 'constraint.multiplier_max', 'loss.rho']
    assert choice.begin(tiny, 180, [f'{name}=0.1,0.2' for name in acting]).varied == acting


@pytest.mark.parametrize('varied', ['batch_size=64', 'collect.planning_share=0.5',
                                    'loss.discount=0.9'])
def test_a_stack_searches_what_each_learner_has(varied: str, tiny: TrainConfig) -> None:
    """Copies of a stack could not differ in these, so the search is refused; on CPUs it is not."""
    assert choice.begin(tiny, 180, [varied]).varied == [varied.partition('=')[0]]
    with pytest.raises(SpowlError, match='differs among'):
        choice.begin(replace(tiny, device='cuda'), 180, [varied])


def test_a_resume_does_not_undo_a_choice(tmp_path: Path) -> None:
    """An override would hold for all learners from each part on, whatever was chosen."""
    choice.Lineage(60, ['constraint.budget']).write(tmp_path)
    assert choice.read(tmp_path, ['collect.decisions=90'])
    with pytest.raises(SpowlError, match='constraint.budget.*leave it out'):
        choice.read(tmp_path, ['constraint.budget=0.5'])


def test_a_resumes_overrides_hold_for_learners_that_begin_later(tiny: TrainConfig, tmp_path: Path
                                                                ) -> None:
    """More learners than processes: some wait, and a second resume names no override again."""
    population.Population({f'seed_{seed}': tiny for seed in range(3)}, tmp_path)
    population.Population(None, tmp_path, overrides=['collect.decisions=999'])
    assert population.Population(None, tmp_path).config.collect.decisions == 999
