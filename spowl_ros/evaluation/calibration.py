# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibrate the monitors' tables: measure the learned parts' errors on held-out episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.monitors.calibration import Calibration, HeldOutEpisode, window_of
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.observation import Observation
from spowl_ros.sim.environment import AnyEnvironment, make


def run_episode(controller: Controller, environment: AnyEnvironment, seed: int) -> HeldOutEpisode:
    """Drive one episode with fresh sensors, and record decisions and costs."""
    contract = controller.contract
    period_ns = round(contract.control_period * 1e9)
    episode = HeldOutEpisode()
    values = environment.reset(seed=seed)
    controller.reset()
    now_ns, ended = 0, False
    while not ended:
        now_ns += period_ns
        stamps = np.full(len(contract.fields), now_ns)
        decision = controller.decide(Observation(values, stamps, now_ns, np.zeros(len(stamps))))
        result = environment.step(decision.action)
        episode.decisions.append(dataclasses.replace(decision, readings=(), seconds={}))
        episode.costs.append(result.cost)
        values, ended = result.observation, result.terminated or result.truncated
    episode.terminated = result.terminated
    return episode


def calibrate(bundle: Bundle, seeds: Sequence[int],
              on_episode: Callable[[], object] = lambda: None) -> Calibration:
    """
    Return every monitor's table for a bundle, from episodes that no training saw.

    The costs that follow a decision are summed over WINDOW decisions, or over half of the longest
    episode where all are shorter. An episode that ends by itself is known to its end.

    :raises SpowlError: no decision for a table
    """
    contract = bundle.contract
    environment = make(contract.task, action_repeat=contract.action_repeat)
    episodes = []
    for seed in seeds:
        episodes.append(run_episode(Controller(bundle, seed=seed), environment, seed))
        on_episode()
    decisions = sum(len(episode.costs) for episode in episodes)
    tables = {kind.table: kind.calibrate(episodes, bundle.settings.cost_discount)
              for kind in kinds() if kind.table}
    window = window_of(episodes)
    if not all(tables.values()):
        raise SpowlError(f'{len(seeds)} episodes with {decisions} decisions are too few to '
                         f'calibrate with a window of {window} decisions; run more --episodes')
    return Calibration(tables, window=window, episodes=len(seeds), decisions=decisions,
                       first_seed=seeds[0])
