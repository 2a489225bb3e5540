# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The planner at run time: a bundle's graphs and the anytime loop around them.

The graphs hold the planning method; this module only runs them. Each stage reads and fills named
buffers; the loop improves until its iterations are done or the next would miss the deadline. It
works without ROS::

    from spowl_ros.control import bundle
    from spowl_ros.control.planner import Planner
    planner = Planner(bundle.load('models/SafetyPointGoal1-v0'))
    for step, observation in enumerate(observations):
        action = planner.plan(observation, step).action
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue, SessionIOBinding

from spowl_ros.control import graph_io as io
from spowl_ros.control.bundle import Bundle
from spowl_ros.control.plan import Array, Plan
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.control.window import Window

_WARM_UP = 3
_RECENT = 64
_SLOWEST = 3
"""The expected duration of a stage is the third slowest of its recent runs (95th percentile),"""
_MARGIN = 1.25
"""times this."""
_PATIENCE = 16
"""After this many decisions without time to plan, one plans anyway and measures the durations;"""
_LONGEST_PATIENCE = 4096
"""the number doubles after each late one, up to this."""
_DTYPES: dict[str, Any] = {'tensor(float)': np.float32, 'tensor(double)': np.float64,
                           'tensor(int64)': np.int64, 'tensor(bool)': np.bool_}


class Planner:
    """Plans one decision after another; the same step, seed and observations give the same."""

    def __init__(self, bundle: Bundle, settings: PlannerSettings | None = None, *,
                 threads: int = 1, seed: int = 0) -> None:
        """
        Open the bundle's graphs and warm them up.

        :param settings: the bundle's, some changed by `PlannerSettings.at_run_time`
        :raises SpowlError: the bundle's graphs were exported with other settings
        """
        self.bundle = bundle
        self._seed = seed
        sessions = bundle.sessions(threads)
        self._buffers: dict[str, NDArray[Any]] = {}
        self._values: dict[str, OrtValue] = {}
        for session in sessions.values():
            for value in (*session.get_inputs(), *session.get_outputs()):
                name = bundle.names.get(value.name, value.name)
                if name not in self._buffers:  # one for numpy and ONNX Runtime together
                    self._buffers[name] = np.zeros(value.shape, _DTYPES[value.type])
                    self._values[name] = OrtValue.ortvalue_from_numpy(self._buffers[name])
        rest = bundle.contract.action.rest.astype(np.float32)
        rows = np.zeros((1, 0, bundle.contract.size + len(rest)), np.float32)
        self._window = Window(self._buffers.get(io.WINDOW, rows)[0], rest)
        swap = {name: io.NEXT + name for name in self._buffers if io.NEXT + name in self._buffers}
        swap |= {after: before for before, after in swap.items()}
        # improvements alternate between two buffers: none is read and written at once
        self._calls = {(name, odd): self._bind(sessions[name], swap if odd else {})
                       for name in sessions for odd in (False, True)}
        self._recent = {name: deque([0.0], maxlen=_RECENT) for name in sessions}
        self._without_time, self._patience = 0, _PATIENCE
        self.change(settings or bundle.settings)
        self._predicted: dict[str, Array] = {}
        self._expected: Array | None = None
        self._warm_up()

    def change(self, settings: PlannerSettings) -> None:
        """
        Use other settings from now on.

        :raises SpowlError: a setting fixed in the bundle differs, or the graphs do not accept it
        """
        self.settings = self.bundle.accept(settings)
        packed = self._buffers.get(io.PACKED_KNOBS)
        for name, value in self.settings.knobs().items():
            if packed is not None and name in io.PACKED_ORDER:
                packed[io.PACKED_ORDER.index(name)] = value
            elif io.KNOB + name in self._buffers:
                self._buffers[io.KNOB + name][0] = value

    def reset(self) -> None:
        """Forget the last decision, as at the start of an episode."""
        for name in (io.MEMORY_MEAN, io.MEMORY_ELITES, io.WARM):
            if name in self._buffers:
                self._buffers[name].fill(0.0)
        self._expected = None
        self._window.begin()

    def executed(self, source: str, action: Sequence[float] | None = None) -> None:
        """
        Tell the planner which action was executed after the last plan.

        :param source: 'plan' or 'policy'; anything else means neither
        :param action: the action itself; None: that of the plan's source
        """
        self._expected = self._predicted.get(source)
        if action is not None:
            self.took(action)

    def took(self, action: Sequence[float] | None) -> None:
        """
        Remember the action that the robot took on the last observation, whoever chose it.

        :param action: None: observations were missed since, and the window begins anew
        """
        if action is None:
            self._window.begin()
        else:
            self._window.acted(np.asarray(action, np.float32))

    def plan(self, observation: Array, step: int, deadline: float | None = None,
             iterations: int | None = None) -> Plan:
        """
        Return a plan for an observation (O,).

        :param step: number of the decision; with the seed, it determines the randomness
        :param deadline: time.perf_counter() by which the plan must be made
        :param iterations: improvements to do regardless of the clock, as in a replay; zero takes
            the policy's action
        :raises SpowlError: the observation has another size
        """
        buffers = self._buffers
        # without time left, do not measure again how long planning takes
        hopeless = deadline is not None and time.perf_counter() >= deadline
        self.bundle.check_observation(observation)
        buffers[io.OBSERVATION][0] = observation
        self._window.see(buffers[io.OBSERVATION][0])
        seconds = {io.ENCODE: self._run(io.ENCODE)}
        latent = buffers[io.LATENT][0].copy()
        error = math.nan
        if self._expected is not None:
            error = float(np.linalg.norm(latent - self._expected))
        self._predicted = {'policy': buffers[io.POLICY_NEXT][0].copy()}

        wanted = self.settings.iterations if iterations is None else iterations
        if iterations is not None:
            deadline = None
        done = 0
        if self.settings.kind != 'policy' and wanted > 0:
            if self._in_time(deadline, io.PROPOSE, io.IMPROVE, io.SELECT):
                self._without_time = 0
                done = self._search(step, deadline, wanted, seconds)
            elif deadline is not None and not hopeless:
                self._without_time += 1
                if self._without_time >= self._patience:
                    done = self._search(step, deadline, wanted, seconds, least=1)
                    self._judge_anew(deadline)
        return self._result(latent, error, done, seconds)

    def _search(self, step: int, deadline: float | None, wanted: int,
                seconds: dict[str, float], least: int = 0) -> int:
        """
        Propose, improve while there is time, select; return the number of improvements.

        :param least: improvements to make even without time
        """
        random = np.random.Generator(np.random.Philox(key=(self._seed, step)))
        if io.UNIFORM in self._buffers:
            random.random(dtype=np.float32, out=self._buffers[io.UNIFORM])
        self._draw(random, io.POLICY_NOISE, io.PROPOSAL_TERMINAL)
        self._draw_heads(random, io.PROPOSAL_HEADS)
        if self.settings.terminal_noise == 'common':
            np.copyto(self._buffers[io.SAMPLE_TERMINAL], self._buffers[io.PROPOSAL_TERMINAL])
        seconds[io.PROPOSE] = self._run(io.PROPOSE)
        seconds[io.IMPROVE] = 0.0
        done = 0
        while done < wanted and (done < least or self._in_time(deadline, io.IMPROVE, io.SELECT)):
            self._draw(random, io.SAMPLE_NOISE)
            if self.settings.terminal_noise == 'own':
                self._draw(random, io.SAMPLE_TERMINAL)
            self._draw_heads(random, io.SAMPLE_HEADS)
            seconds[io.IMPROVE] += self._run(io.IMPROVE, done % 2 == 1)
            done += 1
        if not done:
            return 0
        seconds[io.SELECT] = self._run(io.SELECT, done % 2 == 1)
        buffers = self._buffers
        np.copyto(buffers[io.MEMORY_MEAN], buffers[io.CARRIED_MEAN])
        if io.MEMORY_ELITES in buffers:
            carried = buffers[io.MEMORY_ELITES].shape[2]
            np.copyto(buffers[io.MEMORY_ELITES], buffers[io.ELITES][:, :, :carried])
        buffers[io.WARM].fill(1.0)
        self._predicted['plan'] = buffers[io.PLAN_NEXT][0].copy()
        return done

    def _draw(self, random: np.random.Generator, *names: str) -> None:
        """Fill those named inputs that the graphs have with standard normals."""
        for name in names:
            if name in self._buffers:
                random.standard_normal(out=self._buffers[name], dtype=np.float32)

    def _draw_heads(self, random: np.random.Generator, name: str) -> None:
        """Draw the value heads of each candidate, if the graphs take them."""
        if name in self._buffers:
            ranks = random.random(self._buffers[name].shape).argsort(axis=-1)
            chosen = ranks < self.settings.heads
            np.divide(chosen, self.settings.heads, out=self._buffers[name])

    def _result(self, latent: Array, error: float, done: int, seconds: dict[str, float]) -> Plan:
        buffers = self._buffers
        source = 'plan' if done and bool(buffers[io.IMPROVED][0]) else 'policy'
        self._expected = predicted = self._predicted[source]
        known = io.POLICY_NUMBERS + (io.PLAN_NUMBERS if done else ())
        numbers: dict[str, Any] = {name: float(buffers[name][0]) for name in known}
        plan = Plan(
            source=source,
            plan_action=tuple(buffers[io.PLAN_ACTION][0].tolist()) if done else (),
            policy_action=tuple(buffers[io.POLICY_ACTION][0].tolist()),
            model_error=error, iterations=done, latent=latent, predicted_next=predicted,
            seconds=seconds, **numbers)
        self.took(plan.action)
        return plan

    def _in_time(self, deadline: float | None, *stages: str) -> bool:
        """Whether the stages will end by the deadline, judging by recent runs."""
        if deadline is None:
            return True
        needed = _MARGIN * sum(sorted(self._recent[stage])[-_SLOWEST:][0] for stage in stages)
        return time.perf_counter() + needed <= deadline

    def _judge_anew(self, deadline: float) -> None:
        """
        Forget earlier durations of the stages if they were in time now.

        A stage that is not run is not measured. Without this, durations measured while another
        program ran would stop planning for good.
        """
        self._without_time = 0
        if time.perf_counter() <= deadline:
            self._patience = _PATIENCE
            self._forget_durations()
        else:
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE)

    def _forget_durations(self) -> None:
        """Keep only the last duration of each stage."""
        for name, recent in self._recent.items():
            self._recent[name] = deque([recent[-1]], maxlen=_RECENT)

    def _run(self, stage: str, odd: bool = False) -> float:
        session, binding = self._calls[stage, odd]
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        duration = time.perf_counter() - start
        self._recent[stage].append(duration)
        return duration

    def _bind(self, session: InferenceSession,
              swap: dict[str, str]) -> tuple[InferenceSession, SessionIOBinding]:
        """Bind a stage's inputs and outputs to the buffers, with some of them swapped."""
        binding = session.io_binding()
        for bind, values in ((binding.bind_ortvalue_input, session.get_inputs()),
                             (binding.bind_ortvalue_output, session.get_outputs())):
            for value in values:
                name = self.bundle.names.get(value.name, value.name)
                bind(value.name, self._values[swap.get(name, name)])
        return session, binding

    def _warm_up(self) -> None:
        """Run all stages a few times, so that the first decision is as fast as the rest."""
        observation = np.zeros(self.bundle.contract.size, np.float32)
        for _ in range(_WARM_UP):
            self.plan(observation, 0, iterations=max(self.settings.iterations, 1))
        self._forget_durations()
        self.reset()
