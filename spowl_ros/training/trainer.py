# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: collect, update, measure, write; for one learner or for many at once."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import replace
import logging
from pathlib import Path
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import BEST
from spowl_ros.training import checkpoint, gait, initial
from spowl_ros.training import config as configuration
from spowl_ros.training.acceleration import Captured
from spowl_ros.training.agent import usable
from spowl_ros.training.buffer import ReplayBuffer
from spowl_ros.training.collect import CHARGES, Collected, Collector
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.explore import Explorer
from spowl_ros.training.gait import Gait
from spowl_ros.training.learner import Guidance, Learners
from spowl_ros.training.member import Member
from spowl_ros.training.networks import Networks
from spowl_ros.training.progress import FILE, Progress, Stopwatch
from spowl_ros.training.validation import Validation

CHECKPOINT = 'checkpoint.pt'
LEARNERS = 'learners.json'
"""File in the directory of a population in processes, with the configurations of all learners."""
FINITE = ('loss', 'policy_loss', 'gradient_norm', 'policy_gradient_norm')
REPORTED = ('loss', 'consistency_loss', 'reward_loss', 'cost_loss', 'reward_value_loss',
            'cost_value_loss', 'policy_loss', 'gradient_norm', 'value', 'cost_value', 'entropy',
            'entropy_weight', 'value_scale', 'multiplier')

log = logging.getLogger(__name__)


def refuse_a_run(directory: Path) -> None:
    """Raise SpowlError if a directory, in which a new run is to begin, holds a run."""
    if (directory / LEARNERS).exists() or (directory / CHECKPOINT).exists():
        raise SpowlError(f'{directory} already holds a run; continue it with --resume or '
                         'choose another directory')


@contextlib.contextmanager
def written_to(directory: Path) -> Iterator[None]:
    """Say of an error in the block, which writes to a directory, that it cannot be written to."""
    try:
        yield
    except OSError as error:
        raise SpowlError(f'cannot write to {directory}: {error.strerror}; choose another '
                         'directory with --output') from error


class Trainer:
    """
    One run in one directory: progress.csv, TensorBoard events, checkpoint.pt, best.pt.

    With several learners, one checkpoint.pt holds all; each learner's other files are in a
    subdirectory with its name. Collection and update schedules are the same for all.

    :param config: of the learner, or of several by name
    :raises SpowlError: the directory holds a run or cannot be written to; or learners differ in a
        setting that holds for all
    """

    def __init__(self, config: TrainConfig | dict[str, TrainConfig], directory: Path) -> None:
        configs = {'': config} if isinstance(config, TrainConfig) else config
        refuse_a_run(directory)
        with self._building(configs, directory):
            for member, networks in zip(self.members, self.learners.weights.members, strict=True):
                if member.config.initial:
                    initial.start_from(Path(member.config.initial), networks,
                                       self.collector.contract)
            self.learners.averages.follow(self.learners.weights, 1.0)
            with written_to(directory):
                for member in self.members:
                    member.directory.mkdir(parents=True, exist_ok=True)
                    for name in (FILE, BEST):  # of a run without a checkpoint
                        (member.directory / name).unlink(missing_ok=True)

    @classmethod
    def resume(cls, directory: Path, overrides: list[str]) -> Trainer:
        """
        Return a run's trainer in the state of its last checkpoint.

        :param overrides: `section.key=value`, of keys that may change on a resume
        :raises SpowlError: no checkpoint, or an override of another key
        """
        content = checkpoint.load(directory / CHECKPOINT)
        if 'members' not in content:
            raise SpowlError(f'{directory / CHECKPOINT} holds networks only, or is of an older '
                             'version; a run cannot go on from it')
        trainer = cls.__new__(cls)
        with trainer._building({
                state['name']: configuration.resumed(
                    configuration.from_dict(state['config']), overrides)
                for state in content['members']}, directory):
            trainer._load_state(content)
            for member in trainer.members:
                member.rescore()
        if overrides:
            trainer.origin['command'] += '; ' + checkpoint.command()
        return trainer

    @contextlib.contextmanager
    def _building(self, configs: dict[str, TrainConfig], directory: Path) -> Iterator[None]:
        """Make the parts; if this or what follows in the block fails, end the workers."""
        with contextlib.ExitStack() as ended:
            self._build(configs, directory, ended)
            yield
            ended.pop_all()

    def _build(self, configs: dict[str, TrainConfig], directory: Path,
               ended: contextlib.ExitStack) -> None:
        self.directory = directory
        first = next(iter(configs.values()))
        configuration.check_stack(list(configs.values()))
        torch.set_num_threads(first.threads)
        device = usable(first.device)
        if device.type == 'cuda':
            torch.set_float32_matmul_precision('high')  # TF32: four times as fast
        self.collector = Collector(list(configs.values()))
        ended.callback(self.collector.close)
        self._validation = Validation(first.collect.workers)
        ended.callback(self._validation.close)
        contract = self.collector.contract
        fitted = [replace(config, networks=config.networks.fitted(contract))
                  for config in configs.values()]
        networks = []
        for config in fitted:
            torch.manual_seed(config.seed)
            networks.append(Networks(config.networks).to(device))
        self.learners = Learners(networks, fitted)
        guide = Gait(gait.load(configuration.beside(first.guide.gait)), contract, device
                     ) if first.guide.gait else None
        self.members = [
            Member(index, name, config, directory / name, guide, device)
            for index, (name, config) in enumerate(zip(configs, fitted, strict=True))]
        self._guide_weight = torch.zeros(len(fitted), device=device)
        self._take_settings()
        self.explorer = self._explorer()
        collect = self.config.collect
        self.buffer = ReplayBuffer(collect.replay_capacity, collect.environments, contract.size,
                                   contract.action.size, len(fitted), device,
                                   self.config.networks.window, contract.action.rest.tolist(),
                                   self.config.optimiser.fuses(device))
        self.phases_begun = 0
        self.decisions = self.raw_steps = self.updates = 0
        self.seconds = 0.0
        self.update_debt = 0.0
        self.stop_requested = False
        self.until = collect.decisions
        """Decisions at which `run` returns."""
        self.origin = checkpoint.origin()

    def _explorer(self) -> Explorer:
        return Explorer(self.learners, [member.config for member in self.members],
                        [member.plan_noise for member in self.members])

    def _take_settings(self) -> None:
        """Take the settings into the update; a captured graph holds them."""
        self.config = self.members[0].config
        shares = torch.tensor([[m.config.collect.costly_share] for m in self.members],
                              dtype=torch.float64, device=self.learners.device)
        self._costly_share = shares if shares.any() else None
        self._step = Captured(self._learn, self.learners.device, self.learners.generators)

    @property
    def alive(self) -> list[Member]:
        """Return the learners that have not failed."""
        return [member for member in self.members if not member.failed]

    def summary(self) -> list[str]:
        """Return the progress of the run, and which learners failed."""
        return [f'{self.decisions} decisions, {self.updates} updates',
                *(f'{member.name}: {member.failed}' for member in self.members
                  if member.failed)]

    # -- the loop ---------------------------------------------------------------------------

    def run(self, on_row: Callable[[dict[str, Any]], None] | None = None,
            quiet: bool = False) -> None:
        """
        Train for `until` decisions or until `stop_requested`.

        Both ends write a checkpoint. An error writes none: the last checkpoint is good, and the
        state in memory may not be.

        :param quiet: show no progress bar
        :raises SpowlError: numbers that are not finite, a full disk, or environments that fail at
            every start
        """
        decisions = self.config.collect.decisions
        for phase in self.config.phases:
            if phase.decisions >= decisions:
                log.warning('the phase after %d decisions does not begin: the run ends after %d '
                            '(collect.decisions)', phase.decisions, decisions)
        try:
            for member in self.members:
                member.progress = Progress(member.directory, self.decisions)
            with logging_redirect_tqdm(), tqdm(
                    total=self.config.collect.decisions, initial=self.decisions,
                    unit='decision', desc=self.config.task, dynamic_ncols=True,
                    mininterval=1.0, disable=quiet) as bar:
                self._loop(bar, on_row)
            self.save()
            for member in self.members:
                member.progress.close()
        finally:
            self.collector.close()
            self._validation.close()

    def _loop(self, bar: tqdm[Any], on_row: Callable[[dict[str, Any]], None] | None) -> None:
        metrics: dict[str, NDArray[np.float64]] = {}
        watch = Stopwatch()
        began, before = time.perf_counter(), self.seconds
        marked = self.raw_steps, self.updates
        while True:
            if not self.stop_requested and any(m.evaluation_due for m in self.members):
                self._evaluate()
                watch.lap('evaluation')
            if self.stop_requested or self.decisions >= self.until:
                return
            if self._phase_due():
                continue
            schedule = self.config.schedule
            previous = self.decisions
            self.collector.start(self._act(self.collector.observations))
            watch.lap('acting')
            metrics = self._update() or metrics  # while worker processes step
            watch.lap('update')
            self._take(self.collector.finish())
            watch.lap('environment')
            bar.update(self.decisions - previous)
            self.seconds = before + time.perf_counter() - began
            if self.updates and self._passed(previous, schedule.evaluate):
                for member in self.alive:
                    member.evaluation_due = True
            if self._passed(previous, schedule.log):
                shared = self._shared_figures(watch.read(), *marked)
                marked = self.raw_steps, self.updates
                rows = [self._write_row(member, shared, metrics, on_row) for member in self.alive]
                bar.set_postfix_str(_postfix(rows))
            if self._passed(previous, schedule.checkpoint):
                self.save()
                watch.lap('checkpoint')

    def _phase_due(self) -> bool:
        """Begin the next phase if it is due, once its networks were validated; return whether."""
        if self.phases_begun == len(self.config.phases):
            return False
        phase = self.config.phases[self.phases_begun]
        if self.decisions < phase.decisions:
            return False
        if phase.kept and self.updates:
            unknown = [m for m in self.alive if not (m.directory / BEST).exists()]
            for member in unknown:
                member.evaluation_due = True
            if unknown:
                return True
        self.phases_begun += 1
        before = self.config.collect
        for member in self.members:
            member.config = configuration.in_phase(member.config, phase)
            kept = member.rescore()
            if kept and phase.kept:
                for stack in (self.learners.weights, self.learners.averages):
                    stack.members[member.index].load_state_dict(kept)
        self.learners.set_numbers([member.config for member in self.members])
        self._take_settings()
        now = self.config.collect
        if now.planning_share != before.planning_share:
            self.explorer = self._explorer()
        if any(getattr(now, name) != getattr(before, name) for name in CHARGES):
            self.collector.close()
            self.collector = Collector([member.config for member in self.members],
                                       self.collector.state())
        log.info('after %d decisions a phase begins: %s', self.decisions, phase.values)
        return True

    def _passed(self, previous: int, every: int) -> bool:
        """Return whether a multiple of `every` decisions was reached since `previous`."""
        return previous // every != self.decisions // every

    def _act(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = observations.reshape(len(self.members), -1, observations.shape[-1])
        if self.decisions < self.config.collect.random_decisions:
            return np.concatenate([member.first_actions(mine)
                                   for member, mine in zip(self.members, seen, strict=True)])
        noise = torch.stack([member.exploration() for member in self.members])
        actions = self.explorer.act(seen, noise)
        for member in self.members:
            if member.failed:
                actions[member.index] = 0.0
        return actions.reshape(len(observations), -1)

    def _take(self, collected: Collected) -> None:
        """Store the collected decisions and count the updates that they make due."""
        collect = self.config.collect
        self.buffer.cut(collected.cut)
        self.buffer.add(**collected.decisions)
        for stream in (*(stream for stream, _ in collected.ended), *collected.cut):
            self.explorer.reset(*divmod(stream, collect.environments))
        self.decisions += collect.environments
        self.raw_steps += collect.environments * collect.action_repeat
        for stream, episode in collected.ended:
            member = self.members[stream // collect.environments]
            member.episodes.append(episode)
            if self.updates and not member.failed:
                self.learners.episode_ended(member.index, episode.cost)
        if self.decisions >= collect.random_decisions:
            self.update_debt += collect.environments * collect.updates_per_decision

    def _learn(self) -> dict[str, Tensor]:
        """Make one update of all learners, return its figures; a CUDA graph captures this."""
        batch = self.buffer.sample(self.config.batch_size, self.config.horizon,
                                   self.learners.generators, self._costly_share)
        guide, guidance = self.members[0].gait, None
        if guide is not None:
            seen = torch.cat([batch.obs, batch.next_obs[:, -1:]], dim=1)
            actions = guide(seen.flatten(0, 2)).view(*seen.shape[:3], -1)
            guidance = Guidance(actions, self._guide_weight)
        return self.learners.update(batch, guidance)

    def _update(self) -> dict[str, NDArray[np.float64]]:
        """
        Make the updates that are due; return the last one's figures (M,).

        :raises SpowlError: no learner with finite numbers is left
        """
        if self.update_debt < 1.0 or not self.buffer.holds(self.config.horizon):
            return {}
        if not self.updates:
            self._fit_features()
        if self._costly_share is not None:
            self.buffer.count_costly()
        while self.update_debt >= 1.0:
            self.update_debt -= 1.0
            if self.members[0].gait is not None:
                self._guide_weight.copy_(torch.tensor([
                    member.config.guide.weight_after(self.updates) for member in self.members]))
            last = self._step()
            self.updates += 1
        read = torch.stack([value.double() for value in last.values()]).cpu().numpy()
        figures: dict[str, NDArray[np.float64]] = dict(zip(last, read, strict=True))
        for member in self.alive:
            wrong = [name for name in FINITE if not np.isfinite(figures[name][member.index])]
            if wrong:
                self._fail(member, wrong[0], float(figures[wrong[0]][member.index]))
        return figures

    def _fail(self, member: Member, name: str, value: float) -> None:
        """
        Stop a learner, or the run if it is the last one.

        :raises SpowlError: it is the last one
        """
        kept = member.directory / (BEST if len(self.members) > 1 else CHECKPOINT)
        what = (f'the {name.replace("_", " ")} became {value} after {self.updates} updates; '
                + (f'{kept} is from before' if kept.exists() else 'nothing was kept before')
                + ': look at progress.csv, and train with a smaller optimiser.learning_rate')
        member.failed, member.evaluation_due = what, False
        if not self.alive:
            raise SpowlError(what)
        log.error('%s has failed, the other learners go on: %s', member.name, what)

    def _fit_features(self) -> None:
        """Standardise observations by the first episodes, unless the initial networks do."""
        if not self.config.networks.proximity_scale:
            return
        for member, networks in zip(self.members, self.learners.weights.members, strict=True):
            seen = self.buffer.arrays['obs'][member.index, :self.buffer.filled]
            shown = seen.flatten(0, 1).cpu().numpy()
            features = networks.features
            fresh = (features.mean == 0.0) & (features.scale == 1.0)
            mean = torch.from_numpy(shown.mean(axis=0)).to(fresh.device)
            scale = torch.from_numpy(1 / np.maximum(shown.std(axis=0), 0.05)).to(fresh.device)
            features.mean.copy_(torch.where(fresh, mean, features.mean))
            features.scale.copy_(torch.where(fresh, scale, features.scale))

    def _evaluate(self) -> None:
        """Validate the policies and keep the best; an interrupted validation stays due."""
        due = [member for member in self.members if member.evaluation_due]
        made = self._validation([(self.learners.averages.members[member.index], member.config)
                                 for member in due], lambda: not self.stop_requested)
        for member, evaluation in zip(due, made):  # none if interrupted
            if member.take_evaluation(evaluation):
                checkpoint.save(member.directory / BEST, {
                    'config': member.config.to_dict(), 'networks': self._average(member),
                    'counters': self._counters(), 'evaluation': dict(evaluation),
                    'origin': self.origin})

    # -- what is written --------------------------------------------------------------------

    def _shared_figures(self, phases: dict[str, float], raw_steps: int, updates: int
                        ) -> dict[str, float]:
        """Return speeds since these counts, and where the seconds of the phases went."""
        total = sum(phases.values())
        return {'raw_steps_per_second': (self.raw_steps - raw_steps) / total,
                'updates_per_second': (self.updates - updates) / total,
                **{f'{phase}_share': phases.get(phase, 0.0) / total
                   for phase in ('environment', 'acting', 'update', 'evaluation')}}

    def _write_row(self, member: Member, shared: dict[str, float],
                   metrics: dict[str, NDArray[np.float64]],
                   on_row: Callable[[dict[str, Any]], None] | None) -> dict[str, Any]:
        row = {
            **self._counters(), 'seconds': round(self.seconds, 1), **member.figures(), **shared,
            **{name: float(metrics[name][member.index]) if name in metrics else float('nan')
               for name in REPORTED}}
        member.progress.write(row)
        if on_row:
            on_row(row)
        return row

    def _counters(self) -> dict[str, Any]:
        return {'decisions': self.decisions, 'raw_steps': self.raw_steps,
                'updates': self.updates, 'seconds': self.seconds}

    def _average(self, member: Member) -> dict[str, Tensor]:
        return _whole(self.learners.averages.members[member.index].state_dict())

    def save(self) -> None:
        """
        Write everything that a bit-exact continuation needs.

        :raises SpowlError: the file cannot be written
        """
        members = [{**member.state(), 'networks': self._average(member),
                    'planner': _whole(self.explorer.state(member.index)),
                    'learner': _whole(self.learners.save(member.index)),
                    'buffer': self.buffer.state(member.index)} for member in self.members]
        checkpoint.save(self.directory / CHECKPOINT, {
            'config': self.config.to_dict(), 'counters': self._counters(), 'origin': self.origin,
            'update_debt': self.update_debt, 'phases': self.phases_begun, 'members': members,
            **({'networks': members[0]['networks']} if len(members) == 1 else {}),
            'collector': self.collector.state(), 'torch_rng': torch.get_rng_state(),
            'cuda_rng': torch.cuda.get_rng_state_all()})

    def _load_state(self, content: dict[str, Any]) -> None:
        counters = content['counters']
        self.decisions, self.raw_steps = counters['decisions'], counters['raw_steps']
        self.updates, self.seconds = counters['updates'], counters['seconds']
        self.origin = content['origin']
        self.update_debt = content['update_debt']
        self.phases_begun = content.get('phases', 0)
        for member, state in zip(self.members, content['members'], strict=True):
            member.load_state(state)
            self.explorer.load_state(state['planner'], member.index)
            self.learners.load(member.index, state['learner'])
            self.learners.averages.members[member.index].load_state_dict(state['networks'])
            self.buffer.load_state(state['buffer'], member.index)
        self.collector.load_state(content['collector'])
        torch.set_rng_state(content['torch_rng'])
        torch.cuda.set_rng_state_all(content['cuda_rng'])


def _whole(state: Any) -> Any:
    """Return nested dicts with copied tensors instead of views of the shared ones."""
    if isinstance(state, Tensor):
        return state.detach().cpu().clone()
    if isinstance(state, dict):
        return {name: _whole(value) for name, value in state.items()}
    return state


def _postfix(rows: Sequence[dict[str, Any]]) -> str:
    """Return the figures that the progress bar shows beside rate and time left."""
    if len(rows) == 1:
        row = rows[0]
        return (f"return {row['return']:.1f} cost {row['cost']:.1f} λ {row['multiplier']:.2g} "
                f"loss {row['loss']:.3g} policy {row['policy_loss']:.3g} "
                f"{row['updates_per_second']:.0f} updates/s")
    mean = {name: np.mean([row[name] for row in rows]) for name in ('return', 'cost')}
    return (f"{len(rows)} learners: return {mean['return']:.1f} cost {mean['cost']:.1f} "
            f"{len(rows) * rows[0]['updates_per_second']:.0f} updates/s")
