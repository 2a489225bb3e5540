# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Population-based training (Jaderberg et al., 1711.09846): the worst learners copy the best.

The population trains for a number of decisions and stops at checkpoints. Then each of the worst
quarter (at least one) takes weights, optimisers, multiplier and settings of one of the best, and
its varied settings are changed by a fifth up or down. Its randomness and its replay stay its own.
The choice is written down before it is carried out, so an interrupted run carries it out again.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.files import write_whole
from spowl_ros.base.settings import assigned, declared, swept
from spowl_ros.training import checkpoint
from spowl_ros.training import config as configuration
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.member import score
from spowl_ros.training.population import Population
from spowl_ros.training.progress import resumable
from spowl_ros.training.trainer import CHECKPOINT, Trainer

LINEAGE = 'lineage.json'
FACTORS = 0.8, 1.25
"""A varied setting of a copy is multiplied by one of these."""
SEARCHED = ('batch_size', 'horizon', 'loss.', 'optimiser.', 'constraint.', 'randomisation.',
            'planner.', 'guide.weight', 'guide.last_weight', 'guide.updates',
            'collect.updates_per_decision', 'collect.cost_margin', 'collect.least_cost',
            'collect.termination_reward', 'collect.costly_share', 'collect.quiet_share',
            'collect.planning_share')
"""Prefixes of the settings that a copy may change: those that act in a run that has begun."""


@dataclass
class Lineage:
    """What was chosen so far; the file of the same content is in the population's directory."""

    every: int
    """Decisions of a learner between two choices."""
    varied: list[str]
    """Names of the settings that copies change."""
    choices: list[dict[str, Any]] = field(default_factory=list)
    """Each copy: decisions, learner, its score, whom it copied, that one's score, and settings."""

    def write(self, directory: Path) -> None:
        """
        Write the file.

        :raises SpowlError: it cannot be written
        """
        with resumable(LINEAGE):
            write_whole(directory / LINEAGE, json.dumps(asdict(self), indent=1).encode())


def read(directory: Path, overrides: Sequence[str] = ()) -> Lineage | None:
    """
    Return a population's lineage, or None if it does not choose.

    :param overrides: ``section.key=value`` of a resumed run
    :raises SpowlError: damaged, or an override would undo what copies change
    """
    path = directory / LINEAGE
    try:
        lineage = Lineage(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SpowlError(f'cannot read the lineage {path}: {error}') from error
    for name in assigned(configuration.settings(), overrides):
        if name in lineage.varied:
            raise SpowlError(f'override {name!r} would undo what --choose chose; leave it out')
    return lineage


def begin(config: TrainConfig, every: int, varied: Sequence[str]) -> Lineage:
    """
    Return the lineage of a new population.

    :param every: decisions of a learner between two choices; all environments of a learner decide
        at once, so these are rounded up to a multiple of their number
    :param varied: texts ``section.key=value1,value2`` of the settings that copies change
    :raises SpowlError: a choice would come before a validation, or a setting would have no effect
        on a copy, or learners of a stack cannot differ in it
    """
    if every < config.schedule.evaluate:
        raise SpowlError(f'a choice after each {every} decisions needs a validation before it, '
                         f'and schedule.evaluate is {config.schedule.evaluate}; give --choose at '
                         'least as many')
    values = swept(configuration.settings(), varied)
    for name in values:
        if not name.startswith(SEARCHED) or name in configuration.starting(config):
            raise SpowlError(f'{name} cannot vary with --choose: a copy goes on from another '
                             'learner, and there a change of it has no effect; leave it out')
    if config.device != 'cpu':  # a stack: try what a copy will be
        first = _with(config, {name: choices[0] for name, choices in values.items()})
        copy = _with(first, _changed(first, list(values), np.random.default_rng(0)))
        configuration.check_stack([first, copy])
    side_by_side = config.collect.environments
    return Lineage(math.ceil(every / side_by_side) * side_by_side, list(values))


@dataclass(frozen=True)
class _Learner:
    """A learner as its checkpoint has it."""

    path: Path
    """Of the checkpoint, which may hold others too."""
    place: int
    config: TrainConfig
    decisions: int
    evaluation: dict[str, float]


def _learners(directory: Path) -> dict[str, _Learner]:
    """Return the learners that have not failed, by name."""
    stack = directory / CHECKPOINT
    paths = [stack] if stack.exists() else sorted(directory.glob(f'seed_*/{CHECKPOINT}'))
    found = {}
    for path in paths:
        content = checkpoint.load(path)
        for place, state in enumerate(content['members']):
            if not state['failed']:
                found[state['name'] or path.parent.name] = _Learner(
                    path, place, configuration.from_dict(state['config']),
                    content['counters']['decisions'], state['evaluation'])
    return found


def choose(directory: Path, lineage: Lineage, at: int) -> None:
    """
    Let the worst copy the best, or carry out again what was chosen at these decisions.

    Scores are those of `member.score`, with the least budget of all.

    :param at: decisions of each learner
    :raises SpowlError: a checkpoint cannot be read or written
    """
    learners = {name: learner for name, learner in _learners(directory).items()
                if learner.evaluation and learner.decisions >= at}
    if any(learner.decisions > at for learner in learners.values()):
        return  # carried out before: the next part has begun
    if not any(choice['decisions'] == at for choice in lineage.choices):
        lineage.choices += _choices(learners, lineage.varied, at)
        lineage.write(directory)
    for choice in lineage.choices:
        if choice['decisions'] == at:
            _copy(learners[choice['copied']], learners[choice['learner']], choice['settings'])


def _choices(learners: dict[str, _Learner], varied: Sequence[str], at: int
             ) -> list[dict[str, Any]]:
    """Return who copies whom, and with which settings."""
    if len(learners) < 2:
        return []
    budget = min(learner.config.constraint.budget for learner in learners.values())
    scores = {name: score(learner.evaluation, budget) for name, learner in learners.items()}
    ranked = sorted(scores, key=scores.__getitem__)
    rng = np.random.default_rng([at, len(learners)])
    result = []
    for rank in range(max(1, len(ranked) // 4)):
        worst, best = ranked[rank], ranked[-1 - rank]
        if scores[worst] < scores[best]:
            result.append({
                'decisions': at, 'learner': worst, 'score': scores[worst], 'copied': best,
                'its_score': scores[best],
                'settings': _changed(learners[best].config, varied, rng)})
    return result


def _changed(config: TrainConfig, varied: Sequence[str], rng: np.random.Generator
             ) -> dict[str, float]:
    """Return the varied settings of a copy, within their bounds."""
    entries = {entry.name: entry for entry in declared(config)}
    result = {}
    for name in varied:
        entry = entries[name]
        changed = entry.default * float(rng.choice(FACTORS))
        if isinstance(entry.default, int):
            changed = round(changed)
        if entry.high is not None:
            changed = min(changed, entry.high)
        result[name] = changed if entry.low is None else max(changed, entry.low)
    return result


def _with(config: TrainConfig, settings: Mapping[str, float]) -> TrainConfig:
    """Return a configuration with other numbers."""
    return configuration.overridden(
        config, [f'{name}={value!r}' for name, value in settings.items()])


def _copy(source: _Learner, target: _Learner, settings: dict[str, float]) -> None:
    """Give one learner the state of another in its checkpoint, with some settings changed."""
    origin = checkpoint.load(source.path)['members'][source.place]
    content = checkpoint.load(target.path)
    state = content['members'][target.place]
    state |= {name: origin[name] for name in ('evaluation', 'networks')}
    state['learner'] = {**origin['learner'], 'generator': state['learner']['generator']}
    changed = _with(source.config, settings)
    state['config'] = {**changed.to_dict(), 'seed': target.config.seed,
                       'initial': target.config.initial}
    if changed.optimiser.entropy_target is None:  # then the weight is the setting and never moves
        weight = state['learner']['entropy_weight']
        state['learner']['entropy_weight'] = torch.full_like(weight, changed.optimiser.entropy)
    if len(content['members']) == 1:
        content['config'], content['networks'] = state['config'], state['networks']
    checkpoint.save(target.path, content)


def parts(first: Population | Trainer, proceed: Callable[[], Population | Trainer],
          lineage: Lineage | None) -> Iterator[Population | Trainer]:
    """
    Yield the parts of a run, each to be run before the next, with a choice between them.

    :param first: before its first decision, or as its checkpoints have it
    :param proceed: returns the population as its checkpoints have it
    :param lineage: None: there is one part, and no choice
    :raises SpowlError: as `choose`
    """
    if lineage is None:
        yield first
        return
    directory = first.directory
    lineage.write(directory)
    every, decisions = lineage.every, first.config.collect.decisions
    there = max((learner.decisions for learner in _learners(directory).values()), default=0)
    part = first
    for at in [*range(every, decisions, every), decisions]:
        if at + every <= there:
            continue
        part.until = at
        yield part
        if part.stop_requested or at == decisions:
            return
        choose(directory, lineage, at)
        before, part = part, proceed()
        part.stop_requested = before.stop_requested  # asked while the choice was carried out
