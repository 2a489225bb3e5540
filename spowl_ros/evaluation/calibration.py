# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Measure on held-out episodes how wrong the learned parts are: the monitors' tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import math

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.calibration import (
    Calibration,
    conformal_table,
    discounted_sums,
    quantile_table,
)
from spowl_ros.control.monitors.cost_value import CostValueSettings
from spowl_ros.control.observation import Observation
from spowl_ros.sim.environment import Environment


@dataclass
class EpisodeErrors:
    """What one episode showed, one entry a decision."""

    model_errors: list[float] = field(default_factory=list)
    """Distance between predicted and encoded latent; not-a-number where nothing was predicted."""
    cost_values: list[float] = field(default_factory=list)
    """Predicted discounted cost of the executed action."""
    costs: list[float] = field(default_factory=list)


def run_episode(controller: Controller, environment: Environment, seed: int) -> EpisodeErrors:
    """Drive one episode of an environment, every sensor fresh, and note the errors."""
    contract = controller.contract
    period_ns = round(contract.control_period * 1e9)
    errors = EpisodeErrors()
    values = environment.reset(seed=seed)
    controller.reset()
    now_ns, ended = 0, False
    while not ended:
        now_ns += period_ns
        stamps = np.full(len(contract.fields), now_ns)
        decision = controller.decide(Observation(values, stamps, now_ns, np.zeros(len(stamps))))
        result = environment.step(decision.action)
        errors.model_errors.append(math.nan if decision.plan is None
                                   else decision.plan.model_error)
        errors.cost_values.append(_cost_value(decision))
        errors.costs.append(result.cost)
        values, ended = result.observation, result.terminated or result.truncated
    return errors


def _cost_value(decision: Decision) -> float:
    if decision.plan is None:
        return math.nan
    return {'plan': decision.plan.plan_cost_value,
            'policy': decision.plan.policy_cost_value}.get(decision.source, math.nan)


def calibrate(bundle: Bundle, seeds: Sequence[int], window: int = CostValueSettings.window,
              on_episode: Callable[[], object] = lambda: None) -> Calibration:
    """
    Return the tables of a bundle from episodes that no training saw.

    :param window: decisions over which costs are summed to judge a cost value
    :raises SpowlError: too few episodes or decisions for a table
    """
    contract = bundle.contract
    environment = Environment(contract.task, action_repeat=contract.action_repeat)
    discount = bundle.settings.cost_discount
    errors: list[float] = []
    predicted: list[float] = []
    true: list[float] = []
    decisions = 0
    for seed in seeds:
        episode = run_episode(Controller(bundle, seed=seed), environment, seed)
        decisions += len(episode.costs)
        errors += [error for error in episode.model_errors if not math.isnan(error)]
        sums = discounted_sums(episode.costs, discount, window)
        pairs = [(value, total) for value, total in zip(episode.cost_values, sums, strict=False)
                 if not math.isnan(value)]
        predicted += [value for value, _ in pairs]
        true += [float(total) for _, total in pairs]
        on_episode()
    if not errors or not predicted:
        raise SpowlError(f'{len(seeds)} episodes with {decisions} decisions are too few to '
                         f'calibrate with a window of {window}; run more')
    return Calibration(
        model_error=quantile_table(errors), cost_offset=conformal_table(predicted, true),
        window=window, episodes=len(seeds), decisions=decisions, first_seed=seeds[0])
