# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Settings of the planner, declared once for training, export and run time.

The defaults are the authors' (arXiv 2506.04828), the reference of every comparison; our own
settings start from `compact()`. Read-only settings decide the shape of the exported graphs and
are fixed in a bundle; the others are inputs of the graphs and may change while the planner runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import changed, declared, fixed, read, setting

KINDS = ('adaptive', 'threshold', 'unsafe', 'policy')
NO_LIMIT = 1e9
"""A budget that nothing exceeds."""
RENAMED = {'seed': 'fill'}
"""Former names of settings in bundles, checkpoints and recordings."""


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Return planner settings under their present names."""
    return {RENAMED.get(name, name): value for name, value in values.items()}


@dataclass(frozen=True)
class PlannerSettings:
    """How the latent planner searches, judges and chooses."""

    kind: str = setting(
        'adaptive', 'adaptive: at least as good and as safe as the policy; threshold: summed cost '
        'below a fixed value; unsafe: cost ignored; policy: no planning', choices=KINDS)
    iterations: int = setting(6, 'Improvements of the search distribution per decision.',
                              low=0, high=32)

    # Sizes of the search
    horizon: int = fixed(3, 'Decisions that a candidate looks ahead.', low=1, high=16)
    samples: int = fixed(488, 'Candidates drawn from the search distribution per iteration.',
                         low=1, high=4096)
    policy_candidates: int = fixed(24, 'Roll-outs of the policy among the candidates.',
                                   low=1, high=512)
    elites: int = fixed(64, 'Best candidates that shape the next search distribution.',
                        low=1, high=512)
    heads: int = fixed(2, 'Value heads whose mean judges a candidate; 0 takes all.',
                       low=0, high=64)
    head_choice: str = fixed(
        'random', 'random: each candidate draws its own heads; first: the same first ones for all',
        choices=('random', 'first'))
    cost_heads: int = fixed(0, 'Heads of the cost model that judge a candidate, the first ones; '
                            '0 takes all.', low=0, high=64)

    # Search distribution
    temperature: float = setting(0.5, 'Sharpness of the weights exp(temperature * score).',
                                 low=0.01, high=100.0)
    min_std: float = setting(0.05, 'Least standard deviation of the search.', low=0.001, high=2.0)
    max_std: float = setting(2.0, 'Largest standard deviation of the search.', low=0.01, high=4.0)
    first_std: float = setting(2.0, 'Standard deviation where a search starts cold.',
                               low=0.01, high=4.0)
    warm_std: float = setting(2.0, "Standard deviation where a search starts from the last one's.",
                              low=0.01, high=4.0)
    fill: str = fixed(
        'zero', "What fills the mean where the last decision's has nothing to say. zero: zeros; "
        "policy: the roll-out of the policy's mean, also after the policy's own action was taken",
        choices=('zero', 'policy'))
    keep_elites: bool = fixed(
        False, 'Elites stay candidates in the next iteration and, shifted, in the next decision.')

    # Judging candidates
    discount: float = fixed(0.975, 'Discount of reward per decision.', low=0.0, high=1.0)
    cost_discount: float = fixed(0.997, 'Discount of cost per decision.', low=0.0, high=1.0)
    terminal_noise: str = fixed(
        'own', "The policy's last action of a candidate. own: drawn for each; common: one draw "
        'for all; none: its mean', choices=('own', 'common', 'none'))
    invalid: str = fixed('zero', 'Value of a prediction that is not a number.',
                         choices=('zero', 'worst'))
    thresholds: str = fixed(
        'mean', "Level of cost and value that a candidate must reach (adaptive). mean: of the "
        "policy's candidates; interval: ends of the intervals of the policy's own action",
        choices=('mean', 'interval'))
    interval: str = fixed(
        'bootstrap', "Interval of the policy's value. bootstrap: 95 % of resampled heads; "
        'deviation: mean +- interval_width standard deviations',
        choices=('bootstrap', 'deviation'))
    interval_width: float = setting(1.0, 'Half width of a deviation interval.', low=0.0, high=10.0)
    cost_threshold: float = setting(0.1, 'Summed cost that a candidate must stay below '
                                    '(threshold).', low=0.0, high=NO_LIMIT)
    cost_budget: float = setting(
        NO_LIMIT, "Discounted cost no candidate may exceed, whatever the policy's (adaptive).",
        low=0.0, high=NO_LIMIT)
    cost_weight: float = setting(0.0, 'Price of a unit of discounted cost in the score.',
                                 low=0.0, high=1000.0)
    limit_elites: bool = fixed(True, 'Only the best `elites` of the candidates that count are '
                               'elites; otherwise all of them (adaptive).')
    fallback: str = fixed(
        'policy', "Elites where no candidate counts (adaptive). policy: the policy's candidates; "
        'least_cost: those of least cost', choices=('policy', 'least_cost'))

    # Choosing the action
    choose: str = fixed('random', 'Elite whose first action is taken. random: drawn by weight; '
                        'best: of the highest score; mean: the mean of all',
                        choices=('random', 'best', 'mean'))
    switch: bool = setting(True, 'Take the planned action only where it is no worse and no less '
                           "safe than the policy's own.")

    def __post_init__(self) -> None:
        """
        Check every value and their combinations.

        :raises SpowlError: a value is out of its range, or two settings contradict each other
        """
        for entry in declared(self):
            entry.check(entry.default)
        for wrong, message in (
            (self.min_std > self.max_std,
             f'min_std {self.min_std} is above max_std {self.max_std}'),
            (self.keep_elites and (self.terminal_noise == 'own' or self.head_choice == 'random'),
             'keep_elites compares scores across iterations and so needs terminal_noise common or '
             'none and head_choice first'),
            (self.keep_elites and self.fallback == 'policy',
             "keep_elites lets the policy's candidates go and so needs fallback least_cost"),
            (self.keep_elites and not self.limit_elites, 'keep_elites needs limit_elites'),
            (self.elites > self.samples + self.policy_candidates,
             f'{self.elites} elites are more than the {self.samples + self.policy_candidates} '
             'candidates'),
        ):
            if wrong:
                raise SpowlError(f'planner settings: {message}')

    @property
    def carried(self) -> int:
        """Return how many of the last decision's elites become proposals."""
        return self.elites if self.keep_elites else 0

    @property
    def proposals(self) -> int:
        """Return how many candidates exist before the first improvement."""
        return self.policy_candidates + self.carried

    @property
    def candidates(self) -> int:
        """Return how many candidates one improvement compares."""
        return self.proposals + self.samples

    def knobs(self) -> dict[str, float]:
        """Return the settings that the graphs accept at run time, by name."""
        adaptive, threshold = self.kind == 'adaptive', self.kind == 'threshold'
        return {'adaptive': float(adaptive), 'threshold': float(threshold),
                'switch': float(self.switch), 'temperature': self.temperature,
                'min_std': self.min_std, 'max_std': self.max_std, 'first_std': self.first_std,
                'warm_std': self.warm_std, 'interval_width': self.interval_width,
                'cost_threshold': self.cost_threshold,
                'cost_budget': self.cost_budget if adaptive else NO_LIMIT,
                'cost_weight': self.cost_weight if adaptive else 0.0}

    def at_run_time(self, values: dict[str, Any]) -> PlannerSettings:
        """
        Return these settings with some changed, if a bundle allows it.

        :raises SpowlError: unknown or fixed setting, wrong type, out of range
        """
        values = renamed(values)
        for entry in declared(self):
            if entry.read_only and values.get(entry.name, entry.default) != entry.default:
                raise SpowlError(f"planner setting '{entry.name}' is fixed in the bundle at "
                                 f'{entry.default!r}; export the checkpoint with another')
        return changed(self, values)

    def ranges(self) -> dict[str, Any]:
        """Return the allowed values of each setting that may change at run time, for JSON."""
        return {entry.name: list(entry.choices) if entry.choices else [entry.low, entry.high]
                for entry in declared(self) if not entry.read_only and entry.kind is not bool}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON or YAML."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PlannerSettings:
        """
        Rebuild settings from what `to_dict` returned; missing ones take their defaults.

        :raises SpowlError: unknown setting, wrong type, out of range
        """
        return read(cls, renamed(data))

    @classmethod
    def compact(cls, **values: Any) -> PlannerSettings:
        """Return the settings that fit a control period on two cores, some of them replaced."""
        ours: dict[str, Any] = {
            'iterations': 4, 'samples': 64, 'policy_candidates': 16, 'elites': 16,
            'head_choice': 'first', 'terminal_noise': 'none', 'invalid': 'worst',
            'interval': 'deviation', 'fallback': 'least_cost', 'keep_elites': True,
            'fill': 'policy', 'warm_std': 0.5, 'first_std': 1.0, 'choose': 'best'}
        return cls(**{**ours, **values})
