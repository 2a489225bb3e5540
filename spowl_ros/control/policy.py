# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
A policy of another library in place of the planner: it returns actions, but no values.

Values, cost values and predictions are not-a-number in its plans. A monitor that judges them
neither alarms nor clears.
"""

from __future__ import annotations

from collections.abc import Sequence
import time

import numpy as np

from spowl_ros.control import graph_io as io
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.plan import Array, Plan
from spowl_ros.control.planner import Planner
from spowl_ros.control.planner_settings import PlannerSettings

NO_PLANNER = 'the bundle holds no planner'
_WARM_UP = 3


class Policy:
    """
    Has the methods of `planner.Planner`; runs the one graph of a bundle of `spowl wrap`.

    :param settings: kind 'policy'; the others are ignored
    :param seed: ignored, as a policy has no randomness
    :raises SpowlError: settings of a planner
    """

    def __init__(self, bundle: Bundle, settings: PlannerSettings | None = None, *,
                 threads: int = 1, seed: int = 0) -> None:
        self.bundle = bundle
        self.settings = bundle.accept(settings or bundle.settings)
        self._session = bundle.sessions(threads)[io.POLICY]
        for _ in range(_WARM_UP):
            self.plan(np.zeros(bundle.contract.size, np.float32), 0)

    def change(self, settings: PlannerSettings) -> None:
        """
        Take other settings.

        :raises SpowlError: settings of a planner
        """
        self.settings = self.bundle.accept(settings)

    def reset(self) -> None:
        """Do nothing: a policy has no memory."""

    def executed(self, source: str, action: Sequence[float] | None = None) -> None:
        """Ignore which action was executed: a policy predicts nothing."""

    def took(self, action: Sequence[float] | None) -> None:
        """Ignore which action the robot took: a policy has no memory."""

    def plan(self, observation: Array, step: int, deadline: float | None = None,
             iterations: int | None = None) -> Plan:
        """
        Return a plan that holds only the policy's action for an observation (O,).

        An action that is not finite stays so; the controller then stops.

        :raises SpowlError: the observation has another size
        """
        self.bundle.check_observation(observation)
        start = time.perf_counter()
        raw = self._session.run([io.POLICY_ACTION], {
            io.OBSERVATION: np.asarray(observation, np.float32)[None]})[0][0]
        action = np.clip(raw, -1.0, 1.0) if np.isfinite(raw).all() else raw
        return Plan(source='policy', plan_action=(), policy_action=tuple(action.tolist()),
                    seconds={io.POLICY: time.perf_counter() - start})


def planner_of(bundle: Bundle, settings: PlannerSettings | None = None, *, threads: int = 1,
               seed: int = 0) -> Planner | Policy:
    """
    Return a bundle's planner, or the policy that it holds instead.

    :raises SpowlError: the bundle does not accept the settings
    """
    kind = Planner if bundle.plans else Policy
    return kind(bundle, settings, threads=threads, seed=seed)
