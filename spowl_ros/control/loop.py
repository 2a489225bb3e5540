# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The one thread that decides; sensors or their silence wake it. Without ROS.

Receivers of sensors only store values here. The latest observation wins: while a decision is
being made, newer values replace older ones, and nothing queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import math
import os
import sys
import threading
import time

import numpy as np
from numpy.typing import ArrayLike

from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision, is_cost
from spowl_ros.control.observation import Observation, ObservationAssembler
from spowl_ros.control.operator import Takeover
from spowl_ros.control.settings import ControllerSettings

_EARLY = 0.9
"""Least time between two measurements decided on, as a fraction of the control period."""
_AFTER_LIMIT_S = 0.001
"""How long after a sensor's time-out the loop decides."""
_LATE = 0.02
"""Fraction of decisions that may be ready only after the time at which commands go out."""
_RECENT = 250
"""Decisions whose times the latency follows; a slow stretch is forgotten after as many."""
_LATENCY_STEP_S = 0.0003
"""Greatest change of the latency from one decision to the next."""
_ON_TIME = round(_RECENT * (1.0 - _LATE)) - 1
"""Of the last decisions' times in ascending order, the place of the one to wait for."""
_LAST_DECISION_S = 0.5
"""Seconds that the decision in progress may take when the loop is ended."""
_OVERDUE = 2.0
"""The next decision is overdue after this many times the longest wait between two."""
_HANDOVER_S = 0.0002
"""Seconds that the receiver of a complete measurement sleeps, so that the loop's thread runs."""


class SteadyLatency:
    """
    Holds commands back to a constant latency, at which nearly all decisions are ready.

    A constant delay is easier on a control loop than a shorter one that varies (as in logical
    execution time, Henzinger et al. 2003). It follows a quantile of the last decisions' times.

    :param longest: greatest latency, seconds
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._taken, self._sorted = np.zeros(_RECENT), np.zeros(_RECENT)
        self._count = 0
        self.seconds = 0.0
        """Latency after the arrival of the sensors."""

    def wait(self, arrival: float) -> None:
        """Sleep until the command is due; `arrival` is of the sensors, steady clock, seconds."""
        taken = time.monotonic() - arrival
        left = self.seconds - taken
        self.follow(taken)
        if left > 0.0:
            time.sleep(left)

    def follow(self, taken: float) -> None:
        """Let the latency follow one more decision, ready `taken` seconds after the sensors."""
        self._taken[self._count % _RECENT] = taken
        self._count += 1
        self._sorted[:] = self._taken
        self._sorted.partition(_ON_TIME)
        wanted = min(float(self._sorted[_ON_TIME]), self._longest)
        self.seconds += min(max(wanted - self.seconds, -_LATENCY_STEP_S), _LATENCY_STEP_S)


class DecisionLoop:
    """
    Decides whenever a measurement is complete, or overdue on a steady clock.

    In lock-step (``rate`` 0) each complete measurement gets one decision, however long it takes:
    decisions then depend only on the sensors. Otherwise a decision is due each control period of
    the steady clock, and each has a deadline.

    :param controller: what decides; only this loop's thread calls it while it runs
    :param clock_ns: the node's clock, nanoseconds
    :param publish: called in the loop's thread with every decision and the steady time at which
        the newest sensor message arrived; minus infinity before any
    :param failed: called once, in the loop's thread, with the error that ended the loop
    :param rate: seconds of the node's clock in a second of the steady clock; 0: lock-step
    :param deadline: fraction of the control period in which a decision is due
    :param steady: hold commands of plan and policy back to a constant latency below the deadline;
        not in lock-step
    :param decided: called in the loop's thread once a decision is published, with its observation
        and the steady time at which the next decision is due; infinity in lock-step
    :param operator: called with the steady time, seconds; returns a person's takeover, if any
    """

    def __init__(self, controller: Controller, clock_ns: Callable[[], int],
                 publish: Callable[[Decision, float], None], failed: Callable[[Exception], None],
                 rate: float, deadline: float, steady: bool = False,
                 decided: Callable[[Decision, Observation, float], None] | None = None,
                 operator: Callable[[float], Takeover | None] = lambda now: None) -> None:
        self._operator = operator
        self._controller = controller
        self._successor: Controller | None = None
        self._decided = decided
        self._clock_ns = clock_ns
        self._publish = publish
        self._failed = failed
        self._rate = rate
        period = controller.contract.control_period
        self._early_ns = int(_EARLY * period * 1e9)
        self._period = period / rate if rate > 0.0 else math.inf
        self._deadline = deadline * self._period if rate > 0.0 else None
        self._latency = SteadyLatency(self._deadline) if steady and self._deadline else None
        self._assembler = ObservationAssembler(controller.contract)
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='decisions', daemon=True)
        self._ended = False
        self._jumped = False
        self._begins_ns: int | None = None
        self._settings: ControllerSettings | None = None
        self._cost: float | None = None
        self._due = math.inf
        self._decided_ns: int | None = None
        self._begun = 0
        self._working = False
        self._last = time.monotonic()

    def start(self) -> None:
        """Begin to decide."""
        self._last = time.monotonic()
        self._due = self._last + self._patience()
        self._thread.start()

    def end(self, patience: float = _LAST_DECISION_S) -> bool:
        """
        Stop deciding.

        :param patience: seconds that the decision in progress may take
        :return: whether the thread has ended
        """
        with self._condition:
            self._ended = True
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(patience)
        return not self._thread.is_alive()

    @property
    def work(self) -> int | None:
        """Number of the decision in progress; None while the loop waits for sensors."""
        return self._begun if self._working else None

    @property
    def where(self) -> str:
        """File, line and function where the loop's thread is now."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return '' if frame is None else (f'{os.path.basename(frame.f_code.co_filename)}:'
                                         f'{frame.f_lineno} {frame.f_code.co_name}')

    @property
    def age(self) -> float:
        """Seconds since the last published decision; before any, since the start."""
        return time.monotonic() - self._last

    @property
    def longest_age(self) -> float:
        """Seconds after which the next decision is overdue; infinity in lock-step."""
        return _OVERDUE * max(self._patience(), self._period)

    def put(self, parts: Iterable[tuple[str, ArrayLike]], stamp_ns: int,
            waited: float = 0.0) -> None:
        """
        Store fields that were measured together.

        :param parts: names and values of fields
        :param waited: seconds that they lay in the middleware's queue
        :raises SpowlError: see `ObservationAssembler.put`
        """
        arrival = time.monotonic() - waited
        with self._condition:
            for name, values in parts:
                self._assembler.put(name, values, stamp_ns, arrival)
            begins = self._ready() and not self._working  # else the thread looks when it is done
            if begins:
                self._condition.notify()
        if begins and self._rate > 0.0:
            time.sleep(_HANDOVER_S)

    def put_cost(self, cost: float) -> None:
        """Add to the cost since the last decision; one that is no cost may have been any."""
        with self._condition:
            total = (self._cost or 0.0) + cost
            self._cost = total if is_cost(cost) and is_cost(total) else math.inf

    def clock_set_back(self) -> None:
        """Forget measurements of the time that the clock went back over."""
        with self._condition:
            self._jumped = True
            self._condition.notify()

    def begin_episode(self, stamp_ns: int) -> None:
        """
        Reset, and use only measurements from the episode's first one on.

        :param stamp_ns: of the first measurement, node's clock, nanoseconds
        """
        with self._condition:
            self._begins_ns = stamp_ns
            self._condition.notify()

    def change(self, settings: ControllerSettings) -> None:
        """Use other settings from the next decision on."""
        with self._condition:
            self._settings = settings

    def hand_over(self, controller: Controller) -> None:
        """Let another controller of the same contract decide from the next decision on."""
        with self._condition:
            self._successor, self._settings = controller, None

    def silences(self) -> dict[str, float]:
        """Return the seconds since each field arrived; infinity if it never did."""
        with self._condition:
            return self._assembler.silences(time.monotonic())

    def _ready(self) -> bool:
        """Whether a measurement is complete and not too soon after the last one."""
        if not self._assembler.complete():
            return False
        newest = self._assembler.newest_ns()
        return self._decided_ns is None or not (
            self._decided_ns <= newest < self._decided_ns + self._early_ns)

    def _patience(self) -> float:
        """Return the steady seconds without a complete measurement after which to decide."""
        if self._rate == 0.0:
            return math.inf
        return self._controller.shortest_timeout / self._rate + _AFTER_LIMIT_S

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    while not (self._ended or self._jumped or self._begins_ns is not None
                               or self._ready() or time.monotonic() >= self._due):
                        wait = self._due - time.monotonic()
                        self._condition.wait(None if math.isinf(wait) else max(wait, 0.0))
                    if self._ended:
                        return
                    self._begun += 1
                    self._working = True
                self._decide()
                self._working = False
        except Exception as error:
            self._failed(error)

    def _decide(self) -> None:
        """Make one decision from the present values, and publish it."""
        now = time.monotonic()
        now_ns = self._clock_ns()
        with self._condition:
            if self._successor is not None:
                self._successor.succeed(self._controller)
                self._controller, self._successor = self._successor, None
            if self._jumped or self._begins_ns is not None:
                if self._begins_ns is not None:
                    self._assembler.forget_before(self._begins_ns)
                    self._controller.reset()
                if self._jumped:  # no new episode: the controller sees the step itself
                    self._assembler.forget_after(now_ns)
                self._jumped, self._begins_ns, self._decided_ns = False, None, None
                if not self._ready():
                    return
            if self._settings is not None:
                self._controller.change(self._settings)
                self._settings = None
            complete = self._assembler.complete()
            missing = self._assembler.missing()
            if self._rate == 0.0:
                observation = self._assembler.observe(self._assembler.newest_ns())
            else:
                observation = self._assembler.observe(now_ns, now, self._rate)
            cost = self._cost
            if observation is not None:  # a stop leaves it to the next decision that can count it
                self._cost = None
            arrival = now - min(self._assembler.silences(now).values())
        if observation is None:
            decision = self._controller.stop(now_ns, f'waiting for {", ".join(missing)}')
        else:
            self._decided_ns = observation.stamp_ns
            decision = self._controller.decide(observation, self._deadline,
                                               cost=math.nan if cost is None else cost,
                                               operator=self._operator(now))
        self._due = now + (self._patience() if complete else self._period)
        if self._latency is not None and decision.source in ('plan', 'policy'):
            self._latency.wait(arrival)
        if self._ended:
            return  # the caller of `end` publishes the stop itself
        self._publish(decision, arrival)
        self._last = time.monotonic()
        if self._decided is not None and observation is not None:
            self._decided(decision, observation, arrival + self._period)
