# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A second controller decides on the same observations, in the time left, without driving."""

from __future__ import annotations

from collections.abc import Callable
import math
import threading
import time

from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.control.observation import Observation

_USED = 0.8
"""Fraction of the time until the next decision that a shadow decision may take."""


class Shadow:
    """
    Decides in its own thread after the active controller has decided.

    It skips an observation that comes while it still decides. In lock-step nothing is late: it
    decides on each observation at once, in the caller's thread.

    :param controller: of the active one's contract; nobody else may call it
    :param publish: called with each decision, in the thread that made it
    :param failed: called once with the error that ended the shadow, in the same thread
    """

    def __init__(self, controller: Controller, publish: Callable[[Decision], None],
                 failed: Callable[[Exception], None]) -> None:
        self._controller, self._publish, self._failed = controller, publish, failed
        self._condition = threading.Condition()
        self._waiting: tuple[Observation, float, tuple[float, ...]] | None = None
        self._step = -1
        self._costs: list[float] = []
        self._reset = self._busy = self._ended = self._missed = False
        self._thread = threading.Thread(target=self._run, name='shadow', daemon=True)
        self._thread.start()

    def end(self, patience: float = 0.5) -> None:
        """Stop deciding."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join(patience)

    def see(self, decision: Decision, observation: Observation, due: float) -> None:
        """
        Decide on an observation on which the active controller has decided.

        :param decision: the active controller's; where its steps begin again, the shadow is
            reset as well
        :param due: steady time of the next decision; infinity in lock-step
        """
        reset = decision.step <= self._step  # step 0 may have been a stop without an observation
        self._step = decision.step
        if math.isinf(due):
            self._decide(observation, due, reset, decision.action, decision.cost)
            return
        with self._condition:
            self._reset |= reset
            self._costs.append(decision.cost)
            if self._busy or self._waiting is not None:
                self._missed = True
            if not self._busy:
                self._waiting = observation, due, decision.action
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._waiting is None and not self._ended:
                    self._condition.wait()
                if self._ended or self._waiting is None:
                    return
                observation, due, action = self._waiting
                known = [cost for cost in self._costs if not math.isnan(cost)]
                cost = math.fsum(known) if known else math.nan
                self._costs = []  # also those of the observations that it skipped
                reset, missed = self._reset, self._missed
                self._waiting, self._reset, self._missed, self._busy = None, False, False, True
            if missed:
                self._controller.took(None)
            self._decide(observation, due, reset, action, cost)
            self._busy = False

    def _decide(self, observation: Observation, due: float, reset: bool,
                action: tuple[float, ...], cost: float) -> None:
        """
        Decide on an observation.

        :param action: what the active controller did on it
        :param cost: since the last observation that the shadow decided on
        """
        if self._ended:
            return
        try:
            if reset:
                self._controller.reset()
            left = _USED * (due - time.monotonic())
            decision = self._controller.decide(
                observation, None if math.isinf(due) else max(left, 0.0), cost=cost)
            self._controller.took(action)
            if not self._ended:
                self._publish(decision)
        except Exception as error:
            self._ended = True
            self._failed(error)
