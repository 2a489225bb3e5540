# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
SafeDreamer that plans on line with a Lagrangian (OSRP-Lag of Huang et al., arXiv 2307.07176).

DreamerV3's world model with a head for cost; an actor and two critics that learn in imagination;
and a planner over the model, by the cross-entropy method: it ranks plans by cost while too few
keep the limit, else those that do by return less the multiplier times cost. The multiplier follows
the costs of episodes by a PID controller. It departs from the paper in this: observations are
vectors and decoded through symlog, networks are smaller, the recurrent cell is PyTorch's GRU,
critics learn towards a slow copy's values, and fewer updates are made for each decision
(`Settings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.baselines.driving import DrivenTraining, Experience, World
from benchmarks.baselines.runs import SCANS, Run
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.control.contract import ActionSpec
from spowl_ros.evaluation.episodes import Agent
from spowl_ros.sim import environment
from spowl_ros.training.networks import BinConfig, TwoHot, symlog

State = tuple[Tensor, Tensor]
"""The model's memory h (..., deter) and its sampled state z (..., groups x classes)."""
_CODE = TwoHot(BinConfig(count=255, low=-20.0, high=20.0), 'symlog')
_UNIFORM = 0.01
_FREE_NATS = 1.0


@dataclass(frozen=True)
class Settings:
    """Sizes and rates; those of the planner are the paper's."""

    deter: int = 256
    units: int = 256
    groups: int = 16
    classes: int = 16
    layers: int = 2
    batch: int = 16
    length: int = 32
    observation_weight: float = 5.0
    """Of the loss of decoded observations; the authors' of vectors."""
    cost_weight: float = 10.0
    """Of the loss of a cost of at least 1; the authors'."""
    random_decisions: int = 1_000
    round_decisions: int = 200
    updates_per_decision: float = 0.25
    model_rate: float = 1e-4
    rate: float = 3e-5
    horizon: int = 15
    discount: float = 1.0 - 1.0 / 333.0
    smoothing: float = 0.95
    entropy: float = 3e-4
    slow_rate: float = 0.02
    samples: int = 500
    elites: int = 50
    iterations: int = 6
    momentum: float = 0.1
    proportional: float = 0.1
    integral: float = 0.01
    derivative: float = 0.01
    greatest_multiplier: float = 0.1


def mlp(inputs: int, units: int, outputs: int, layers: int) -> nn.Sequential:
    """Return a multilayer perceptron with normalised hidden layers."""
    sizes = [inputs, *[units] * layers]
    hidden = [part for first, last in zip(sizes, sizes[1:], strict=False)
              for part in (nn.Linear(first, last), nn.LayerNorm(last), nn.SiLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


class WorldModel(nn.Module):
    """The recurrent state-space model with its heads."""

    def __init__(self, size: int, actions: int, s: Settings) -> None:
        super().__init__()
        self._s, stoch = s, s.groups * s.classes
        seen = s.deter + stoch
        self.encoder = mlp(size, s.units, s.units, s.layers)
        self.inputs = mlp(stoch + actions, s.units, s.units, 1)
        self.cell = nn.GRUCell(s.units, s.deter)
        self.prior = mlp(s.deter, s.units, stoch, 1)
        self.posterior = mlp(s.deter + s.units, s.units, stoch, 1)
        self.decoder = mlp(seen, s.units, size, s.layers)
        self.reward = mlp(seen, s.units, len(_CODE.bins), s.layers)
        self.cost = mlp(seen, s.units, len(_CODE.bins), s.layers)
        self.goes_on = mlp(seen, s.units, 1, s.layers)

    def begin(self, count: int) -> State:
        """Return the states of episodes that begin."""
        return (torch.zeros(count, self._s.deter),
                torch.zeros(count, self._s.groups * self._s.classes))

    def _logits(self, x: Tensor) -> Tensor:
        """Return log-probabilities (..., groups, classes), mixed with a few uniform ones."""
        chances = x.unflatten(-1, (self._s.groups, self._s.classes)).softmax(-1)
        return torch.log((1.0 - _UNIFORM) * chances + _UNIFORM / self._s.classes)

    @staticmethod
    def _draw(logits: Tensor) -> Tensor:
        """Return one-hot samples, flat; gradients pass straight to the chances."""
        chances = logits.exp()
        drawn = functional.one_hot(torch.distributions.Categorical(logits=logits).sample(),
                                   chances.shape[-1]).float()
        return (drawn + chances - chances.detach()).flatten(-2)

    def _memory(self, state: State, action: Tensor) -> Tensor:
        bounded = action / action.abs().clamp_min(1.0).detach()
        h: Tensor = self.cell(functional.silu(self.inputs(torch.cat([state[1], bounded], -1))),
                              state[0])
        return h

    def imagine(self, state: State, action: Tensor) -> State:
        """Return the states (N, ...) after actions (N, A)."""
        h = self._memory(state, action)
        return h, self._draw(self._logits(self.prior(h)))

    def see(self, state: State, action: Tensor, seen: Tensor) -> tuple[State, Tensor, Tensor]:
        """Return the states after actions and observations (N, O), and both log-probabilities."""
        h = self._memory(state, action)
        posterior = self._logits(self.posterior(torch.cat([h, self.encoder(symlog(seen))], -1)))
        return (h, self._draw(posterior)), posterior, self._logits(self.prior(h))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, State]:
        """Return the loss of sequences (T, N, ...), and their states (T N, ...), detached."""
        states = []
        divergences: list[Tensor] = []
        seen = torch.cat([batch['obs'], batch['next_obs'][-1:]])
        actions = torch.cat([torch.zeros_like(batch['action'][:1]), batch['action']])
        state = self.begin(seen.shape[1])
        for action, observation in zip(actions, seen, strict=True):
            state, posterior, prior = self.see(state, action, observation)
            states.append(state)
            divergences.append(
                0.5 * _divergence(posterior.detach(), prior).clamp_min(_FREE_NATS)
                + 0.1 * _divergence(posterior, prior.detach()).clamp_min(_FREE_NATS))
        h, z = (torch.stack(parts) for parts in zip(*states, strict=True))
        features = torch.cat([h, z], -1)
        decoded = (self.decoder(features) - symlog(seen)).square().sum(-1)
        reward, cost = (_CODE.loss(getattr(self, name)(features[1:]), batch[name].squeeze(-1))
                        for name in ('reward', 'cost'))
        costly = batch['cost'].squeeze(-1) >= 1.0
        gains = reward + torch.where(costly, self._s.cost_weight * cost, cost)
        goes_on = functional.binary_cross_entropy_with_logits(
            self.goes_on(features[1:]), 1.0 - batch['terminated'], reduction='none').squeeze(-1)
        loss = (self._s.observation_weight * decoded + torch.stack(divergences)).mean() + (
            gains + goes_on).mean()
        return loss, (h.detach().flatten(0, 1), z.detach().flatten(0, 1))


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Return the divergence of log-probabilities (..., groups, classes), summed: (...)."""
    return (one.exp() * (one - other)).sum((-1, -2))


class Multiplier:
    """Weighs cost against reward: a PID controller of the cost of episodes."""

    def __init__(self, limit: float, settings: Settings) -> None:
        self._limit, self._s = limit, settings
        self._smooth, self._sum, self._before = 0.0, 0.0, 0.0
        self.value = 0.0

    def update(self, cost: float) -> None:
        """Take the mean cost of recent episodes."""
        s, error = self._s, cost - self._limit
        self._smooth = 0.95 * self._smooth + 0.05 * error
        self._sum = max(self._sum + error, 0.0)
        rise, self._before = max(cost - self._before, 0.0), cost
        self.value = min(max(s.proportional * self._smooth + s.integral * self._sum
                             + s.derivative * rise, 0.0), s.greatest_multiplier)


class Dreamer(nn.Module):
    """
    Model, actor, critics and planner; acts in episodes side by side, and learns.

    :param limit: of the cost of an episode
    :param decisions: of an episode
    """

    window = 0

    def __init__(self, size: int, action: ActionSpec, limit: float, decisions: int,
                 s: Settings) -> None:
        super().__init__()
        self._s, self._limit, self._decisions = s, limit, decisions
        self._spec, self.actions = action, (actions := action.size)
        self.model = WorldModel(size, actions, s)
        features = s.deter + s.groups * s.classes
        self.actor = mlp(features, s.units, 2 * actions, s.layers)
        self.critics = nn.ModuleList(mlp(features, s.units, len(_CODE.bins), s.layers)
                                     for _ in range(2))
        self.slow = deepcopy(self.critics)
        self.multiplier = Multiplier(limit, s)
        self._spread = [1.0, 1.0]
        self._model_adam = torch.optim.Adam(self.model.parameters(), s.model_rate)
        self._actor_adam = torch.optim.Adam(self.actor.parameters(), s.rate, eps=1e-5)
        self._critic_adam = torch.optim.Adam(self.critics.parameters(), s.rate, eps=1e-5)
        self.stand(1)

    # -- acting ---------------------------------------------------------------------------------

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin an episode in one lane for each seed; the first one is that of all samples."""
        torch.manual_seed(seeds[0])
        self.stand(len(seeds))

    def stand(self, lanes: int) -> None:
        """Forget what was seen, done and planned in all lanes."""
        self._state = self.model.begin(lanes)
        self._action = torch.zeros(lanes, self.actions)
        self._mean = torch.zeros(lanes, self._s.horizon, self.actions)

    def paid(self, lane: int, cost: float) -> None:
        """Do nothing: it knows costs by its model only."""

    @torch.no_grad()
    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return planned actions (n, A) for observations (n, O)."""
        rows = torch.as_tensor(lanes)
        state, _, _ = self.model.see((self._state[0][rows], self._state[1][rows]),
                                     self._action[rows], torch.as_tensor(observations))
        mean = self._plan(state, self._mean[rows])
        for kept, new in zip(self._state, state, strict=True):
            kept[rows] = new
        # the model is to see the action that is executed
        action = self._spec.held(mean[:, 0].numpy(), self._action[rows].numpy())
        self._action[rows] = torch.from_numpy(action)
        self._mean[rows] = torch.cat([mean[:, 1:], mean[:, -1:]], 1)
        return action, ['plan'] * len(lanes)

    def _plan(self, state: State, mean: Tensor) -> Tensor:
        """Return the mean plan (n, H, A) from states (n, ...) and the last means (n, H, A)."""
        s, n = self._s, len(mean)
        std = torch.ones_like(mean)
        many = tuple(part.repeat_interleave(s.samples, 0) for part in state)
        for _ in range(s.iterations):
            plans = (mean.unsqueeze(1) + std.unsqueeze(1) * torch.randn(
                n, s.samples, *mean.shape[1:])).clamp(-1.0, 1.0)
            gains, values, going = self._foresee((many[0], many[1]), plans.flatten(0, 1))
            reward, cost = (self._returns(gains[..., k], values[..., k], going)[0].view(n, -1)
                            for k in range(2))
            whole = gains[..., 1].sum(0).view(n, -1) * self._decisions / s.horizon
            keeps = whole < self._limit
            enough = keeps.sum(1, keepdim=True) >= s.elites
            rank = torch.where(enough, (reward - self.multiplier.value * cost).masked_fill(
                ~keeps, -torch.inf), -whole)
            best = rank.topk(s.elites, 1).indices
            elites = plans[torch.arange(n).unsqueeze(1), best]
            mean = s.momentum * mean + (1.0 - s.momentum) * elites.mean(1)
            std = elites.std(1)
        return mean

    def _foresee(self, state: State, plans: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reward and cost (H, N, 2), values (H, N, 2) and chances to go on (H, N)."""
        features = []
        for action in plans.unbind(1):
            state = self.model.imagine(state, action)
            features.append(torch.cat(state, -1))
        return self._judge(torch.stack(features))

    def _judge(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reward and cost, values, and chances to go on, of features (H, N, F)."""
        gains = torch.stack([_CODE.decode(self.model.reward(x)), _CODE.decode(self.model.cost(x))],
                            -1)
        values = torch.stack([_CODE.decode(critic(x)) for critic in self.slow], -1)
        return gains, values, torch.sigmoid(self.model.goes_on(x)).squeeze(-1)

    def _returns(self, gain: Tensor, value: Tensor, going: Tensor) -> Tensor:
        """Return the smoothed returns (H, N) of gains, values and chances of states reached."""
        s, last, found = self._s, value[-1], []
        for step in reversed(range(len(gain))):
            mixed = (1.0 - s.smoothing) * value[step] + s.smoothing * last
            last = gain[step] + s.discount * going[step] * mixed
            found.append(last)
        return torch.stack(found[::-1])

    # -- learning -------------------------------------------------------------------------------

    def learn(self, experience: Experience) -> None:
        """Make one update from sequences (N, T, ...)."""
        batch = {name: torch.from_numpy(part).transpose(0, 1) for name, part in experience.items()}
        loss, starts = self.model.loss(batch)
        self._model_adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1000.0)
        self._model_adam.step()
        self._improve(starts)

    def _improve(self, state: State) -> None:
        """Improve actor and critics in imagination from states (N, ...)."""
        s = self._s
        before, after, entropies = [], [], []
        for _ in range(s.horizon):
            x = torch.cat(state, -1)
            mean, spread = self.actor(x.detach()).chunk(2, -1)
            normal = torch.distributions.Normal(torch.tanh(mean),
                                                0.1 + 0.9 * torch.sigmoid(spread + 2.0))
            entropies.append(normal.entropy().sum(-1))
            state = self.model.imagine(state, normal.rsample())
            before.append(x.detach())
            after.append(torch.cat(state, -1))
        gains, values, going = self._judge(torch.stack(after))
        past = torch.cumprod(torch.cat([torch.ones_like(going[:1]), going[:-1]]), 0).detach()
        found = [self._returns(gains[..., k], values[..., k], going) for k in range(2)]
        for k, each in enumerate(found):
            low, high = torch.quantile(each.detach()[0], torch.tensor([0.05, 0.95]))
            self._spread[k] = 0.99 * self._spread[k] + 0.01 * float(high - low)
        reward, cost = (each / max(1.0, self._spread[k]) for k, each in enumerate(found))
        weight = self.multiplier.value
        objective = (reward - weight * cost) / (1.0 + weight) + s.entropy * torch.stack(entropies)
        self._actor_adam.zero_grad()
        (-(past * objective).mean()).backward()
        nn.utils.clip_grad_norm_(self.actor.parameters(), 100.0)
        self._actor_adam.step()
        x = torch.stack(before)
        missed = sum(_CODE.loss(critic(x), each.detach())
                     for critic, each in zip(self.critics, found, strict=True))
        self._critic_adam.zero_grad()
        (past * missed).mean().backward()
        nn.utils.clip_grad_norm_(self.critics.parameters(), 100.0)
        self._critic_adam.step()
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.critics.parameters(), strict=True):
                slow.lerp_(fast, s.slow_rate)


class SafeDreamerTraining(DrivenTraining):
    """SafeDreamer in training, on scans."""

    observation = SCANS

    def __init__(self, run: Run, folder: Path, world: World | None = None,
                 action: ActionSpec | None = None, settings: Settings | None = None) -> None:
        self._s = s = settings or Settings()
        if world is None or action is None:
            made = environment.make(run.task, action_repeat=self.action_repeat)
            world, action = made, made.contract.action
        super().__init__(run, world, action, lambda size: Dreamer(
            size, action, run.cost_limit, RAW_STEPS // self.action_repeat, s), s.round_decisions)

    def advance(self) -> tuple[float, float]:
        """Drive and learn; return return and cost of recent episodes."""
        s = self._s
        dreamer: Dreamer = self._learner

        def act(seen: NDArray[np.float32], begins: bool) -> NDArray[np.float32]:
            if len(self._driver) < s.random_decisions:
                return np.random.uniform(-1.0, 1.0, dreamer.actions).astype(np.float32)
            if begins or len(self._driver) == s.random_decisions:
                dreamer.stand(1)
            return dreamer.act([0], seen[None])[0][0]

        self._driver.drive(act, s.round_decisions)
        recent = self._driver.recent()
        if len(self._driver) >= s.random_decisions:
            if np.isfinite(recent[1]):
                dreamer.multiplier.update(recent[1])
            for _ in range(round(s.round_decisions * s.updates_per_decision)):
                dreamer.learn(self._driver.sequences(s.batch, s.length))
        return recent

    def policy(self) -> Agent:
        """Return the planner."""
        dreamer: Dreamer = self._learner
        return dreamer
