# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The planner at run time: a bundle's graphs and the anytime loop around them.

Nothing here knows how to plan. Each stage takes named buffers and fills named buffers; the loop
improves until its iterations are done or the next one would not end in time. Without ROS::

    from spowl_ros.control import bundle
    from spowl_ros.control.planner import Planner
    planner = Planner(bundle.load('models/SafetyPointGoal1-v0'))
    for step, observation in enumerate(observations):
        action = planner.plan(observation, step).action
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue, SessionIOBinding

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.planner_settings import PlannerSettings

Array = NDArray[np.float32]

_WARM_UP = 3
_RECENT = 64
_SLOWEST = 3
"""A stage is expected to take as long as the third slowest of its recent runs (95th centile),"""
_MARGIN = 1.25
"""times this."""
_PATIENCE = 16
"""Decisions without time to plan, after which one takes it and measures how long that takes;"""
_LONGEST_PATIENCE = 4096
"""after each that was late it is twice as many, up to this."""
_DTYPES: dict[str, Any] = {'tensor(float)': np.float32, 'tensor(double)': np.float64,
                           'tensor(int64)': np.int64, 'tensor(bool)': np.bool_}


@dataclass(frozen=True)
class Plan:
    """One decision of the planner and all it is based on; actions are in [-1, 1]."""

    action: Array
    """(A,) to execute."""
    source: str
    """'plan' or 'policy': whose action that is."""
    reason: str
    """Why: 'improved', 'not better', 'no time', or 'kind' where the settings say policy."""
    policy_action: Array
    """(A,)"""
    plan_action: Array | None
    """(A,) or None where nothing was planned."""
    value: float
    """Value of the policy's action, mean of the heads."""
    value_low: float
    """Least value that a planned action may have."""
    cost_value: float
    """Cost value of the policy's action, mean of the heads."""
    cost_value_high: float
    """Largest cost value that a planned action may have."""
    plan_value: float
    """Value of the planned action; not a number where nothing was planned, as the next four."""
    plan_cost_value: float
    """Cost value of the planned action."""
    cost_limit: float
    """Adaptive threshold of cost k* that candidates met."""
    value_floor: float
    """Adaptive threshold of value q* that candidates met."""
    candidates_met: float
    """How many candidates of the last improvement met the thresholds."""
    iterations: int
    """Improvements done."""
    latent: Array
    """(D,) encoded observation."""
    predicted_next: Array
    """(D,) latent predicted after the action."""
    model_error: float
    """Distance of the latent to the one predicted by the last decision; nan where none was."""
    seconds: dict[str, float]
    """Time spent by stage; 'improve' is the sum over its iterations."""


class Planner:
    """Plans one decision after another; the same step, seed and observations give the same."""

    def __init__(self, bundle: Bundle, settings: PlannerSettings | None = None, *,
                 threads: int = 1, seed: int = 0) -> None:
        """
        Open the bundle's graphs and warm them up.

        :param settings: the bundle's, some changed by `PlannerSettings.at_run_time`
        :raises SpowlError: settings that the bundle's graphs were not exported with
        """
        self.bundle = bundle
        self._seed = seed
        sessions = bundle.sessions(threads)
        self._buffers: dict[str, NDArray[Any]] = {}
        self._values: dict[str, OrtValue] = {}
        for session in sessions.values():
            for value in (*session.get_inputs(), *session.get_outputs()):
                if value.name not in self._buffers:
                    self._allocate(value.name, value.shape, _DTYPES[value.type])
        swap = {name: f'next_{name}' for name in self._buffers if f'next_{name}' in self._buffers}
        swap |= {after: before for before, after in swap.items()}
        # every other improvement goes the way back, so that nothing is read and written at once
        self._calls = {(name, odd): self._bind(sessions[name], swap if odd else {})
                       for name in sessions for odd in (False, True)}
        self._recent = {name: deque([0.0], maxlen=_RECENT) for name in sessions}
        self._without_time, self._patience = 0, _PATIENCE
        self.settings = bundle.settings
        self.change(settings or bundle.settings)
        self._predicted: dict[str, Array] = {}
        self._expected: Array | None = None
        self._warm_up()

    def change(self, settings: PlannerSettings) -> None:
        """
        Plan with other settings from now on.

        :raises SpowlError: one that is fixed in the bundle differs
        """
        self.settings = self.bundle.settings.at_run_time(settings.to_dict())
        self._buffers['knobs'][:] = self.settings.knobs()

    def reset(self) -> None:
        """Forget the last decision, as at the start of an episode."""
        for name in ('memory_mean', 'memory_elites', 'warm'):
            if name in self._buffers:
                self._buffers[name].fill(0.0)
        self._expected = None

    def executed(self, source: str) -> None:
        """
        Say what was executed after the last plan, if not the plan's own action.

        :param source: 'plan' or 'policy', whose action it was; anything else means neither
        """
        self._expected = self._predicted.get(source)

    def plan(self, observation: Array, step: int, deadline: float | None = None,
             iterations: int | None = None) -> Plan:
        """
        Decide for an observation (O,).

        :param step: number of the decision; with the seed, it determines the randomness
        :param deadline: time.perf_counter() at which the plan must be there
        :param iterations: improvements to do, whatever the clock says, as in a replay; zero takes
            the policy's action
        :raises SpowlError: an observation of another size
        """
        buffers = self._buffers
        # without any time, there is none to measure anew how long planning takes
        hopeless = deadline is not None and time.perf_counter() >= deadline
        if np.shape(observation) != (self.bundle.contract.size,):
            raise SpowlError(f'the observation has shape {np.shape(observation)}, the bundle of '
                             f'{self.bundle.contract.task} wants ({self.bundle.contract.size},)')
        buffers['observation'][0] = observation
        seconds = {'encode': self._run('encode')}
        latent = buffers['latent'][0].copy()
        error = math.nan
        if self._expected is not None:
            error = float(np.linalg.norm(latent - self._expected))
        self._predicted = {'policy': buffers['policy_next'][0].copy()}

        wanted = self.settings.iterations if iterations is None else iterations
        if iterations is not None:
            deadline = None
        done = 0
        if self.settings.kind != 'policy' and wanted > 0:
            if self._in_time(deadline, 'propose', 'improve', 'select'):
                self._without_time = 0
                done = self._search(step, deadline, wanted, seconds)
            elif deadline is not None and not hopeless and self._is_out_of_patience():
                done = self._search(step, deadline, wanted, seconds, least=1)
                self._judge_anew(deadline)
        return self._result(latent, error, done, seconds)

    def _search(self, step: int, deadline: float | None, wanted: int,
                seconds: dict[str, float], least: int = 0) -> int:
        """
        Propose, improve as often as there is time for, select; return the improvements.

        :param least: improvements that are made whether or not there is time
        """
        random = np.random.Generator(np.random.Philox(key=(self._seed, step)))
        if 'uniform' in self._buffers:
            random.random(dtype=np.float32, out=self._buffers['uniform'])
        self._draw(random, 'policy_noise', 'proposal_terminal')
        self._draw_heads(random, 'proposal_heads')
        if self.settings.terminal_noise == 'common':
            np.copyto(self._buffers['sample_terminal'], self._buffers['proposal_terminal'])
        seconds['propose'] = self._run('propose')
        seconds['improve'] = 0.0
        done = 0
        while done < wanted and (done < least or self._in_time(deadline, 'improve', 'select')):
            self._draw(random, 'sample_noise')
            if self.settings.terminal_noise == 'own':
                self._draw(random, 'sample_terminal')
            self._draw_heads(random, 'sample_heads')
            seconds['improve'] += self._run('improve', done % 2 == 1)
            done += 1
        if not done:
            return 0
        seconds['select'] = self._run('select', done % 2 == 1)
        buffers = self._buffers
        np.copyto(buffers['memory_mean'], buffers['carried_mean'])
        if 'memory_elites' in buffers:
            carried = buffers['memory_elites'].shape[2]
            np.copyto(buffers['memory_elites'], buffers['elites'][:, :, :carried])
        buffers['warm'].fill(1.0)
        self._predicted['plan'] = buffers['planned_next'][0].copy()
        return done

    def _draw(self, random: np.random.Generator, *names: str) -> None:
        """Fill the named inputs, as far as the graphs have them, with standard normals."""
        for name in names:
            if name in self._buffers:
                random.standard_normal(out=self._buffers[name], dtype=np.float32)

    def _draw_heads(self, random: np.random.Generator, name: str) -> None:
        """Draw the value heads that judge each candidate, where each draws its own."""
        if name in self._buffers:
            ranks = random.random(self._buffers[name].shape).argsort(axis=-1)
            chosen = ranks < self.settings.heads
            np.divide(chosen, self.settings.heads, out=self._buffers[name])

    def _result(self, latent: Array, error: float, done: int, seconds: dict[str, float]) -> Plan:
        buffers = self._buffers

        def number(name: str) -> float:
            return float(buffers[name][0])

        policy_action = buffers['policy_action'][0].copy()
        planned = done > 0
        improved = planned and bool(buffers['improved'][0])
        source = 'plan' if improved else 'policy'
        self._expected = predicted = self._predicted[source]
        if planned:
            reason = 'improved' if improved else 'not better'
        else:
            reason = 'kind' if self.settings.kind == 'policy' else 'no time'
        return Plan(
            action=buffers['planned'][0].copy() if improved else policy_action, source=source,
            reason=reason, policy_action=policy_action,
            plan_action=buffers['planned'][0].copy() if planned else None,
            value=number('value'), value_low=number('value_low'), cost_value=number('cost'),
            cost_value_high=number('cost_high'),
            plan_value=number('planned_value') if planned else math.nan,
            plan_cost_value=number('planned_cost') if planned else math.nan,
            cost_limit=number('cost_limit') if planned else math.nan,
            value_floor=number('value_floor') if planned else math.nan,
            candidates_met=number('count') if planned else math.nan,
            iterations=done, latent=latent, predicted_next=predicted, model_error=error,
            seconds=seconds)

    def _in_time(self, deadline: float | None, *stages: str) -> bool:
        """Return whether the stages will be over by the deadline, judged by recent runs."""
        if deadline is None:
            return True
        needed = _MARGIN * sum(sorted(self._recent[stage])[-_SLOWEST:][0] for stage in stages)
        return time.perf_counter() + needed <= deadline

    def _is_out_of_patience(self) -> bool:
        """Count a decision without time to plan; return whether it is time to measure anew."""
        self._without_time += 1
        return self._without_time >= self._patience

    def _judge_anew(self, deadline: float) -> None:
        """
        Forget how long stages took before, if they were in time now.

        What was slow while another program ran would otherwise be believed for ever: a stage that
        is not run is not measured.
        """
        self._without_time = 0
        if time.perf_counter() <= deadline:
            self._patience = _PATIENCE
            self._forget_durations()
        else:
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE)

    def _forget_durations(self) -> None:
        """Expect of each stage what it took last."""
        for name, recent in self._recent.items():
            self._recent[name] = deque([recent[-1]], maxlen=_RECENT)

    def _run(self, stage: str, odd: bool = False) -> float:
        session, binding = self._calls[stage, odd]
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        duration = time.perf_counter() - start
        self._recent[stage].append(duration)
        return duration

    def _allocate(self, name: str, shape: list[int], dtype: Any) -> None:
        """Make a buffer that numpy and ONNX Runtime share."""
        self._buffers[name] = np.zeros(shape, dtype)
        self._values[name] = OrtValue.ortvalue_from_numpy(self._buffers[name])

    def _bind(self, session: InferenceSession,
              swap: dict[str, str]) -> tuple[InferenceSession, SessionIOBinding]:
        """Bind inputs and outputs of a stage to the buffers, some of them exchanged."""
        binding = session.io_binding()
        for value in session.get_inputs():
            binding.bind_ortvalue_input(value.name,
                                        self._values[swap.get(value.name, value.name)])
        for value in session.get_outputs():
            binding.bind_ortvalue_output(value.name,
                                         self._values[swap.get(value.name, value.name)])
        return session, binding

    def _warm_up(self) -> None:
        """Run everything a few times, so that the first decision is as fast as the rest."""
        observation = np.zeros(self.bundle.contract.size, np.float32)
        for _ in range(_WARM_UP):
            self.plan(observation, 0, iterations=max(self.settings.iterations, 1))
        self._forget_durations()
        self.reset()
