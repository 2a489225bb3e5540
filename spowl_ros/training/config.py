# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Configuration of one training run: typed, read once from YAML and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import (
    Setting,
    assigned,
    changed,
    declared,
    flattened,
    group,
    nested,
    read,
    setting,
)
from spowl_ros.base.share import share_directory
from spowl_ros.base.tasks import task_id
from spowl_ros.control.planner_settings import PlannerSettings, renamed
from spowl_ros.sim.randomisation import Randomisation
from spowl_ros.training import constraint as constraints
from spowl_ros.training.constraint import AugmentedLagrangian, Constraint
from spowl_ros.training.learner import OptimiserConfig
from spowl_ros.training.losses import LossConfig
from spowl_ros.training.networks import NetworkConfig


@dataclass(frozen=True)
class CollectConfig:
    """How experience is gathered."""

    action_repeat: int = setting(5, 'raw steps for which an action is held', low=1)
    environments: int = setting(10, 'environments side by side', low=1)
    workers: int = setting(
        0, "processes that step them, and as many that validate; 0: the trainer's own", low=0)
    step_timeout: float = setting(
        60.0, 'seconds for which a worker may be silent before it is replaced', low=0.0)
    decisions: int = setting(1_000_000, 'decisions in all, over all environments', low=0)
    random_decisions: int = setting(1_000, "random actions at first, or a guide's, and nothing "
                                    'learned before they are in', low=0)
    updates_per_decision: float = setting(1.0, 'updates of the networks for a decision', low=0.0)
    replay_capacity: int = setting(1_000_000, 'decisions that are remembered', low=1)
    sleep: bool = setting(False, 'let bodies at rest sleep in the physics, many times as fast '
                          'where many stand around; MuJoCo 3.17 or newer, see docs/train.md')
    cost_margin: float = setting(
        0.0, 'metres within which the learner is charged for coming near an obstacle, on a ramp '
        "from 0 to the cost of contact, from the scans; 0: SafetyGymnasium's cost", low=0.0)
    least_cost: float = setting(
        0.0, 'least charge for a decision with any cost, in the learner only, because brief '
        'touches are rare and cheap and yet spoil an episode', low=0.0)
    termination_reward: float = setting(
        0.0, 'added to the reward when an episode ends by itself (a robot fell), in the learner '
        'only; -1 deters as much as a reward of 1 - discount per decision without a fall')
    least_upright: float = setting(
        -1.0, "cosine of the body's tilt below which a training episode ends as with a fall; the "
        'task itself goes on where the robot lies on its back; -1: never', low=-1.0, high=1.0)
    costly_share: float = setting(
        0.0, 'share of a batch from sequences in which some decision cost', low=0.0, high=1.0)
    quiet_share: float = setting(
        0.0, "share of the environments that act by the policy's mean, as the robot will: only "
        'they meet the states in which it goes in circles', low=0.0, high=1.0)
    planning_share: float = setting(
        0.0, 'share of the environments that plan instead of following the policy', low=0.0,
        high=1.0)


@dataclass(frozen=True)
class GuideConfig:
    """
    A gait that walks before the policy can.

    The gait acts first, with added noise. Then a loss pulls the policy's mean towards the gait's
    action; its weight falls linearly.
    """

    gait: str = setting('', 'file of a gait, beside the configurations or a path; empty: no guide')
    noise: float = setting(0.2, 'standard deviation of the noise around its actions', low=0.0)
    weight: float = setting(
        1.0, "of the squared distance between its action and the policy's mean, at first")
    last_weight: float = setting(0.0, 'the same, at last')
    updates: int = setting(20_000, 'updates over which one becomes the other', low=1)

    def weight_after(self, updates: int) -> float:
        """Return the weight after this many updates."""
        done = min(updates / self.updates, 1.0)
        return self.weight + done * (self.last_weight - self.weight)


@dataclass(frozen=True)
class ScheduleConfig:
    """When the run writes and measures, in decisions."""

    log: int = setting(2_000, 'decisions between two lines of the log', low=1)
    evaluate: int = setting(20_000, 'decisions between two evaluations', low=1)
    evaluation_episodes: int = setting(10, 'episodes of an evaluation', low=1)
    perturbed_episodes: int = setting(
        0, 'episodes of an evaluation with the perturbed robot "ordinary" beside them; its score '
        'then counts as much as that of the nominal robot', low=0)
    checkpoint: int = setting(20_000, 'decisions between two checkpoints', low=1)


@dataclass(frozen=True)
class PhaseConfig:
    """A part of the run from which on other settings hold."""

    decisions: int = setting(0, 'decisions after which it begins', low=0)
    kept: bool = setting(
        False, 'begin with the networks that validation kept, hold their encoder and policy, and '
        'learn model and values around them')
    settings: dict[str, Any] = group(dict)

    @property
    def values(self) -> dict[str, Any]:
        """Return what it changes, by full name."""
        held = {'optimiser.encoder_factor': 0.0, 'optimiser.policy_learning_rate': 0.0}
        return {**(held if self.kept else {}), **self.settings}


PHASED = ('constraint.', 'guide.weight', 'guide.last_weight', 'optimiser.learning_rate',
          'optimiser.encoder_factor', 'optimiser.policy_learning_rate', 'optimiser.average_rate',
          'collect.cost_margin', 'collect.least_cost', 'collect.termination_reward',
          'collect.planning_share', 'collect.costly_share', 'collect.updates_per_decision',
          'schedule.')
"""Prefixes of the settings that a phase may change."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training run."""

    task: str = setting(description='task id, or package.module:make of a task of your own')
    seed: int = setting(0, 'of everything random', low=0)
    threads: int = setting(1, 'of PyTorch', low=1)
    device: str = setting('cpu', "where PyTorch computes, as 'cuda'")
    batch_size: int = setting(256, 'sequences of an update', low=1)
    horizon: int = setting(3, 'decisions of a sequence', low=1)
    initial: str = setting('', 'networks to start from: a checkpoint or a bundle, perhaps of '
                           'another task of the same robot; empty: none')
    collect: CollectConfig = group(CollectConfig)
    randomisation: Randomisation = group(Randomisation)
    guide: GuideConfig = group(GuideConfig)
    networks: NetworkConfig = group(NetworkConfig)
    loss: LossConfig = group(LossConfig)
    optimiser: OptimiserConfig = group(OptimiserConfig)
    constraint: Constraint = group(AugmentedLagrangian)
    schedule: ScheduleConfig = group(ScheduleConfig)
    phases: tuple[PhaseConfig, ...] = setting(
        (), 'parts of the run, in order: `decisions` after which each begins, `settings` that it '
        'changes by full name, and `kept`: hold the best policy and learn values around it')
    # The search in collection, in evaluations and in the exported bundle. The settings that a file
    # names replace those of PlannerSettings.compact(); the discounts come from the losses.
    planner: PlannerSettings = group(PlannerSettings.compact)

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dicts that :func:`from_dict` takes back."""
        return asdict(self)


FOLLOWED = 'discount', 'cost_discount'
"""Settings of the losses that the planner takes over."""


def from_dict(data: dict[str, Any]) -> TrainConfig:
    """
    Build a configuration from nested dicts.

    The planner takes its discounts from the losses unless it has its own.

    :raises SpowlError: an unknown key (the message names the nearest), a wrong type or value, or
        a senseless phase
    """
    return _checked(_read(data))


def _read(data: dict[str, Any]) -> TrainConfig:
    """Read all that `from_dict` reads; the phases may be senseless."""
    if isinstance(data.get('planner'), dict):
        data = {**data, 'planner': renamed(data['planner'])}
    section = data.get('constraint', {})  # its keys depend on its kind
    config = replace(read(TrainConfig, {**data, 'constraint': {}}),
                     constraint=constraints.from_dict(section))
    return replace(config, planner=changed(config.planner, {
        name: getattr(config.loss, name) for name in FOLLOWED
        if name not in data.get('planner', {})}))


def _checked(config: TrainConfig) -> TrainConfig:
    """
    Return a configuration after trying every phase.

    :raises SpowlError: phases out of order, or a setting that a phase cannot change, or that
        would have no effect then
    """
    collect, longest = config.collect, config.horizon + config.networks.window
    if collect.replay_capacity // collect.environments < longest:
        raise SpowlError(f'collect.replay_capacity is {collect.replay_capacity}; sequences of '
                         f'{longest} decisions from {collect.environments} environments need '
                         f'{longest * collect.environments}')
    begins = [phase.decisions for phase in config.phases]
    if begins != sorted(begins):
        raise SpowlError(f'phases begin after {", ".join(map(str, begins))} decisions; give them '
                         'in order')
    for number, phase in enumerate(config.phases):
        for name in phase.values:
            if not name.startswith(PHASED):
                raise SpowlError(f'phases[{number}] changes {name!r}; a phase may change '
                                 f'{", ".join(PHASED)}')
        _check_acts(config, phase.values, f'phases[{number}]')
        in_phase(config, phase)
    return config


def starting(config: TrainConfig) -> set[str]:
    """Return the full names of the settings that only begin what then moves by itself."""
    names = {f'constraint.{name}' for name in config.constraint.starting}
    if config.optimiser.entropy_target is not None:
        names.add('optimiser.entropy')
    return names


def _check_acts(config: TrainConfig, names: Iterable[str], where: str) -> None:
    """
    Refuse what has no effect in a run that has begun.

    :raises SpowlError: a setting that only begins what then moves by itself
    """
    for name in sorted(starting(config) & set(names)):
        raise SpowlError(f'{where} changes {name}, which only has an effect at the beginning of a '
                         'run; leave it out, or start a new run')


def in_phase(config: TrainConfig, phase: PhaseConfig) -> TrainConfig:
    """
    Return the configuration that holds from a phase on.

    :raises SpowlError: an unknown setting, or a wrong value
    """
    fresh = changed(config, phase.values)
    if fresh.constraint.kind != config.constraint.kind:
        raise SpowlError('a phase cannot change constraint.kind')
    if bool(fresh.optimiser.average_rate) != bool(config.optimiser.average_rate):
        raise SpowlError('a phase cannot turn averaging on or off: optimiser.average_rate is '
                         f'{config.optimiser.average_rate} at first and '
                         f'{fresh.optimiser.average_rate} in the phase; both or none can be 0')
    return fresh


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            if key == 'constraint':  # another kind drops the settings of the first
                below = constraints.kept(below, value)
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def load(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """
    Read a YAML file and apply overrides of the form ``section.key=value``.

    A file may build on another in its folder: ``base: compact.yaml``.

    :raises SpowlError: an unreadable file, a malformed override, or as :func:`from_dict`
    """
    return _overridden(reduce(_merge, yaml.chain(path, 'the configuration')),
                       _values(overrides))


RESUMABLE = ('collect.decisions', 'collect.workers', 'collect.step_timeout',
             'collect.updates_per_decision', 'schedule.', 'constraint.', 'guide.weight',
             'guide.last_weight', 'guide.updates')
"""
Prefixes of keys that may change when a run is resumed.

These keys do not change the learning, set its pace, or weight cost and guide, which users often
change late.
"""


def resumed(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """
    Return a stored configuration with the overrides of a resumed run.

    :raises SpowlError: a key that would make it another run or would have no effect, or as
        :func:`load`
    """
    values = _values(overrides)
    for name in values:
        if not name.startswith(RESUMABLE):
            raise SpowlError(f'override {name!r} would make this another run; with --resume '
                             f'only {", ".join(RESUMABLE)}* can change')
    _check_acts(config, values, '--resume')
    fresh = _overridden(config.to_dict(), values)
    if fresh.constraint.kind != config.constraint.kind:
        raise SpowlError(f'constraint.kind {fresh.constraint.kind!r} would make this another run, '
                         f'which has {config.constraint.kind!r}')
    return fresh


def overridden(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """
    Return a configuration with overrides of the form ``section.key=value``.

    A discount of the planner that equals the loss's goes on following it, as from a file.

    :raises SpowlError: as :func:`load`
    """
    data = config.to_dict()
    for name in FOLLOWED:
        if data['planner'][name] == data['loss'][name]:
            del data['planner'][name]
    return _overridden(data, _values(overrides))


OWN = ('seed', 'initial', 'randomisation.', 'loss.', 'optimiser.', 'constraint.', 'guide.noise',
       'guide.weight', 'guide.last_weight', 'guide.updates', 'collect.sleep',
       'collect.cost_margin', 'collect.least_cost', 'collect.termination_reward',
       'collect.costly_share', 'collect.quiet_share', 'schedule.evaluation_episodes',
       'schedule.perturbed_episodes')
"""
Prefixes of the settings that each learner of a stack has of its own; others hold for all.

The planner's are its own too if no phase plans, and its knobs if one does.
"""


def check_stack(configs: Sequence[TrainConfig]) -> None:
    """
    Check that learners can be trained as one.

    :raises SpowlError: a setting differs that holds for all of them; in a run that plans, in one
        of its phases perhaps, these are also the planner's, except its knobs
    """
    first = configs[0]
    plans = any(round(part.collect.planning_share * part.collect.environments)
                for part in (first, *(in_phase(first, phase) for phase in first.phases)))
    knobs = [f'planner.{name}' for name in first.planner.knobs()]
    own = (*OWN, *(knobs if plans else ['planner.']))
    of_each = [flattened(config) for config in configs]
    for name, value in of_each[0].items():
        if not name.startswith(own) and any(other[name] != value for other in of_each):
            values = ', '.join(dict.fromkeys(str(other[name]) for other in of_each))
            raise SpowlError(f'{name} differs among learners that are trained as one ({values}), '
                             'and holds for all of them; train a run for each value, or on CPUs')


def settings() -> list[Setting]:
    """Return every setting that an override can name; for the constraint, those of all kinds."""
    table = {entry.name: entry for entry in declared(TrainConfig(''))}
    for kind in constraints.kinds().values():
        for entry in declared(kind(), 'constraint.'):
            table.setdefault(entry.name, entry)
    return list(table.values())


def _values(overrides: Sequence[str]) -> dict[str, Any]:
    """
    Return full names and values of overrides.

    :raises SpowlError: a malformed override or an unknown setting
    """
    try:
        return assigned(settings(), overrides)
    except SpowlError as error:
        raise SpowlError(f'bad override: {error}') from error


def _overridden(data: dict[str, Any], values: dict[str, Any]) -> TrainConfig:
    """Return a configuration with other values, which hold in every phase too."""
    config = _read(_merge(data, nested(values)))
    if 'phases' not in values:
        config = replace(config, phases=tuple(
            replace(phase, settings={name: value for name, value in phase.settings.items()
                                     if name not in values}) for phase in config.phases))
    return _checked(config)


def find(name: Path) -> Path:
    """
    Return a configuration's file: the path itself, or config/training/<task id>.yaml.

    :param name: a path, or a task, in short or in full: PointGoal1 or SafetyPointGoal1-v0
    :raises SpowlError: neither exists; the message lists the tasks that have one
    """
    if name.is_file():
        return name
    folder = _folder()
    path = folder / f'{task_id(str(name))}.yaml'
    if not path.is_file():
        tasks = ', '.join(sorted(p.stem for p in folder.glob('Safety*.yaml')))
        raise SpowlError(f'no configuration {name}; give a YAML file or one of {tasks}')
    return path


def of_task(name: str) -> TrainConfig:
    """
    Return the configuration with which a task is trained; without one, the defaults.

    :param name: as :func:`spowl_ros.base.tasks.task_id` takes it
    :raises SpowlError: as :func:`load`
    """
    path = Path(name)
    task = task_id(name)
    if path.suffix not in ('.yaml', '.yml'):
        path = _folder() / f'{task}.yaml'
    return load(path) if path.is_file() else TrainConfig(task)


def beside(name: str) -> Path:
    """Return a file that a configuration names: a path, or a file in config/training/."""
    return Path(name) if Path(name).is_file() else _folder() / name


def _folder() -> Path:
    return share_directory() / 'config' / 'training'
