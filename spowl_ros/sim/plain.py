# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""SafetyGymnasium's own simulation, for tasks that the fast one does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spowl_ros.base.errors import SpowlError, first_line
from spowl_ros.sim.compat import untextured
from spowl_ros.sim.fast.simulation import RawStep

if TYPE_CHECKING:
    from safety_gymnasium.builder import Builder


class PlainSimulation:
    """The plain package behind the fast simulation's interface; observes only on request."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._observe = builder.task.obs
        builder.task.obs = lambda: None

    def seed(self, seed: int) -> None:
        """Restart the random stream."""
        self._builder.set_seed(seed)

    def reset(self) -> None:
        """
        Begin an episode.

        :raises SpowlError: this installation of SafetyGymnasium cannot build the task
        """
        try:
            with untextured():
                self._builder.reset()
        except ValueError as error:  # some tasks need files that are missing from its wheel
            raise SpowlError(f'SafetyGymnasium cannot build {self._builder.task_id}: '
                             f'{first_line(error)}') from error

    def step(self, control: NDArray[np.float64], before: NDArray[np.float64] | None = None,
             late: float = 0.0) -> RawStep:
        """Hold a control, shape (A,), in the actuators' units, for one raw step, without delay."""
        assert not late, 'the plain package holds a control for a whole raw step'
        _, reward, _, terminated, _, info = self._builder.step(control)
        costs = {name[len('cost_'):]: float(value) for name, value in info.items()
                 if name.startswith('cost_') and name != 'cost_sum'}
        return RawStep(float(reward), costs, bool(info.get('goal_met', False)), bool(terminated))

    def observe(self) -> NDArray[np.float64]:
        """Return the observation, shape (n,)."""
        return self._observe()
