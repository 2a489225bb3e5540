# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Our mathematics is the authors': every group of their reference numbers is matched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spowl_ros.training import reference
from spowl_ros.training.constraint import AugmentedLagrangian
from spowl_ros.training.inference import InferenceNetworks
from spowl_ros.training.inference import exportable as faster
from spowl_ros.training.losses import cost_value_target, reward_value_target
from spowl_ros.training.networks import BinConfig, TwoHot
from spowl_ros.training.planner import Encoding, Memory, PlannerModule, Pool, Proposal, Search
from spowl_ros.training.reference import Reference

GROUPS = {'fwd', 'twohot', 'td', 'lagrange', 'plan'}


@pytest.fixture(scope='module')
def references(fixtures_directory: Path) -> list[Reference]:
    """Return every pair of files of the directory."""
    return [reference.load(file, file.with_suffix('.json'))
            for file in sorted(fixtures_directory.glob('*.npz'))]


def assert_close(actual: torch.Tensor | np.ndarray | float, expected: np.ndarray,
                 what: str) -> None:
    """Compare to the tolerance of the reference numbers."""
    actual = torch.as_tensor(actual).detach().numpy()
    np.testing.assert_allclose(np.squeeze(actual), np.squeeze(expected), rtol=1e-4, atol=1e-5,
                               err_msg=what)


def test_reference_has_no_unknown_group(references: list[Reference]) -> None:
    """Nothing in the files goes unlooked at because nobody knows its group."""
    for ref in references:
        assert {name.split('.')[0] for name in ref.arrays} <= GROUPS


@torch.no_grad()
def test_reference_networks(references: list[Reference]) -> None:
    """Every network's outputs on one batch are the authors'."""
    for ref in references:
        net, obs, action = ref.networks, ref.tensor('fwd.obs'), ref.tensor('fwd.action')
        z = net.encode(obs)
        za = torch.cat([z, action], dim=-1)
        policy = net.act(z, ref.tensor('fwd.policy_eps'))
        value, cost_value = (head.scalar(z, action) for head in (net.reward_value, net.cost_value))
        for name, actual in {
            'z': z, 'next_z': net.next(z, action), 'reward_logits': net.reward(za),
            'reward': net.reward.scalar(z, action),
            'cost_logits': net.cost(za).movedim(0, 1),
            'cost': net.cost.scalar(z, action).t(),
            'reward_value_logits': net.reward_value(za).movedim(0, 1),
            'reward_value_mean': value.mean(dim=0), 'reward_value_min': value.amin(dim=0),
            'cost_value_mean': cost_value.mean(dim=0), 'policy_mean': policy.mean,
            'policy_sample': policy.action, 'policy_log_std': policy.log_std,
        }.items():
            assert_close(actual, ref.arrays[f'fwd.{name}'], f'fwd.{name}')


@torch.no_grad()
@pytest.mark.parametrize('exportable', [False, True])
def test_reference_networks_of_planner(references: list[Reference], exportable: bool) -> None:
    """The networks in the planner's form give the same numbers."""
    for ref in references:
        net = InferenceNetworks(faster(ref.networks) if exportable else ref.networks)
        z, action = ref.tensor('fwd.z'), ref.tensor('fwd.action')
        mean, std = net.policy(z)
        for name, actual in {
            'z': net.encode(ref.tensor('fwd.obs')), 'next_z': net.next(z, action),
            'reward': net.reward(z, action),
            'cost': torch.stack(net.cost(z, action), dim=1),
            'reward_value_mean': torch.stack(net.reward_value(z, action)).mean(dim=0),
            'cost_value_mean': torch.stack(net.cost_value(z, action)).mean(dim=0),
            'policy_mean': torch.tanh(mean), 'policy_log_std': std.log(),
        }.items():
            assert_close(actual, ref.arrays[f'fwd.{name}'], f'fwd.{name}')


def test_reference_log_probability(references: list[Reference]) -> None:
    """
    The policy's log-probability is the density's, not the authors' number.

    Theirs multiplies the Gaussian part by the action dimension; the density of the squashed
    Gaussian comes from torch here.
    """
    for ref in references:
        z, eps = ref.tensor('fwd.z'), ref.tensor('fwd.policy_eps')
        with torch.no_grad():
            mean, log_std = ref.networks.policy_distribution(z)
            actual = ref.networks.act(z, eps).log_prob
        mean, log_std, eps = mean.double(), log_std.double(), eps.double()
        density = torch.distributions.TransformedDistribution(
            torch.distributions.Normal(mean, log_std.exp()),
            torch.distributions.TanhTransform(cache_size=1))
        sample = density.transforms[0](mean + log_std.exp() * eps)
        assert_close(actual, density.log_prob(sample).sum(dim=-1).numpy(), 'log-probability')


def test_reference_two_hot(references: list[Reference]) -> None:
    """Coding, cross-entropy and decoding of distributions over bins are the authors'."""
    for ref in references:
        s = ref.settings
        codec = TwoHot(BinConfig(s['num_bins'], s['vmin'], s['vmax']), 'symlog')
        x, logits = ref.tensor('twohot.x')[:, 0], ref.tensor('twohot.logits')
        assert_close(codec.encode(x), ref.arrays['twohot.encoded'], 'twohot.encoded')
        assert_close(codec.loss(logits, x), ref.arrays['twohot.cross_entropy'],
                     'twohot.cross_entropy')
        assert_close(codec.decode(logits), ref.arrays['twohot.decoded'], 'twohot.decoded')


@torch.no_grad()
def test_reference_targets(references: list[Reference]) -> None:
    """One-step targets of both values are the authors'."""
    for ref in references:
        s, net = ref.settings, ref.networks
        next_z = ref.tensor('fwd.next_z')
        action = net.act(next_z, ref.tensor('td.next_policy_eps')).action
        reward, cost, terminated = (ref.tensor(f'td.{name}')[:, 0]
                                    for name in ('reward', 'cost', 'terminated'))
        members = torch.arange(s['num_q'])
        assert_close(reward_value_target(net, next_z, action, reward, terminated, s['discount'],
                                         members), ref.arrays['td.reward_target'], 'reward target')
        for reduce, name in (('mean', 'avg'), ('max', 'max')):
            assert_close(cost_value_target(net, next_z, action, cost, terminated,
                                           s['cost_discount'], reduce),
                         ref.arrays[f'td.cost_target_{name}'], f'cost target {name}')


def test_reference_lagrangian(references: list[Reference]) -> None:
    """The term, multiplier and penalty follow the authors' sequence."""
    for ref in references:
        multiplier, penalty = (float(x) for x in ref.arrays['lagrange.init'])
        rate, limit, maximum = (float(x) for x in ref.arrays['lagrange.rate_limit_max'])
        lagrangian = AugmentedLagrangian(limit=limit, multiplier=multiplier, penalty=penalty,
                                         penalty_rate=rate, multiplier_max=maximum)
        state = {name: torch.tensor(value, dtype=torch.float64)
                 for name, value in lagrangian.start().items()}
        rows = []
        for mean in ref.tensor('lagrange.mean_cost_value').double():
            psi = float(lagrangian.psi(state, mean))
            state = lagrangian.after_update(state, mean)
            rows.append((psi, float(state['multiplier']), float(state['penalty'])))
        assert_close(np.array(rows), ref.arrays['lagrange.psi_lambda_penalty'], 'lagrange')


@torch.no_grad()
@pytest.mark.parametrize('exportable', [False, True])
def test_reference_planner(references: list[Reference], exportable: bool) -> None:
    """
    Every planner call: candidates, what they are worth, thresholds, refined mean, final action.

    The authors draw the final elite at random. Given which one they drew, the action and its check
    against the policy's own are compared; where their check failed, the drawn one is unknown, and
    one of the elites must fail ours.
    """
    for ref in references:
        for case in ref.settings['cases']:
            check_plan(ref, case, exportable)


def check_plan(ref: Reference, case: dict, exportable: bool) -> None:
    """Plan once as the authors' planner did and compare all it gave."""
    name = f"plan.{case['case']}."
    given = {key.removeprefix(name): value for key, value in ref.arrays.items()
             if key.startswith(name)}
    settings = ref.planner_settings(case)
    planner = PlannerModule(faster(ref.networks) if exportable else ref.networks, settings)
    knobs = planner.knobs()
    p = settings.policy_candidates
    tensor = {key: torch.from_numpy(np.asarray(value)) for key, value in given.items()}
    memory = Memory(tensor['prev_mean'].unsqueeze(1), planner.memory(1).elites, torch.ones(1))
    terminal = tensor['terminal_noise'].unsqueeze(0)

    encoding = planner.encode(tensor['obs'].unsqueeze(0), knobs)
    start = planner.propose(encoding, tensor['policy_noise'].unsqueeze(1), memory, knobs,
                            terminal[:, :p])
    samples = planner.sample(encoding.latent, start.mean, start.std,
                             tensor['sample_noise'].unsqueeze(1), terminal[:, p:])
    pool = Pool(*(torch.cat(parts, dim=-2 if parts[0].dim() == 4 else -1)
                  for parts in zip(start.pool, samples)))
    search = planner.refine(pool, start, knobs)

    assert_close(encoding.policy_action, given['policy_action'], name + 'policy_action')
    assert_close(pool.actions, given['candidates'], name + 'candidates')
    assert_close(pool.value, given['value'], name + 'value')
    for key, actual in (('cost_value', pool.cost), ('summed_cost', pool.summed)):
        if key in given:
            assert_close(actual, given[key], name + key)
    for key, actual in {
        'reward_value_CI_low': encoding.value_low, 'reward_value_CI_high': encoding.value_high,
        'cost_value_CI_low': encoding.cost_value_low,
        'cost_value_CI_high': encoding.cost_value_high,
    }.items():
        assert_close(actual, given[f'metric.{key}'], name + key)
    if settings.kind == 'adaptive':
        assert_close(start.cost_threshold, given['metric.safe_threshold'], name + 'safe')
        assert_close(start.value_threshold, given['metric.value_threshold'], name + 'value')
        elites = settings.elites if settings.limit_elites else pool.value.shape[1]
        assert min(int(search.counted), elites) == given['metric.improvement'], name
        assert (int(search.counted) == 0) == bool(given['metric.no_improvement']), name
    if settings.kind == 'threshold':
        assert int(search.counted) == given['metric.num_safe_trajs'], name
    assert_close(search.mean, given['mean'], name + 'mean')
    check_choice(planner, encoding, start, search, given, name)


def check_choice(planner: PlannerModule, encoding: Encoding, start: Proposal, search: Search,
                 given: dict[str, np.ndarray], name: str) -> None:
    """Select each elite that has any weight and compare with the action that came out."""
    actions, improved = [], []
    for i in torch.nonzero(search.weights[0]).flatten().tolist():
        one = torch.zeros_like(search.weights)
        one[0, i] = 1.0
        choice = planner.select(encoding, start.fill, search._replace(weights=one),
                                torch.tensor([0.5]), planner.knobs())
        actions.append(choice.action[0].numpy())
        improved.append(bool(choice.improved))
    if given['chosen_candidate'] < 0:
        assert not all(improved), name
        assert_close(encoding.policy_action, given['action'], name + 'action')
    else:
        first = given['candidates'][0, given['chosen_candidate']]
        matches = [good for action, good in zip(actions, improved)
                   if np.allclose(action, first, rtol=1e-4, atol=1e-5)]
        assert any(matches), f'{name}: the drawn candidate is no elite that passes the check'
        assert_close(given['action'], first, name + 'action')
