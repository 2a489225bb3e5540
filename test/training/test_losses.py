# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses see what belongs to an episode and nothing else."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from spowl_ros.training.constraint import AugmentedLagrangian, BudgetController
from spowl_ros.training.learner import ConstraintConfig, Learner, OptimiserConfig
from spowl_ros.training.losses import (
    Batch,
    LossConfig,
    cost_value_target,
    model_loss,
    policy_terms,
    reward_value_target,
)
from spowl_ros.training.networks import NetworkConfig, Networks

H, B = 3, 16


@pytest.fixture
def networks() -> Networks:
    """Return small networks whose outputs are not zero."""
    torch.manual_seed(0)
    made = Networks(NetworkConfig(obs_dim=6, action_dim=2, latent_dim=16, enc_dim=16, mlp_dim=16,
                                  num_c=2, num_q=3, dropout=0.0))
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return made


@pytest.fixture
def batch() -> Batch:
    """Return random sequences; the first half of them ends after its first decision."""
    torch.manual_seed(1)
    mask = torch.ones(H, B)
    mask[1:, :B // 2] = 0.0
    return Batch(obs=torch.randn(H, B, 6), next_obs=torch.randn(H, B, 6),
                 action=torch.rand(H, B, 2) * 2 - 1, reward=torch.randn(H, B),
                 cost=(torch.rand(H, B) < 0.3).float(), terminated=torch.zeros(H, B), mask=mask)


def loss_of(networks: Networks, batch: Batch, config: LossConfig | None = None
            ) -> dict[str, torch.Tensor]:
    """Return all parts of the loss for fixed noise."""
    noise = torch.randn(H * B, 2, generator=torch.Generator().manual_seed(2))
    return vars(model_loss(networks, batch, config or LossConfig(), noise, torch.tensor([0, 2])))


def test_nothing_past_an_end_counts(networks: Networks, batch: Batch) -> None:
    """What happened past an episode's end changes no loss."""
    past = batch.mask == 0
    changed = replace(
        batch, reward=torch.where(past, 9.0, batch.reward),
        cost=torch.where(past, 9.0, batch.cost), terminated=past.float(),
        action=torch.where(past.unsqueeze(-1), -batch.action, batch.action),
        next_obs=torch.where(past.unsqueeze(-1), -batch.next_obs, batch.next_obs))
    one, other = loss_of(networks, batch), loss_of(networks, changed)
    for name in one:
        if name != 'latents':
            torch.testing.assert_close(one[name], other[name], msg=name)


def test_latents_start_again_past_an_end(networks: Networks, batch: Batch) -> None:
    """Past an end the latents, from which the policy learns, are those of the observations."""
    latents = loss_of(networks, batch)['latents']
    with torch.no_grad():
        encoded = networks.encode(batch.obs)
        rolled = networks.next(encoded[0], batch.action[0])
    past = batch.mask[1] == 0
    torch.testing.assert_close(latents[1][past], encoded[1][past])
    torch.testing.assert_close(latents[2][past], encoded[2][past])
    torch.testing.assert_close(latents[1][~past], rolled[~past])


def test_rare_costs_weigh_more(networks: Networks, batch: Batch) -> None:
    """The imbalance weight multiplies the cost's loss where there is cost, nowhere else."""
    parts = [loss_of(networks, batch, LossConfig(cost_imbalance=w))['cost'] for w in (0, 1, 10)]
    torch.testing.assert_close(parts[2] - parts[0], 10 * (parts[1] - parts[0]))
    free = replace(batch, cost=torch.zeros(H, B))
    torch.testing.assert_close(loss_of(networks, free, LossConfig(cost_imbalance=10))['cost'],
                               loss_of(networks, free, LossConfig(cost_imbalance=1))['cost'])


def test_only_termination_stops_bootstrapping(networks: Networks) -> None:
    """The target of a terminated decision is its reward or cost alone."""
    z, action, r = torch.rand(4, 16), torch.rand(4, 2), torch.tensor([1.0, 2.0, 3.0, 4.0])
    over = torch.tensor([1.0, 1.0, 0.0, 0.0])
    y = reward_value_target(networks, z, action, r, over, 0.9, torch.tensor([0, 1]))
    k = cost_value_target(networks, z, action, r, over, 0.9)
    worst = cost_value_target(networks, z, action, r, over, 0.9, 'max')
    torch.testing.assert_close(y[:2], r[:2])
    torch.testing.assert_close(k[:2], r[:2])
    assert (y[2:] != r[2:]).all()
    assert (worst >= k).all()


def test_policy_terms_teach_the_policy_only(networks: Networks) -> None:
    """The gradient of the policy's loss reaches no value network."""
    terms = policy_terms(networks, torch.rand(8, 16), torch.randn(8, 2), torch.tensor([0, 1]))
    (terms.value - terms.cost_value + terms.log_prob).sum().backward()
    for name, parameter in networks.named_parameters():
        touched = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert touched == name.startswith('policy.'), name


@pytest.mark.parametrize('kind', ['augmented', 'budget'])
def test_learner_goes_on_from_its_state(kind: str, networks: Networks, batch: Batch) -> None:
    """A learner with the state of another makes the same updates, bit for bit."""
    learners = []
    for _ in range(2):
        copy = Networks(networks.config)
        copy.load_state_dict(networks.state_dict())
        learners.append(Learner(copy, LossConfig(), OptimiserConfig(), ConstraintConfig(kind)))
    one, other = learners
    for _ in range(3):
        one.update(batch)
    other.load_state(deepcopy(one.state()))  # as from a file
    for _ in range(3):
        first, second = one.update(batch), other.update(batch)
        assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}
    for name, value in one.networks.state_dict().items():
        assert torch.equal(value, other.networks.state_dict()[name]), name


def test_learner_learns(networks: Networks, batch: Batch) -> None:
    """Updates on one batch bring its loss down and change every trained network."""
    learner = Learner(networks, LossConfig(), OptimiserConfig(learning_rate=3e-3),
                      ConstraintConfig())
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    losses = [float(learner.update(batch)['loss']) for _ in range(60)]
    assert min(losses[-10:]) < 0.8 * losses[0]
    for net in ('encoder', 'dynamics', 'reward', 'cost', 'policy', 'reward_value', 'cost_value',
                'target_reward_value', 'target_cost_value'):
        assert any(not torch.equal(value, before[name])
                   for name, value in networks.state_dict().items()
                   if name.startswith(f'{net}.')), net


def test_multiplier_follows_the_budget() -> None:
    """Cost above the budget raises the multiplier, below lowers it, and bounds hold."""
    control = BudgetController(budget=1.0, multiplier=0.1, multiplier_max=5.0)
    path = []
    for cost in 200 * [30.0] + 400 * [0.0]:
        control.update(cost)
        path.append(control.multiplier)
    assert path[0] > 0.1
    assert max(path) <= 5.0
    assert path[199] == pytest.approx(5.0)
    assert path[-1] < 0.1  # no wind-up: it came all the way back
    assert min(path) >= control.multiplier_min


def test_authors_multiplier_saturates() -> None:
    """The authors' multiplier grows while the constraint is violated, up to its bound."""
    control = AugmentedLagrangian(limit=0.1, penalty=0.5, multiplier_max=10.0)
    for _ in range(30):
        control.update(2.0)
    assert control.multiplier == 10.0
    assert float(control.psi(torch.tensor(2.0))) > float(control.psi(torch.tensor(1.0))) > 0


def test_a_constraint_is_tightened_under_way() -> None:
    """The multiplier goes on from where it was, towards another budget."""
    before = ConstraintConfig('budget', budget=2.0, multiplier=0.3).make()
    assert isinstance(before, BudgetController)
    before.update(1.0)
    after = ConstraintConfig('budget', budget=0.5, multiplier_max=0.8).restore(before.state())
    assert isinstance(after, BudgetController)
    assert (after.budget, after.multiplier_max) == (0.5, 0.8)
    assert (after.multiplier, after.average) == (before.multiplier, 1.0)
    after.update(1.0)
    assert after.multiplier > before.multiplier


def test_the_average_follows_the_networks(networks: Networks, batch: Batch) -> None:
    """Its weights are those of the past, weighted; without a rate it is the networks."""
    optimiser = OptimiserConfig(average_rate=0.95)
    learner = Learner(networks, LossConfig(), optimiser, ConstraintConfig())
    expected = deepcopy(learner.average.policy.state_dict())
    for update in range(1, 4):
        learner.update(batch)
        rate = max(0.95, 10 / (10 + update))
        for name, now in networks.policy.state_dict().items():
            expected[name] += rate * (now - expected[name])
    for name, weight in learner.average.policy.state_dict().items():
        torch.testing.assert_close(weight, expected[name])
        assert not torch.equal(weight, networks.policy.state_dict()[name])
    assert Learner(networks, LossConfig(), OptimiserConfig(), ConstraintConfig()
                   ).average is networks


@pytest.mark.parametrize('target', [-2.0, 0.5])
def test_entropy_is_steered_to_its_target(target: float, networks: Networks, batch: Batch) -> None:
    """Below the target entropy weighs more with every update, above it less."""
    learner = Learner(networks, LossConfig(), OptimiserConfig(entropy_target=target),
                      ConstraintConfig())
    for _ in range(5):
        before = learner.entropy_weight
        entropy = float(learner.update(batch)['entropy']) / networks.config.action_dim
        assert (learner.entropy_weight > before) == (entropy < target)
    fixed = Learner(networks, LossConfig(), OptimiserConfig(), ConstraintConfig())
    fixed.update(batch)
    assert fixed.entropy_weight == OptimiserConfig().entropy
