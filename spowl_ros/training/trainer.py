# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: collect, update, measure, write."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spowl_ros.base.errors import SpowlError
from spowl_ros.training import checkpoint, gait, initial
from spowl_ros.training import collect as collector
from spowl_ros.training import config as configuration
from spowl_ros.training.agent import PlannerLanes, usable
from spowl_ros.training.buffer import ReplayBuffer
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.constraint import BudgetController
from spowl_ros.training.gait import Gait
from spowl_ros.training.learner import Guide, Learner
from spowl_ros.training.networks import Networks
from spowl_ros.training.progress import Progress
from spowl_ros.training.stream import EpisodeSummary
from spowl_ros.training.validation import validate

CHECKPOINT = 'checkpoint.pt'
BEST = 'best.pt'


class Stopwatch:
    """Seconds spent by named phase since the last reading."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Charge the time since the last lap to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._mark
        self._mark = now

    def read(self) -> dict[str, float]:
        """Return the seconds so far and start anew."""
        seconds, self.seconds = self.seconds, {}
        return seconds


class Trainer:
    """
    One run in one directory: progress.csv, TensorBoard events, checkpoint.pt, best.pt.

    :raises SpowlError: a directory that holds a run or cannot be written to
    """

    def __init__(self, config: TrainConfig, directory: Path) -> None:
        if (directory / CHECKPOINT).exists():
            raise SpowlError(f'{directory} already holds a run; continue it with --resume or '
                             'choose another directory')
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / 'progress.csv').unlink(missing_ok=True)  # of a run without a checkpoint
        except OSError as error:
            raise SpowlError(f'cannot write to {directory}: {error.strerror}; choose another '
                             'directory with --output') from error
        self._build(config, directory)
        if config.initial:
            initial.start_from(Path(config.initial), self.learner.networks,
                               self.collector.contract)
            self.learner.average.load_state_dict(self.learner.networks.state_dict())

    @classmethod
    def resume(cls, directory: Path, overrides: list[str]) -> Trainer:
        """
        Return the trainer of a run as it was at its last checkpoint.

        :param overrides: `section.key=value`, of keys that leave the learning as it was
        :raises SpowlError: no checkpoint, or an override of another key
        """
        content = checkpoint.load(directory / CHECKPOINT)
        if 'learner' not in content:
            raise SpowlError(f'{directory / CHECKPOINT} holds networks only; a run cannot go on '
                             'from it')
        trainer = cls.__new__(cls)
        trainer._build(configuration.resumed(configuration.from_dict(content['config']),
                                             overrides), directory)
        trainer._load_state(content)
        if overrides:
            trainer.origin['command'] += '; ' + checkpoint.command()
        return trainer

    def _build(self, config: TrainConfig, directory: Path) -> None:
        self.directory = directory
        torch.set_num_threads(config.threads)
        device = usable(config.device)
        collect = config.collect
        self.collector = collector.make(config)
        contract = self.collector.contract
        self.config = config = replace(config, networks=config.networks.fitted(contract))
        torch.manual_seed(config.seed)
        networks = Networks(config.networks).to(device)
        self.learner = Learner(networks, config.loss, config.optimiser, config.constraint,
                               config.seed)
        # the first environments plan, the others take the policy's action
        self.lanes = PlannerLanes(networks, config.planner,
                                  round(collect.planning_share * collect.environments),
                                  explore=True)
        self.plan_noise = torch.Generator(self.learner.device).manual_seed(config.seed)
        self.buffer = ReplayBuffer(collect.replay_capacity, collect.environments,
                                   contract.size, contract.action.size)
        self.rng = np.random.default_rng(config.seed)
        self.gait = Gait(gait.load(configuration.beside(config.guide.gait)), contract,
                         device) if config.guide.gait else None
        self.decisions = self.raw_steps = self.updates = 0
        self.seconds = 0.0
        self.update_debt = 0.0
        self.best_score = -np.inf
        self.episodes: deque[EpisodeSummary] = deque(maxlen=20)
        self.evaluation: dict[str, float] = {}
        self.evaluation_due = False
        self.resumed_at: int | None = None
        self.stop_requested = False
        self.origin = checkpoint.origin()

    # -- the loop ---------------------------------------------------------------------------

    def run(self, on_row: Callable[[dict[str, Any]], None] | None = None) -> None:
        """
        Train until the configured number of decisions or until `stop_requested`.

        A checkpoint is written at the end of both. After an error there is none: the last one
        is good, what is in memory may not be.

        :raises SpowlError: numbers that are not finite, a disk that is full, environments that
            fail at every start
        """
        progress = Progress(self.directory, self.resumed_at)
        try:
            with logging_redirect_tqdm(), tqdm(
                    total=self.config.collect.decisions, initial=self.decisions,
                    unit='decision', desc=self.config.task, dynamic_ncols=True,
                    mininterval=1.0) as bar:
                self._loop(progress, bar, on_row)
            self.save()
            progress.close()
        finally:
            self.collector.close()

    def _loop(self, progress: Progress, bar: tqdm[Any],
              on_row: Callable[[dict[str, Any]], None] | None) -> None:
        schedule = self.config.schedule
        metrics: dict[str, Any] = {}
        watch = Stopwatch()
        began, before = time.perf_counter(), self.seconds
        marked = self.decisions, self.raw_steps, self.updates, time.perf_counter()
        while True:
            if self.evaluation_due and not self.stop_requested:
                self._evaluate()
                watch.lap('evaluation')
            if self.stop_requested or self.decisions >= self.config.collect.decisions:
                return
            previous = self.decisions
            self.collector.start(self._act(self.collector.observations))
            watch.lap('acting')
            metrics = self._update() or metrics  # while worker processes step
            watch.lap('update')
            self._take(self.collector.finish())
            watch.lap('environment')
            bar.update(self.decisions - previous)
            self.seconds = before + time.perf_counter() - began
            self.evaluation_due = bool(self.updates) and self._passed(previous, schedule.evaluate)
            if self._passed(previous, schedule.log):
                row = self._row(metrics, watch.read(), marked)
                marked = self.decisions, self.raw_steps, self.updates, time.perf_counter()
                progress.write(row)
                bar.set_postfix_str(_postfix(row))
                if on_row:
                    on_row(row)
            if self._passed(previous, schedule.checkpoint):
                self.save()
                watch.lap('checkpoint')

    def _passed(self, previous: int, every: int) -> bool:
        """Return whether a multiple of `every` decisions was reached since `previous`."""
        return previous // every != self.decisions // every

    def _act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.decisions < self.config.collect.random_decisions:
            return self._first_actions(observations)
        actions = self._explore(observations)
        planning = len(self.lanes.memory.warm)
        if planning:
            noise = self.lanes.planner.draw(planning, self.plan_noise)
            actions[:planning], _ = self.lanes.act(range(planning), observations[:planning],
                                                   noise)
        return actions

    def _first_actions(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return actions that ask no network."""
        if self.gait is None:
            shape = len(observations), self.config.networks.action_dim
            return self.rng.uniform(-1, 1, shape).astype(np.float32)
        guided = self.gait(torch.from_numpy(observations).to(self.learner.device)).cpu().numpy()
        noise = self.rng.standard_normal(guided.shape, np.float32)
        return np.clip(guided + self.config.guide.noise * noise, -1.0, 1.0)

    @torch.no_grad()
    def _explore(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        n = self.learner.networks.eval()
        z = n.encode(torch.from_numpy(observations).to(self.learner.device))
        shape = len(z), self.config.networks.action_dim
        eps = torch.from_numpy(self.rng.standard_normal(shape, np.float32)).to(z.device)
        # the last environments; the first are those that plan
        eps[len(z) - round(self.config.collect.quiet_share * len(z)):] = 0.0
        return n.act(z, eps).action.cpu().numpy()

    def _take(self, collected: collector.Collected) -> None:
        """Store what was collected; count what it is worth in updates."""
        collect = self.config.collect
        if collected.cut:
            self.buffer.cut(collected.cut)
        self.buffer.add(**collected.decisions)
        for stream in (*collected.fresh, *collected.cut):
            if stream < len(self.lanes.memory.warm):
                self.lanes.reset(stream)
        self.decisions += collect.environments
        self.raw_steps += collect.environments * collect.action_repeat
        for episode in collected.ended:
            self.episodes.append(episode)
            if isinstance(self.learner.multiplier, BudgetController) and self.updates:
                self.learner.multiplier.update(episode.cost)
        if self.decisions >= collect.random_decisions:
            self.update_debt += collect.environments * collect.updates_per_decision

    def _update(self) -> dict[str, Any]:
        """Make the updates that are due; returns the last one's metrics."""
        if self.update_debt < 1.0:
            return {}
        if not self.updates:
            self._fit_features()
        metrics: dict[str, Any] = {}
        while self.update_debt >= 1.0:
            self.update_debt -= 1.0
            batch = self.buffer.sample(self.config.batch_size, self.config.horizon, self.rng,
                                       self.learner.device, self.config.collect.costly_share)
            metrics = self.learner.update(batch, self._guide())
            self.updates += 1
        for name in ('loss', 'policy_loss', 'gradient_norm', 'policy_gradient_norm'):
            if not np.isfinite(value := float(metrics[name])):
                raise SpowlError(
                    f'the {name.replace("_", " ")} became {value} after {self.updates} updates; '
                    f'{self.directory / CHECKPOINT} is from before: look at progress.csv, and '
                    'train with a smaller optimiser.learning_rate')
        return metrics

    def _guide(self) -> Guide | None:
        if self.gait is None:
            return None
        return Guide(self.gait, self.config.guide.weight_after(self.updates))

    def _fit_features(self) -> None:
        """Standardise observations by what the first episodes showed, unless initially known."""
        if not self.config.networks.proximity_scale:
            return
        seen = self.buffer.arrays['obs'][:self.buffer.filled].reshape(
            -1, self.config.networks.obs_dim)
        features = self.learner.networks.features
        fresh = (features.mean == 0.0) & (features.scale == 1.0)
        mean = torch.from_numpy(seen.mean(axis=0)).to(fresh.device)
        scale = torch.from_numpy(1 / np.maximum(seen.std(axis=0), 0.05)).to(fresh.device)
        features.mean.copy_(torch.where(fresh, mean, features.mean))
        features.scale.copy_(torch.where(fresh, scale, features.scale))

    def _evaluate(self) -> None:
        """Validate the policy; stays due where it is interrupted."""
        evaluation = validate(self.learner.average, self.config,
                              self.config.schedule.evaluation_episodes,
                              lambda: not self.stop_requested)
        if evaluation is None:
            return
        self.evaluation, self.evaluation_due = evaluation, False
        # what ships must be safe first: one unit of cost over the budget outweighs its return
        over = max(0.0, evaluation['evaluation_cost'] - self.config.constraint.budget)
        score = evaluation['evaluation_return'] - 2.0 * over
        if score > self.best_score:
            self.best_score = score
            self._save_networks(self.directory / BEST)

    # -- what is written --------------------------------------------------------------------

    def _row(self, metrics: dict[str, Any], phases: dict[str, float],
             marked: tuple[int, int, int, float]) -> dict[str, Any]:
        decisions, raw_steps, updates, then = marked
        span = time.perf_counter() - then
        total = sum(phases.values())
        mean = {name: float(np.mean([getattr(e, name) for e in self.episodes]))
                if self.episodes else float('nan') for name in ('reward', 'cost')}
        return {
            'decisions': self.decisions, 'raw_steps': self.raw_steps, 'updates': self.updates,
            'seconds': round(self.seconds, 1), 'return': mean['reward'], 'cost': mean['cost'],
            **{name: self.evaluation.get(name, float('nan'))
               for name in ('evaluation_return', 'evaluation_cost', 'evaluation_cost_free')},
            'raw_steps_per_second': (self.raw_steps - raw_steps) / span,
            'updates_per_second': (self.updates - updates) / span,
            **{f'{phase}_share': phases.get(phase, 0.0) / total
               for phase in ('environment', 'acting', 'update', 'evaluation')},
            **{name: float(metrics.get(name, float('nan'))) for name in (
                'loss', 'consistency_loss', 'reward_loss', 'cost_loss', 'reward_value_loss',
                'cost_value_loss', 'policy_loss', 'gradient_norm', 'value', 'cost_value',
                'entropy', 'entropy_weight', 'value_scale', 'multiplier')}}

    def _counters(self) -> dict[str, Any]:
        return {'decisions': self.decisions, 'raw_steps': self.raw_steps,
                'updates': self.updates, 'seconds': self.seconds}

    def _save_networks(self, path: Path) -> None:
        checkpoint.save(path, {
            'config': self.config.to_dict(), 'networks': self.learner.average.state_dict(),
            'counters': self._counters(), 'evaluation': dict(self.evaluation),
            'origin': self.origin})

    def save(self) -> None:
        """
        Write everything a bit-exact continuation needs.

        :raises SpowlError: the disk does not take it
        """
        checkpoint.save(self.directory / CHECKPOINT, {
            'config': self.config.to_dict(), 'counters': self._counters(), 'origin': self.origin,
            'evaluation': dict(self.evaluation), 'evaluation_due': self.evaluation_due,
            'best_score': float(self.best_score), 'update_debt': self.update_debt,
            'episodes': [vars(e) for e in self.episodes],
            'networks': self.learner.average.state_dict(), 'learner': self.learner.state(),
            'planner': {'noise': self.plan_noise.get_state(),
                        'memory': self.lanes.memory._asdict()},
            'buffer': self.buffer.state(), 'collector': self.collector.state(),
            'rng': self.rng.bit_generator.state, 'torch_rng': torch.get_rng_state(),
            'cuda_rng': torch.cuda.get_rng_state_all()})

    def _load_state(self, content: dict[str, Any]) -> None:
        counters = content['counters']
        self.decisions, self.raw_steps = counters['decisions'], counters['raw_steps']
        self.updates, self.seconds = counters['updates'], counters['seconds']
        self.resumed_at = self.decisions
        self.origin = content['origin']
        self.evaluation = content['evaluation']
        self.evaluation_due = content['evaluation_due']
        self.best_score = content['best_score']
        self.update_debt = content['update_debt']
        self.episodes.extend(EpisodeSummary(**e) for e in content['episodes'])
        self.learner.load_state(content['learner'])
        self.learner.average.load_state_dict(content['networks'])
        self.plan_noise.set_state(content['planner']['noise'])
        for name, value in content['planner']['memory'].items():
            getattr(self.lanes.memory, name).copy_(value)
        self.buffer.load_state(content['buffer'])
        self.collector.load_state(content['collector'])
        self.rng.bit_generator.state = content['rng']
        torch.set_rng_state(content['torch_rng'])
        torch.cuda.set_rng_state_all(content['cuda_rng'])


def _postfix(row: dict[str, Any]) -> str:
    """Return what the progress bar says beside rate and time left."""
    return (f"return {row['return']:.1f} cost {row['cost']:.1f} λ {row['multiplier']:.2g} "
            f"loss {row['loss']:.3g} policy {row['policy_loss']:.3g} "
            f"{row['updates_per_second']:.0f} updates/s")
