# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The planner: model-predictive path integral control in latent space around a safe policy.

This is the only definition of its mathematics (arXiv 2506.04828; settings say where we differ).
Training calls `PlannerModule.plan` for a batch of environments. The export writes the stages
`encode`, `propose`, `improve` and `select`, which run on a robot.

Shapes: B environments, H horizon, A action, D latent, P policy's candidates, S samples, E elites,
M value heads. Time is axis 0: action sequences are (H, B, n, A).
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spowl_ros.control.planner_settings import NO_LIMIT, PlannerSettings
from spowl_ros.training.inference import InferenceNetworks
from spowl_ros.training.networks import Networks

INVALID = 1e6
"""A prediction of this magnitude or more is invalid, like NaN."""
BOOTSTRAP_LEVEL = 0.95

Knobs = Mapping[str, Tensor]
"""Settings that may change while running, by name, (1,) each."""


class Memory(NamedTuple):
    """What one decision passes to the next."""

    mean: Tensor     # (H, B, A) of the search distribution
    elites: Tensor   # (H, B, carried, A)
    warm: Tensor     # (B,) 1 where there was a last decision, 0 after a reset


class Noise(NamedTuple):
    """All randomness of one decision, drawn in advance."""

    policy: Tensor          # (H, B, P, A) standard normal
    samples: Tensor         # (iterations, H, B, S, A) standard normal
    terminal: Tensor        # (1 + iterations, B, n, A) standard normal; n rows, 1 or 0
    heads: Tensor           # (1 + iterations, B, n, M) weights of the value heads
    choice: Tensor          # (B,) uniform in [0, 1)
    action: Tensor          # (B, A) standard normal, exploration around the planned action
    policy_action: Tensor   # (B, A) standard normal, exploration of the policy's own action


class Encoding(NamedTuple):
    """The state and the policy's own action in it."""

    latent: Tensor          # (B, D)
    policy_action: Tensor   # (B, A)
    policy_next: Tensor     # (B, D) latent predicted after it
    policy_value: Tensor    # (B,) mean of the heads, like the next five
    value_low: Tensor
    value_high: Tensor
    policy_cost_value: Tensor
    cost_value_low: Tensor
    cost_value_high: Tensor


class Pool(NamedTuple):
    """Candidates and their predicted worth."""

    actions: Tensor         # (H, B, n, A)
    value: Tensor           # (B, n) discounted return G
    cost: Tensor            # (B, n) discounted cost K
    summed: Tensor          # (B, n) undiscounted cost of the steps, worst head of each, K1


class Proposal(NamedTuple):
    """Where the search starts."""

    mean: Tensor            # (H, B, A)
    std: Tensor             # (H, B, A)
    pool: Pool              # the policy's candidates, then the last decision's elites
    fill: Tensor            # (H, B, A) roll-out of the policy's mean, or zeros
    cost_threshold: Tensor  # (B,) greatest admissible cost of a candidate: k*, if adaptive
    value_threshold: Tensor  # (B,) least admissible value of a candidate: q*, if adaptive


class Search(NamedTuple):
    """Result of an improvement."""

    mean: Tensor            # (H, B, A)
    std: Tensor             # (H, B, A)
    pool: Pool              # candidates that the next improvement compares again
    elites: Tensor          # (H, B, E, A), best first
    weights: Tensor         # (B, E), sum 1
    counted: Tensor         # (B,) candidates that met the thresholds


class Choice(NamedTuple):
    """The decision."""

    action: Tensor          # (B, A) executed
    plan_action: Tensor     # (B, A) the plan's, whether executed or not
    plan_next: Tensor       # (B, D) latent predicted after it
    improved: Tensor        # (B,) bool, the planned action is executed
    plan_value: Tensor      # (B,)
    plan_cost_value: Tensor  # (B,)
    carried_mean: Tensor    # (H, B, A) for the next decision


class PlannerModule(nn.Module):
    """Plans for a batch of environments; shares the given networks and does not copy them."""

    discounts: Tensor
    cost_discounts: Tensor
    resamples: Tensor
    resample_probabilities: Tensor

    def __init__(self, networks: Networks, settings: PlannerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.networks = InferenceNetworks(networks)
        self.action_dim = networks.config.action_dim
        members, heads = networks.config.num_q, settings.heads
        self.draws_heads = settings.head_choice == 'random' and 0 < heads < members
        # heads to evaluate per candidate: a draw from them needs all
        self.heads = members if self.draws_heads else min(heads, members)
        self.cost_value_heads = 0 if settings.head_choice == 'random' else min(heads, members)
        self.cost_heads = min(settings.cost_heads, networks.config.num_c)
        steps = torch.arange(settings.horizon + 1, dtype=torch.float32)
        self.register_buffer('discounts', settings.discount ** steps, persistent=False)
        self.register_buffer('cost_discounts', settings.cost_discount ** steps, persistent=False)
        if settings.interval == 'bootstrap':
            counts, probabilities = _resamples(members)
            self.register_buffer('resamples', counts, persistent=False)
            self.register_buffer('resample_probabilities', probabilities, persistent=False)

    def memory(self, batch: int) -> Memory:
        """Return the memory of `batch` environments before their first decision."""
        s, device = self.settings, self.discounts.device
        return Memory(torch.zeros(s.horizon, batch, self.action_dim, device=device),
                      torch.zeros(s.horizon, batch, s.carried, self.action_dim, device=device),
                      torch.zeros(batch, device=device))

    def knobs(self) -> dict[str, Tensor]:
        """Return the settings that may change while running."""
        return {name: torch.tensor([value], device=self.discounts.device)
                for name, value in self.settings.knobs().items()}

    def draw(self, batch: int, generator: torch.Generator | None = None) -> Noise:
        """Draw the randomness of one decision of `batch` environments."""
        s, a, device = self.settings, self.action_dim, self.discounts.device
        rows = max(s.proposals, s.samples)
        if s.terminal_noise == 'own':
            terminal = (1 + s.iterations, batch, rows, a)
        else:  # one draw of the decision, or none
            terminal = (1, batch, int(s.terminal_noise == 'common'), a)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=device)

        heads = torch.zeros(0, device=device)
        if self.draws_heads:
            drawn = torch.rand(1 + s.iterations, batch, rows, self.networks.config.num_q,
                               generator=generator, device=device).argsort(dim=-1)
            heads = (drawn < s.heads).float() / s.heads
        return Noise(
            normal(s.horizon, batch, s.policy_candidates, a),
            normal(s.iterations, s.horizon, batch, s.samples, a),
            normal(*terminal).expand(1 + s.iterations, -1, -1, -1), heads,
            torch.rand(batch, generator=generator, device=device), normal(batch, a),
            normal(batch, a))

    @torch.no_grad()
    def plan(self, observation: Tensor, memory: Memory, noise: Noise, knobs: Knobs | None = None,
             *, explore: bool = False) -> tuple[Encoding, Choice, Memory]:
        """
        Decide for observations (B, O), or (B, O + K (O + A)) with their windows.

        :param knobs: None: those of the settings
        :param explore: add noise to the actions, as in collection
        """
        s, knobs = self.settings, self.knobs() if knobs is None else knobs
        encoding = self.encode(observation, knobs, noise.policy_action if explore else None)
        if s.kind == 'policy' or not s.iterations:
            choice = Choice(encoding.policy_action, encoding.policy_action, encoding.policy_next,
                            torch.zeros_like(encoding.policy_value, dtype=torch.bool),
                            encoding.policy_value, encoding.policy_cost_value, memory.mean)
            return encoding, choice, memory
        heads = noise.heads if self.draws_heads else [None] * (1 + s.iterations)
        start = self.propose(encoding, noise.policy, memory, knobs, noise.terminal[0], heads[0])
        mean, std, pool = start.mean, start.std, start.pool
        for i in range(s.iterations):
            search = self.improve(encoding.latent, start, mean, std, pool, noise.samples[i], knobs,
                                  noise.terminal[1 + i], heads[1 + i])
            mean, std, pool = search.mean, search.std, search.pool
        choice = self.select(encoding, start.fill, search, noise.choice, knobs,
                             noise.action if explore else None)
        carried = search.elites[:, :, :s.carried]
        return encoding, choice, Memory(choice.carried_mean, carried, torch.ones_like(memory.warm))

    def encode(self, observation: Tensor, knobs: Knobs,
               policy_noise: Tensor | None = None) -> Encoding:
        """Return the latent of observations (B, O) and the policy's action there."""
        net = self.networks
        latent = net.encode(observation)
        mean, std = net.policy(latent)
        action = torch.tanh(mean if policy_noise is None else mean + std * policy_noise)
        values = torch.stack(net.reward_value(latent, action))
        costs = torch.stack(net.cost_value(latent, action))
        return Encoding(latent, action, net.next(latent, action),
                        values.mean(dim=0), *self._interval(values, knobs),
                        costs.mean(dim=0), *self._interval(costs, knobs))

    def propose(self, encoding: Encoding, policy_noise: Tensor, memory: Memory, knobs: Knobs,
                terminal: Tensor, heads: Tensor | None = None) -> Proposal:
        """
        Roll the policy out, evaluate its candidates and the last elites, set the thresholds.

        :param policy_noise: (H, B, P, A)
        :param terminal: (B, n, A) with n at least the proposals, 1 or 0, by `terminal_noise`
        :param heads: (B, n, M) weights of the value heads where they are drawn
        """
        s = self.settings
        latent = encoding.latent
        batch, p, n = latent.shape[0], s.policy_candidates, s.proposals
        follow = s.fill == 'policy'
        if follow:  # the first candidate is the policy's mean
            policy_noise = torch.cat([torch.zeros_like(policy_noise[:, :, :1]),
                                      policy_noise[:, :, 1:]], dim=2)
        latents = [self._shared(latent, n)]
        actions = []
        for t in range(s.horizon):
            z = latents[t]
            # rows of the policy's candidates; a latent shared by all rows stays a single row
            rows = z if z.shape[0] == 1 else _first(z, batch, n, p)
            mean, std = self.networks.policy(rows)
            action = torch.tanh(_rows_of(mean, batch, p) + _rows_of(std, batch, p)
                                * policy_noise[t])
            if s.carried:
                last = t == s.horizon - 1
                given = (memory.elites[t + 1] if not last else
                         (action[:, :1] if follow else torch.zeros_like(action[:, :1])).expand(
                             -1, s.carried, -1))
                action = torch.cat([action, given], dim=1)
            actions.append(action)
            latents.append(self.networks.next(z, action.flatten(0, 1)))
        pool = self._evaluate(latents, torch.stack(actions), terminal[:, :n],
                              None if heads is None else heads[:, :n])
        fill = pool.actions[:, :, 0] if follow else torch.zeros_like(memory.mean)
        shifted = torch.cat([memory.mean[1:], fill[-1:]])
        warm = memory.warm.unsqueeze(-1)
        mean = warm * shifted + (1 - warm) * fill
        std = (warm * knobs['warm_std'] + (1 - warm) * knobs['first_std']).expand_as(mean)
        if s.thresholds == 'mean':
            limit, floor = pool.cost[:, :p].mean(dim=1), pool.value[:, :p].mean(dim=1)
        else:
            limit, floor = encoding.cost_value_high, encoding.value_low
        # if the policy itself exceeds the budget, a safer candidate is enough
        adaptive = knobs['adaptive'] > 0
        judged = adaptive & (limit <= knobs['cost_budget'])
        floor = torch.where(judged, floor, torch.full_like(floor, -NO_LIMIT))
        # strictly below a fixed threshold
        fixed = torch.where(knobs['threshold'] > 0, knobs['cost_threshold'] * (1 - 1e-6),
                            torch.full_like(knobs['threshold'], NO_LIMIT))
        limit = torch.where(adaptive, torch.minimum(limit, knobs['cost_budget']), fixed)
        return Proposal(mean, std, pool, fill, limit, floor)

    def improve(self, latent: Tensor, start: Proposal, mean: Tensor, std: Tensor, pool: Pool,
                noise: Tensor, knobs: Knobs, terminal: Tensor,
                heads: Tensor | None = None) -> Search:
        """
        Draw candidates from the search distribution, evaluate them, and fit it to the best of all.

        :param noise: (H, B, S, A)
        :param terminal: (B, n, A) with n at least the samples, 1 or 0, by `terminal_noise`
        :param heads: (B, n, M) weights of the value heads where they are drawn
        """
        new = self.sample(latent, mean, std, noise, terminal, heads)
        joint = Pool(*(torch.cat([old, fresh], dim=-2 if old.dim() == 4 else -1)
                       for old, fresh in zip(pool, new)))
        return self.refine(joint, start, knobs)

    def sample(self, latent: Tensor, mean: Tensor, std: Tensor, noise: Tensor, terminal: Tensor,
               heads: Tensor | None = None) -> Pool:
        """Return new candidates around the mean with their predicted worth; see `improve`."""
        s = self.settings
        actions = (mean.unsqueeze(2) + std.unsqueeze(2) * noise).clamp(-1.0, 1.0)
        latents = [self._shared(latent, s.samples)]
        for t in range(s.horizon):
            latents.append(self.networks.next(latents[t], actions[t].flatten(0, 1)))
        return self._evaluate(latents, actions, terminal[:, :s.samples],
                              None if heads is None else heads[:, :s.samples])

    def refine(self, pool: Pool, start: Proposal, knobs: Knobs) -> Search:
        """Rank candidates by the rules of the planner's kind and fit a Gaussian to the elites."""
        s = self.settings
        threshold = knobs['threshold'] > 0
        index = torch.arange(pool.value.shape[1], device=pool.value.device, dtype=torch.float32)
        # below any score, in a fixed order
        nothing = (-10 * INVALID - index).expand_as(pool.value)

        hazard = torch.where(threshold, pool.summed, pool.cost)
        good = ((hazard <= start.cost_threshold.unsqueeze(1))
                & (pool.value >= start.value_threshold.unsqueeze(1)))
        counted = good.sum(dim=1, keepdim=True)
        worth = pool.value - knobs['cost_weight'] * pool.cost
        otherwise = -hazard
        if s.fallback == 'policy':
            otherwise = torch.where(threshold, otherwise,
                                    torch.where(index < s.policy_candidates, worth, nothing))
        # a fixed threshold wants all elites below it
        enough = counted >= 1 + (s.elites - 1) * knobs['threshold']
        score = torch.where(enough, torch.where(good, worth, nothing), otherwise)

        size = score.shape[1]
        elites = min(s.elites, size) if s.limit_elites else size
        kept = min(max(elites, s.proposals), size) if s.keep_elites else elites
        best, order = score.topk(kept, dim=1)
        weights = torch.softmax(knobs['temperature'] * best[:, :elites], dim=1)
        ranked = _pick(pool.actions, order)
        chosen = ranked[:, :, :elites]
        w = weights.unsqueeze(-1)
        mean = (chosen * w).sum(dim=2)
        spread = ((chosen - mean.unsqueeze(2)).square() * w).sum(dim=2).sqrt()
        std = torch.minimum(torch.maximum(spread, knobs['min_std']), knobs['max_std'])
        p = s.proposals
        if s.keep_elites:
            keep = order[:, :p]
            remaining = Pool(ranked[:, :, :p], *(figure.gather(1, keep) for figure in pool[1:]))
        else:
            remaining = Pool(pool.actions[:, :, :p], *(figure[:, :p] for figure in pool[1:]))
        return Search(mean, std, remaining, chosen, weights, counted.squeeze(1))

    def select(self, encoding: Encoding, fill: Tensor, search: Search, uniform: Tensor,
               knobs: Knobs, noise: Tensor | None = None) -> Choice:
        """
        Choose an action of the search and compare it with the policy's own.

        :param uniform: (B,) in [0, 1), draws the elite where `choose` says so
        :param noise: (B, A) standard normal exploration
        """
        s, net = self.settings, self.networks
        if s.choose == 'random':
            reached = search.weights.cumsum(dim=1)
            drawn = (reached < uniform.unsqueeze(1) * reached[:, -1:]).sum(dim=1)
            index = drawn.view(-1, 1, 1).expand(-1, 1, self.action_dim)
            planned = search.elites[0].gather(1, index).squeeze(1)
        else:
            planned = search.elites[0][:, 0] if s.choose == 'best' else search.mean[0]
        if noise is not None:
            planned = (planned + search.std[0] * noise).clamp(-1.0, 1.0)
        value = _mean(net.reward_value(encoding.latent, planned))
        cost = _mean(net.cost_value(encoding.latent, planned))
        # an unsafe policy is no reference: the plan need only be safer
        unsafe = encoding.policy_cost_value > knobs['cost_budget']
        no_worse = (value >= encoding.value_low) & (cost <= encoding.cost_value_high)
        good = (unsafe & (cost < encoding.policy_cost_value)) | (~unsafe & no_worse)
        improved = good | (knobs['switch'] < 0.5)
        action = torch.where(improved.unsqueeze(1), planned, encoding.policy_action)
        mean = search.mean
        if s.fill == 'policy':
            mean = torch.where(improved.view(1, -1, 1), mean, fill)
        return Choice(action, planned, net.next(encoding.latent, planned), improved, value, cost,
                      mean)

    def _shared(self, latent: Tensor, rows: int) -> Tensor:
        """Repeat latents (B, D) for rows of candidates; a single environment keeps one row."""
        return latent if latent.shape[0] == 1 else latent.repeat_interleave(rows, dim=0)

    def _evaluate(self, latents: list[Tensor], actions: Tensor, terminal: Tensor,
                  heads: Tensor | None) -> Pool:
        """
        Return the predicted worth of candidates with actions (H, B, n, A).

        :param latents: H + 1 of them, (B n, D); the first may be a single row
        """
        s, net = self.settings, self.networks
        horizon, batch, n, _ = actions.shape
        rows = batch * n
        # all steps in one product: fewer and larger operations
        z = torch.cat([latents[0].expand(rows, -1), *latents[1:horizon]])
        a = actions.reshape(horizon * rows, -1)
        steps = (horizon, batch, n)
        rewards = net.reward(z, a).view(steps)
        costs = [cost.view(steps) for cost in net.cost(z, a, self.cost_heads)]

        end = latents[horizon]
        mean, std = net.policy(end)
        if s.terminal_noise != 'none':
            mean = mean + std * terminal.expand(-1, n, -1).flatten(0, 1)
        last = torch.tanh(mean)
        values = [value.view(batch, n) for value in net.reward_value(end, last, self.heads)]
        if heads is None:
            final = _mean(values)
        else:
            final = (torch.stack(values, dim=-1) * heads).sum(dim=-1)
        final_cost = _mean(net.cost_value(end, last, self.cost_value_heads)).view(batch, n)

        discounts = self.discounts.view(-1, 1, 1)
        cost_discounts = self.cost_discounts.view(-1, 1, 1)
        value = (torch.cat([rewards, final.unsqueeze(0)]) * discounts).sum(dim=0)
        cost = (torch.cat([_mean(costs), final_cost.unsqueeze(0)]) * cost_discounts).sum(dim=0)
        summed = functools.reduce(torch.maximum, costs).sum(dim=0)
        worst = INVALID if s.invalid == 'worst' else 0.0
        return Pool(actions, _valid(value, -worst), _valid(cost, worst), _valid(summed, worst))

    def _interval(self, values: Tensor, knobs: Knobs) -> tuple[Tensor, Tensor]:
        """Return the ends (B,) of the interval of the heads' mean from values (M, B)."""
        mean = values.mean(dim=0)
        if self.settings.interval == 'deviation':
            width = knobs['interval_width'] * (
                (values - mean).square().sum(dim=0) / max(len(values) - 1, 1)).sqrt()
            return mean - width, mean + width
        # the exact distribution of a resample's mean, not a sample from it
        means, order = torch.sort(values.t() @ self.resamples.t(), dim=1)
        cumulated = self.resample_probabilities[order].cumsum(dim=1)
        tail = (1 - BOOTSTRAP_LEVEL) / 2
        low = (cumulated < tail).sum(dim=1, keepdim=True)
        high = (cumulated < 1 - tail).sum(dim=1, keepdim=True).clamp(max=means.shape[1] - 1)
        return means.gather(1, low).squeeze(1), means.gather(1, high).squeeze(1)


def _mean(heads: list[Tensor]) -> Tensor:
    """Return the mean over heads."""
    return sum(heads[1:], heads[0]) / len(heads) if len(heads) > 1 else heads[0]


def _valid(x: Tensor, otherwise: float) -> Tensor:
    """Replace NaN and absurd values (both fail the comparison)."""
    return torch.where(x.abs() < INVALID, x, torch.full_like(x, otherwise))


def _first(z: Tensor, batch: int, n: int, p: int) -> Tensor:
    """Return the rows of the first `p` of `n` candidates of each environment."""
    return z if p == n else z.view(batch, n, -1)[:, :p].flatten(0, 1)


def _rows_of(x: Tensor, batch: int, n: int) -> Tensor:
    """Return (B, n, A) for rows (B n, A), or (1, 1, A) for a single shared row."""
    return x.unsqueeze(0) if x.shape[0] == 1 else x.view(batch, n, -1)


def _pick(actions: Tensor, order: Tensor) -> Tensor:
    """Return the sequences (H, B, k, A) of (H, B, n, A) at the indices (B, k)."""
    horizon, batch, _, size = actions.shape
    if batch == 1:
        return actions.index_select(2, order[0])
    return actions.gather(2, order.view(1, batch, -1, 1).expand(horizon, -1, -1, size))


def _resamples(members: int) -> tuple[Tensor, Tensor]:
    """
    Return every resample of `members` heads: weights (R, M) and probabilities (R,).

    There are (2 M - 1 choose M) of them: 126 for five heads, 1716 for seven.
    """
    if members > 7:
        raise ValueError(f'a bootstrap interval over {members} heads is too large to enumerate; '
                         "use interval 'deviation'")
    counts, probabilities = [], []
    for picked in itertools.combinations_with_replacement(range(members), members):
        count = [picked.count(i) for i in range(members)]
        counts.append([c / members for c in count])
        ways = math.factorial(members) / math.prod(math.factorial(c) for c in count)
        probabilities.append(ways / members ** members)
    return torch.tensor(counts), torch.tensor(probabilities)
