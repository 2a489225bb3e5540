# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One training run's configuration: typed, read once from YAML and the command line."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
import difflib
from pathlib import Path
from typing import Any, get_type_hints

import dacite
import yaml

from spowl_ros.base import yaml as strict_yaml
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.share import share_directory
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.training.learner import ConstraintConfig, OptimiserConfig
from spowl_ros.training.losses import LossConfig
from spowl_ros.training.networks import NetworkConfig


@dataclass(frozen=True)
class CollectConfig:
    """How experience is gathered."""

    action_repeat: int = 5
    environments: int = 10
    # processes that step environments; 0 steps them in the trainer's own process
    workers: int = 0
    # seconds for which a worker may be silent before it is replaced
    step_timeout: float = 60.0
    # decisions in all, over all environments
    decisions: int = 1_000_000
    # random actions at first, or a guide's, and nothing learned before they are in
    random_decisions: int = 1_000
    updates_per_decision: float = 1.0
    replay_capacity: int = 1_000_000
    # distance in metres within which an obstacle that costs is charged already, on a ramp from
    # 0 to the cost of contact; from the scans, once a decision. Zero is SafetyGymnasium's cost.
    cost_margin: float = 0.0
    # what a decision that cost anything is charged at least, for the learner only: touches of a
    # moment are rare and cheap, and yet spoil an episode
    least_cost: float = 0.0
    # added to the reward where an episode ends by itself (a robot fell), for the learner only:
    # -1 deters as much as a reward of 1 - discount for every decision without a fall would
    termination_reward: float = 0.0
    # share of a batch drawn from sequences in which some decision cost
    costly_share: float = 0.0
    # share of the environments that act by the policy's mean, as the robot will: only they meet
    # the states in which it goes in circles
    quiet_share: float = 0.0
    # share of the environments that act by planning instead of by the policy
    planning_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ('cost_margin', 'least_cost'):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f'collect.{name} is {getattr(self, name)}; at least 0 is needed')


@dataclass(frozen=True)
class GuideConfig:
    """
    A gait that walks before the policy can.

    It acts at first, with noise around it. Then the policy's mean is drawn towards what it would
    do, by a weight that falls along a line.
    """

    # file of a gait, beside the configurations or a path; none: no guide
    gait: str = ''
    # standard deviation of the noise around its actions
    noise: float = 0.2
    # of the squared distance between its action and the policy's mean, at first and at last
    weight: float = 1.0
    last_weight: float = 0.0
    # updates over which one becomes the other
    updates: int = 20_000

    def __post_init__(self) -> None:
        if self.updates < 1:
            raise ValueError(f'guide.updates is {self.updates}; at least 1 is needed')

    def weight_after(self, updates: int) -> float:
        """Return the weight after so many updates."""
        done = min(updates / self.updates, 1.0)
        return self.weight + done * (self.last_weight - self.weight)


@dataclass(frozen=True)
class ScheduleConfig:
    """When things are written and measured, in decisions."""

    log: int = 2_000
    evaluate: int = 20_000
    evaluation_episodes: int = 10
    checkpoint: int = 20_000


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training run."""

    task: str
    seed: int = 0
    threads: int = 1
    device: str = 'cpu'
    batch_size: int = 256
    horizon: int = 3
    # networks to start from: a checkpoint or a bundle, perhaps of another task of the same robot;
    # or nothing
    initial: str = ''
    collect: CollectConfig = field(default_factory=CollectConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)
    networks: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    constraint: ConstraintConfig = field(default_factory=ConstraintConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    # Searches while collecting, in evaluations and in the exported bundle. A file that names some
    # settings changes them in PlannerSettings.compact(); the discounts are the losses'.
    planner: PlannerSettings = field(default_factory=PlannerSettings.compact)

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dicts that :func:`from_dict` takes back."""
        return asdict(self)


def _check_keys(kind: type, data: dict[str, Any], where: str) -> None:
    known = [f.name for f in fields(kind)]
    types = get_type_hints(kind)
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'it has {", ".join(known)}'
            raise SpowlError(f'unknown configuration key {where}{key}; {hint}')
        if is_dataclass(types[key]) and isinstance(value, dict):
            _check_keys(types[key], value, f'{where}{key}.')


def from_dict(data: dict[str, Any]) -> TrainConfig:
    """
    Build a configuration from nested dicts.

    :raises SpowlError: for an unknown key (naming the nearest), a wrong type or value
    """
    _check_keys(TrainConfig, data, '')
    given = data.get('planner', {})
    data = {name: value for name, value in data.items() if name != 'planner'}
    try:
        config = dacite.from_dict(TrainConfig, data,
                                  dacite.Config(cast=[tuple], type_hooks={float: float}))
        return replace(config, planner=PlannerSettings.compact(**{
            'discount': config.loss.discount, 'cost_discount': config.loss.cost_discount,
            **given}))
    except (dacite.DaciteError, ValueError, TypeError) as error:
        raise SpowlError(f'bad training configuration: {error}') from error


def _read(path: Path) -> dict[str, Any]:
    """Read a YAML file; where it names a `base` beside it, on top of that one."""
    try:
        data = strict_yaml.load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SpowlError(f'cannot read the configuration {path}: {error}') from error
    if not isinstance(data, dict):
        raise SpowlError(f'{path} holds no mapping of keys; see config/training/ for examples')
    base = data.pop('base', None)
    return data if base is None else _merge(_read(path.parent / base), data)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def load(path: Path, overrides: list[str]) -> TrainConfig:
    """
    Read a YAML file and apply overrides of the form ``section.key=value``.

    A file may build on another in its folder: ``base: compact.yaml``.

    :raises SpowlError: for an unreadable file, a malformed override, or as :func:`from_dict`
    """
    return from_dict(_overridden(_read(path), overrides))


RESUMABLE = ('collect.decisions', 'collect.workers', 'collect.step_timeout',
             'collect.updates_per_decision', 'schedule.', 'constraint.budget',
             'constraint.multiplier_m', 'constraint.integral_gain', 'guide.weight',
             'guide.last_weight', 'guide.updates')
"""
Beginnings of keys that may change when a run goes on.

They leave the learning as it was, pace it, or say how much cost and guide weigh, which is often
changed late.
"""


def resumed(config: TrainConfig, overrides: list[str]) -> TrainConfig:
    """
    Return a stored configuration with the overrides of a resumed run.

    :raises SpowlError: for a key that would make it another run, or as :func:`load`
    """
    for override in overrides:
        if not override.startswith(RESUMABLE):
            raise SpowlError(f'override {override!r} would make this another run; with --resume '
                             f'only {", ".join(RESUMABLE)}* can change')
    return from_dict(_overridden(config.to_dict(), overrides))


def _overridden(data: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    for override in overrides:
        name, equals, text = override.partition('=')
        if not equals:
            raise SpowlError(f'override {override!r} is not of the form section.key=value')
        *sections, key = name.split('.')
        target = data
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise SpowlError(f'override {override!r}: {section!r} is not a section')
        target[key] = yaml.safe_load(text)
    return data


def find(name: Path) -> Path:
    """
    Return a configuration's file: the path itself, or config/training/<task id>.yaml.

    :raises SpowlError: when there is neither, listing the tasks that have one
    """
    if name.is_file():
        return name
    folder = _folder()
    path = folder / f'{name}.yaml'
    if not path.is_file():
        tasks = ', '.join(sorted(p.stem for p in folder.glob('Safety*.yaml')))
        raise SpowlError(f'no configuration {name}; give a YAML file or one of {tasks}')
    return path


def beside(name: str) -> Path:
    """Return a file that a configuration names: a path, or one of config/training/."""
    return Path(name) if Path(name).is_file() else _folder() / name


def _folder() -> Path:
    return share_directory() / 'config' / 'training'
