# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Turns an observation into a decision: planner, monitors and arbiter together, without ROS.

The same controller serves the live node, the replay of a bag, and tests. The same observations,
settings and seed give the same decisions, bit for bit. What depends on a clock (iterations,
missed deadlines) is recorded in each decision, and a replay passes it in again.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import math
import time
from typing import Any

import numpy as np

from spowl_ros.base.settings import flattened
from spowl_ros.control.arbiter import Arbiter
from spowl_ros.control.avoidance import avoid
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.decision import Decision
from spowl_ros.control.hazards import HazardTracker
from spowl_ros.control.monitors.base import Context, Grounds, Level, Monitor, Reading, Stage
from spowl_ros.control.monitors.calibration import Calibration
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.observation import Observation
from spowl_ros.control.operator import OPERATOR, Takeover
from spowl_ros.control.plan import Plan
from spowl_ros.control.policy import NO_PLANNER, planner_of
from spowl_ros.control.providers import CPU
from spowl_ros.control.settings import ControllerSettings

LEAP_PERIODS = 5.0
"""Control periods between two measurements, beyond which the planner starts anew."""


class Controller:
    """
    Makes one decision per observation.

    :param bundle: a verified bundle
    :param settings: None takes the bundle's planner settings and the default monitors
    :param seed: with the step, it determines the planner's randomness
    :param threads: threads of the planner's graphs
    """

    def __init__(self, bundle: Bundle, settings: ControllerSettings | None = None, seed: int = 0,
                 threads: int = 1) -> None:
        self.bundle = bundle
        self.contract = bundle.contract
        self.calibration = Calibration.from_dict(bundle.calibration)
        self._identity = {'bundle': bundle.digest, 'seed': seed, 'threads': threads,
                          **({} if bundle.provider == CPU else {'provider': bundle.provider})}
        settings = settings or ControllerSettings(planner=bundle.settings)
        self._planner = planner_of(bundle, settings.planner, threads=threads, seed=seed)
        self._arbiter = Arbiter(settings.rules())
        self._hazards = HazardTracker(self.contract)
        self.stop_action: tuple[float, ...] = tuple(self.contract.action.rest.tolist())
        """In [-1, 1], one per actuator: the action that brings the robot to rest."""
        self.settings = settings
        """Those of the next decision; `change` replaces them."""
        self._monitors = self._new_monitors()
        self._last_ns: tuple[float, int] | None = None
        """When the last observation was measured and decided on; None: it has no successor."""
        self.reset()

    def _new_monitors(self) -> tuple[Monitor[Any], ...]:
        grounds = Grounds(self.contract, self.calibration, self.settings.planner.cost_discount)
        return tuple(kind(getattr(self.settings, kind.name), grounds) for kind in kinds())

    @property
    def shortest_timeout(self) -> float:
        """Return the shortest time without sensors after which a monitor alarms, seconds."""
        return min(monitor.patience for monitor in self._monitors)

    def change(self, settings: ControllerSettings) -> None:
        """
        Use other settings from the next decision on.

        :raises SpowlError: a planner setting fixed in the bundle differs
        """
        if settings == self.settings:
            return
        self._planner.change(settings.planner)
        self._arbiter.change(settings.rules())
        for monitor in self._monitors:
            if (changed := getattr(settings, monitor.name)) != monitor.settings:
                monitor.change(changed)
        self.settings = settings
        self._announce = True

    def reset(self) -> None:
        """
        Reset, as at the start of an episode.

        Tripped monitors stay so until released, and the bound keeps its learned offset.
        """
        self._step = 0
        self._last_action = self.stop_action
        self._announce = True
        self._begin_anew()
        for monitor in self._monitors:
            monitor.reset()

    def _begin_anew(self) -> None:
        """Forget what leads from one measurement to the next; the episode goes on."""
        self._restart_planner = True
        self._arbiter.reset()
        self._hazards.reset()
        for monitor in self._monitors:
            monitor.interrupt()

    def succeed(self, former: Controller) -> None:
        """
        Take over from another controller of the same contract.

        Actions continue from its last one, its tripped monitors stay so until released, and what
        the episode has spent stays spent. What else its monitors learned, of the other model, is
        forgotten.

        :param former: the other controller, after its last decision; a decision alone does not
            do, because a stop does not record what monitors have learned
        """
        self._monitors = self._new_monitors()
        self._arbiter = Arbiter(self.settings.rules())
        self._go_on(former._step, former._last_action, former._arbiter.tripped)
        for mine, its in zip(self._monitors, former._monitors, strict=True):
            if mine.of_the_episode:
                mine.recall(*its.learned)

    def resume(self, step: int, before: Decision) -> None:
        """
        Begin a replay at any decision, from the state that the decision before it recorded.

        :param before: the decision before; only its action, its tripped monitors and what the
            monitors learned are used
        """
        self._go_on(step, before.action, before.tripped)
        for monitor in self._monitors:
            monitor.recall(*(getattr(before, name) for name in monitor.learned_in))

    def _go_on(self, step: int, last_action: tuple[float, ...], tripped: tuple[str, ...]) -> None:
        self.reset()
        self._step, self._last_action, self._last_ns = step, last_action, None
        self._arbiter.restore(tripped)

    def decide(self, observation: Observation, deadline_s: float | None = None,
               iterations: int | None = None, deadline_missed: bool | None = None,
               cost: float = math.nan, operator: Takeover | None = None) -> Decision:
        """
        Make one decision.

        :param deadline_s: seconds from now in which the decision must be made; None does all
            iterations of the settings
        :param iterations: in a replay, the recorded improvements of the plan; ignores the clock
        :param deadline_missed: in a replay, as recorded; None measures it
        :param cost: cost of the last decision, if observable
        :param operator: action or stop of a person who takes over
        """
        start = time.perf_counter()
        self._follow_time(observation)
        for each in self._monitors:
            if each.silent:
                self._arbiter.release(each.name)
        deadline = None if deadline_s is None else start + deadline_s
        context = Context(observation, self._hazards.update(observation), cost=cost)
        readings = self._judge(Stage.BEFORE_PLANNING, context)
        if self._arbiter.verdict().level < Level.STOP:
            context = dataclasses.replace(
                context, plan=self._plan(observation, deadline, iterations))
        readings += self._judge(Stage.AFTER_PLANNING, context)

        plan = context.plan
        wanted, source, reason, monitor = self._choose(context, operator)
        action = self._stopping() if source == 'stop' else tuple(self.contract.action.held(
            np.array(wanted), np.array(self._last_action)).tolist())
        self._restart_planner = plan is None or not np.isfinite(plan.latent).all()
        if plan is not None:
            self._planner.executed(source if action == wanted else 'neither', action)
        total = time.perf_counter() - start
        if deadline_missed is None:
            deadline_missed = deadline_s is not None and total > deadline_s
        learned: dict[str, Any] = {
            name: value for monitor in self._monitors
            for name, value in zip(monitor.learned_in, monitor.learned, strict=True)}
        return self._finish(Decision(
            step=self._step, now_ns=observation.now_ns, action=action, source=source,
            reason=reason, monitor=monitor,
            stamps_ns=tuple(observation.stamps_ns.tolist()),
            silences=tuple(observation.silences.tolist()), plan=plan, cost=cost,
            deadline_missed=deadline_missed, readings=tuple(readings),
            tripped=self._arbiter.tripped,
            seconds={**({} if plan is None else plan.seconds), 'total': total},
            settings=self._settings_text(), **learned))

    def took(self, action: Sequence[float] | None) -> None:
        """
        Take the action that the robot took after the last decision, if another one decided.

        In a replay, and beside the controller that drives, the next observation follows from that
        action; a window of earlier observations and actions holds it.

        :param action: None: observations were missed since, and the window begins anew
        """
        self._planner.took(action)

    def _judge(self, stage: Stage, context: Context) -> list[Reading]:
        """Ask the monitors of a stage and pass their readings to the arbiter."""
        readings = [monitor.judge(context) for monitor in self._monitors
                    if monitor.stage is stage and not monitor.silent]
        for reading in readings:
            self._arbiter.update(reading)
        return readings

    def _follow_time(self, observation: Observation) -> None:
        """
        Begin anew if time went back or leapt, because a clock was set or sensors were silent.

        That is no new episode: only `reset` begins one.
        """
        measured = float(np.median(observation.stamps_ns))  # one wrong stamp is not a leap
        if self._last_ns is not None:
            elapsed = (measured - self._last_ns[0]) * 1e-9
            if (observation.now_ns < self._last_ns[1]
                    or not 0.0 <= elapsed <= LEAP_PERIODS * self.contract.control_period):
                self._begin_anew()
        self._last_ns = measured, observation.now_ns

    def stop(self, now_ns: int, reason: str) -> Decision:
        """
        Decide to stop without an observation, as before the first one or after an error.

        :param now_ns: the node's clock, nanoseconds
        """
        self._restart_planner = True
        return self._finish(Decision(
            step=self._step, now_ns=now_ns, action=self._stopping(), source='stop',
            reason=reason, tripped=self._arbiter.tripped, seconds={'total': 0.0},
            settings=self._settings_text()))

    def _plan(self, observation: Observation, deadline: float | None,
              iterations: int | None) -> Plan:
        if self._restart_planner:
            self._planner.reset()
        if iterations is None and any(
                monitor.spares_planning and self._arbiter.leads(monitor.name)
                for monitor in self._monitors):
            iterations = 0
        return self._planner.plan(observation.values, self._step, deadline, iterations)

    def _choose(self, context: Context, operator: Takeover | None
                ) -> tuple[tuple[float, ...], str, str, str]:
        """Return action, source, reason and leading monitor."""
        plan, verdict = context.plan, self._arbiter.verdict()
        if operator is not None and not operator.action:
            return self.stop_action, 'stop', operator.reason, OPERATOR
        if operator is not None and verdict.level <= operator.overrules:
            return operator.action, OPERATOR, operator.reason, OPERATOR
        if plan is None or verdict.level is Level.STOP:
            return self.stop_action, 'stop', verdict.reason, verdict.monitor
        if verdict.level is Level.MONITOR:
            action = avoid(self.contract, context.hazards, self.stop_action)
            return action, 'monitor', verdict.reason, verdict.monitor
        if verdict.level is Level.POLICY:
            chosen, source, reason = plan.policy_action, 'policy', verdict.reason
        else:
            chosen, source = plan.action, plan.source
            reason = (_why(plan, self.settings.planner.kind) if self.bundle.plans
                      else NO_PLANNER)
        if not np.isfinite(chosen).all():
            return self.stop_action, 'stop', f'action of the {source} is not finite', ''
        return chosen, source, reason, verdict.monitor

    def _stopping(self) -> tuple[float, ...]:
        """Return the next action on the ramp from the last one to rest."""
        spec = self.contract.action
        return tuple(spec.stopping(self._last_action, self.contract.control_period).tolist())

    def _settings_text(self) -> str:
        if not self._announce:
            return ''
        return json.dumps({**self._identity, 'settings': flattened(self.settings)})

    def _finish(self, decision: Decision) -> Decision:
        self._step += 1
        self._last_action = decision.action
        self._announce = False
        for monitor in self._monitors:
            monitor.record(decision)
        return decision


def _why(plan: Plan, kind: str) -> str:
    """Return why the planner took the policy's action; empty if it took the plan's."""
    if plan.source == 'plan':
        return ''
    if not plan.iterations:
        return 'planning is switched off' if kind == 'policy' else 'no time to plan'
    if plan.plan_cost_value > plan.cost_value_high:
        return (f'plan is less safe: cost value {plan.plan_cost_value:.3g}, '
                f'at most {plan.cost_value_high:.3g} wanted')
    return f'plan is worse: value {plan.plan_value:.3g}, at least {plan.value_low:.3g} wanted'
