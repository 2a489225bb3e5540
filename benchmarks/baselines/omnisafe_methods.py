# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
OmniSafe's own methods, unchanged, one epoch at a time so that a run can be resumed.

OmniSafe saves a policy and its normaliser only. Here the epochs of its `learn` are taken one by
one, and everything but its environment and its log is kept between them. An off-policy or
model-based run whose last episode had ended early at a checkpoint begins that episode anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import copy
import io
from pathlib import Path
import pickle
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from benchmarks.baselines.coordinates import HazardCost
from benchmarks.baselines.omnisafe_tasks import MODEL_BASED, episodes_of, register
from benchmarks.baselines.runs import COORDINATES, SCANS, Run
from spowl_ros.evaluation.episodes import Agent

OFF_POLICY_EPOCH, MODEL_BASED_EPOCH = 2_000, 1_000
"""Raw steps between two looks at the log; an on-policy epoch is OmniSafe's 20,000."""
ON_POLICY_EPOCH = 20_000
_OUTSIDE = ('_env', '_eval_env', '_logger', '_cfgs')
_PLACES = ('_last_dynamics_update', '_last_policy_update', '_last_eval', '_first_log')


class OmniSafeTraining:
    """
    A method of OmniSafe in training.

    :param settings: overrides of OmniSafe's settings, for tests
    """

    def __init__(self, run: Run, folder: Path, settings: dict[str, Any] | None = None) -> None:
        omnisafe = register()
        kind = omnisafe.algorithms.ALGORITHM2TYPE[run.method]
        model_based = kind == 'model-based'
        self.observation = COORDINATES if model_based else SCANS
        epoch = {'on-policy': ON_POLICY_EPOCH, 'off-policy': OFF_POLICY_EPOCH}.get(
            kind, MODEL_BASED_EPOCH)
        changed = _settings(run, kind, epoch, folder)
        for section, values in (settings or {}).items():
            changed.setdefault(section, {}).update(values)
        epoch = changed['algo_cfgs']['steps_per_epoch']
        self.total_steps = -(-run.raw_steps // epoch) * epoch
        changed['train_cfgs']['total_steps'] = self.total_steps
        self._task, self._quiet = run.task, io.StringIO()
        with contextlib.redirect_stdout(self._quiet):
            self._agent = omnisafe.Agent(run.method, run.task + (MODEL_BASED if model_based else
                                                                 ''), custom_cfgs=changed).agent
        self.action_repeat = int(self._agent._cfgs.algo_cfgs.todict().get('action_repeat', 1))
        self._epoch_steps, self._epoch, self._steps = epoch, 0, 0
        self._advance: Callable[[], None] = {
            'on-policy': self._on_policy, 'off-policy': self._off_policy}.get(
                kind, self._model_based)
        self._resets = kind != 'on-policy'

    @property
    def raw_steps(self) -> int:
        """Return the raw steps so far."""
        return self._steps

    def advance(self) -> tuple[float, float]:
        """Train one epoch; return the means of return and cost of recent training episodes."""
        log = self._agent._logger
        with contextlib.redirect_stdout(self._quiet):
            self._advance()
        self._quiet.seek(0)
        self._quiet.truncate()
        self._epoch += 1
        for name, window in log._headers_windows.items():
            if window is None:  # what its log would print now and forget
                log._data[name] = []
        means = [float(np.mean(log._data[f'Metrics/{name}'] or [np.nan]))
                 for name in ('EpRet', 'EpCost')]
        return means[0], means[1]

    def _on_policy(self) -> None:
        agent = self._agent
        agent._env.rollout(steps_per_epoch=agent._steps_per_epoch, agent=agent._actor_critic,
                           buffer=agent._buf, logger=agent._logger)
        agent._update()
        model = agent._cfgs.model_cfgs
        if model.exploration_noise_anneal:
            agent._actor_critic.annealing(self._epoch)
        if model.actor.lr is not None:
            agent._actor_critic.actor_scheduler.step()
        self._steps += self._epoch_steps

    def _off_policy(self) -> None:
        agent = self._agent
        algorithm = agent._cfgs.algo_cfgs
        agent._epoch = self._epoch
        for _ in range(agent._samples_per_epoch):
            step = self._steps
            if algorithm.use_exploration_noise:
                agent._actor_critic.actor.noise = algorithm.exploration_noise
            agent._env.rollout(
                rollout_step=agent._update_cycle, agent=agent._actor_critic, buffer=agent._buf,
                logger=agent._logger, use_rand_action=step <= algorithm.start_learning_steps)
            if step > algorithm.start_learning_steps:
                agent._update()
            else:
                agent._log_when_not_update()
            self._steps += agent._update_cycle
        if (self._steps > algorithm.start_learning_steps
                and agent._cfgs.model_cfgs.linear_lr_decay):
            agent._actor_critic.actor_scheduler.step()

    def _model_based(self) -> None:
        agent = self._agent
        self._steps = agent._env.rollout(
            current_step=self._steps, rollout_step=agent._steps_per_epoch,
            use_actor_critic=agent._use_actor_critic, act_func=agent._select_action,
            store_data_func=agent._store_real_data,
            update_dynamics_func=agent._update_dynamics_model, use_eval=False,
            eval_func=agent._eval_fn, logger=agent._logger, algo_reset_func=agent._algo_reset,
            update_actor_func=agent._update_policy)
        if self._steps > agent._cfgs.algo_cfgs.start_learning_steps:
            agent._update_epoch()

    # -- what is kept -------------------------------------------------------------------------

    def _outside(self) -> dict[str, Any]:
        """Return what belongs to this process and is not kept."""
        agent = self._agent
        return {'agent': agent, **{name: getattr(agent, name) for name in _OUTSIDE
                                   if hasattr(agent, name)}}

    def state(self) -> bytes:
        """Return all that `restore` needs."""
        agent, env = self._agent, self._agent._env
        kept = {
            'agent': {name: value for name, value in vars(agent).items() if name not in _OUTSIDE},
            'log': dict(agent._logger._data), 'normaliser': _normaliser(agent),
            'places': {name: getattr(env, name) for name in _PLACES if hasattr(env, name)},
            'episodes': episodes_of(env).begun, 'steps': self._steps, 'epoch': self._epoch,
            'random': (torch.get_rng_state(), np.random.get_state(), random.getstate(),
                       env.action_space.np_random.bit_generator.state)}
        stream = io.BytesIO()
        _Pickler(stream, self._outside()).dump(kept)
        return stream.getvalue()

    def restore(self, state: bytes) -> None:
        """Go back to a state."""
        kept = _Unpickler(io.BytesIO(state), self._outside()).load()
        agent, env = self._agent, self._agent._env
        vars(agent).update(kept['agent'])
        agent._logger._data.update(kept['log'])
        if kept['normaliser'] is not None:
            env.save()['obs_normalizer'].load_state_dict(kept['normaliser'])
        self._steps, self._epoch = kept['steps'], kept['epoch']
        episodes_of(env).begun = kept['episodes'] - self._resets
        if self._resets:
            env._current_obs, _ = env.reset()
        vars(env).update(kept['places'])
        torch.set_rng_state(kept['random'][0])
        np.random.set_state(kept['random'][1])
        random.setstate(kept['random'][2])
        env.action_space.np_random.bit_generator.state = kept['random'][3]

    def policy(self) -> Agent:
        """Return what acts in an evaluation."""
        agent = self._agent
        if self.observation == COORDINATES:
            agent._dynamics._cost_func = HazardCost(self._task)
            return Planning(agent._planner)
        return Mean(agent._actor_critic.actor, _normaliser(agent))


def _settings(run: Run, kind: str, epoch: int, folder: Path) -> dict[str, Any]:
    """Return what differs from OmniSafe's settings of a method for a task."""
    limits = 'lagrange_cfgs' if run.method.endswith('Lag') else 'algo_cfgs'
    changed: dict[str, Any] = {
        'seed': run.seed,
        'train_cfgs': {'vector_env_nums': 1, 'torch_threads': 1, 'device': 'cpu'},
        'algo_cfgs': {'steps_per_epoch': epoch},
        'logger_cfgs': {'use_wandb': False, 'use_tensorboard': False, 'log_dir': str(folder)}}
    changed.setdefault(limits, {})['cost_limit'] = run.cost_limit
    if kind == 'off-policy':
        changed['train_cfgs']['eval_episodes'] = 0  # else one each 2,000 raw steps
        changed['algo_cfgs']['size'] = min(run.raw_steps + epoch, 1_000_000)
    if kind == 'model-based':
        changed['evaluation_cfgs'] = {'use_eval': False}
    return changed


def _normaliser(agent: Any) -> dict[str, Tensor] | None:
    """Return the state of the normaliser of observations, if the method has one."""
    if not agent._cfgs.algo_cfgs.obs_normalize:
        return None
    return copy.deepcopy(agent._env.save()['obs_normalizer'].state_dict())


class _Pickler(pickle.Pickler):
    """Leaves out what belongs to the process, and names it instead."""

    def __init__(self, stream: io.BytesIO, outside: dict[str, Any]) -> None:
        super().__init__(stream)
        self._names = {id(thing): name for name, thing in outside.items()}

    def persistent_id(self, thing: Any) -> str | None:
        return self._names.get(id(thing))


class _Unpickler(pickle.Unpickler):
    """Puts in what `_Pickler` left out."""

    def __init__(self, stream: io.BytesIO, outside: dict[str, Any]) -> None:
        super().__init__(stream)
        self._outside = outside

    def persistent_load(self, name: str) -> Any:
        return self._outside[name]


class Mean:
    """
    The mean action of an actor, for many episodes at once.

    :param normaliser: of observations, as it was at the end: it no longer learns
    """

    window = 0

    def __init__(self, actor: Any, normaliser: dict[str, Tensor] | None) -> None:
        self._actor, self._normaliser = actor, normaliser

    def begin(self, seeds: Sequence[int]) -> None:
        """Do nothing: the policy keeps nothing between decisions."""

    def paid(self, lane: int, cost: float) -> None:
        """Do nothing."""

    @torch.no_grad()
    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return actions (n, A) for observations (n, O)."""
        seen = torch.as_tensor(observations)
        if self._normaliser is not None:
            clip = self._normaliser['_clip']
            seen = ((seen - self._normaliser['_mean']) / self._normaliser['_std']).clamp(
                -clip, clip)
        actions = self._actor.predict(seen, deterministic=True).clamp(-1.0, 1.0)
        return actions.numpy(), ['policy'] * len(lanes)


class Planning:
    """OmniSafe's planner: a plan from scratch for each decision."""

    window = 0

    def __init__(self, planner: Any) -> None:
        self._planner = planner

    def begin(self, seeds: Sequence[int]) -> None:
        """Forget the last plan, and draw from the seeds."""
        torch.manual_seed(seeds[0])

    def paid(self, lane: int, cost: float) -> None:
        """Do nothing."""

    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return actions (n, A) for coordinates (n, C)."""
        actions = [self._planner.output_action(torch.as_tensor(seen).unsqueeze(0))[0][0]
                   for seen in observations]
        return torch.stack(actions).clamp(-1.0, 1.0).numpy(), ['plan'] * len(lanes)
