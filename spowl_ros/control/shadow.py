# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A second controller that decides unseen on the same observations, in the time that is left."""

from __future__ import annotations

from collections.abc import Callable
import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spowl_ros.control.controller import Controller
    from spowl_ros.control.decision import Decision
    from spowl_ros.control.observation import Observation

_USED = 0.8
"""Part of the time until the next decision that a decision in the shadow may take."""


class Shadow:
    """
    Decide in a thread of its own once the active controller has.

    An observation that comes while the shadow still decides is left out. In lock-step nothing is
    late, so that the shadow decides on each at once, in the thread that calls.

    :param controller: of the active one's contract; nobody else may call it
    :param publish: called with each decision, in the thread that made it
    :param failed: called once with what ended the shadow, in the same thread
    """

    def __init__(self, controller: Controller, publish: Callable[[Decision], None],
                 failed: Callable[[Exception], None]) -> None:
        self._controller, self._publish, self._failed = controller, publish, failed
        self._condition = threading.Condition()
        self._waiting: tuple[Observation, float] | None = None
        self._reset = self._busy = self._ended = False
        self._thread = threading.Thread(target=self._run, name='shadow', daemon=True)
        self._thread.start()

    def end(self, patience: float = 0.5) -> None:
        """Decide no more."""
        with self._condition:
            self._ended = True
            self._condition.notify()
        self._thread.join(patience)

    def see(self, decision: Decision, observation: Observation, due: float) -> None:
        """
        Decide on what the active controller has decided on.

        :param decision: the active one's; at its step 0 the shadow begins anew as well
        :param due: steady time of the next decision; infinity in lock-step
        """
        if math.isinf(due):
            self._decide(observation, due, decision.step == 0)
            return
        with self._condition:
            self._reset |= decision.step == 0
            if not self._busy:
                self._waiting = observation, due
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._waiting is None and not self._ended:
                    self._condition.wait()
                if self._ended or self._waiting is None:
                    return
                observation, due = self._waiting
                reset, self._waiting, self._reset, self._busy = self._reset, None, False, True
            self._decide(observation, due, reset)
            self._busy = False

    def _decide(self, observation: Observation, due: float, reset: bool) -> None:
        if self._ended:
            return
        try:
            if reset:
                self._controller.reset()
            left = _USED * (due - time.monotonic())
            decision = self._controller.decide(
                observation, None if math.isinf(due) else max(left, 0.0))
            if not self._ended:
                self._publish(decision)
        except Exception as error:
            self._ended = True
            self._failed(error)
