# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses see what belongs to an episode and nothing else."""

from __future__ import annotations

import pytest
import torch

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
    total, parts, latents = model_loss(networks, batch, config or LossConfig(), noise,
                                       torch.tensor([0, 2]))
    return {'total': total, **parts, 'latents': latents}


def test_nothing_past_an_end_counts(networks: Networks, batch: Batch) -> None:
    """What happened past an episode's end changes no loss."""
    past = batch.mask == 0
    changed = batch._replace(
        reward=torch.where(past, 9.0, batch.reward),
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
    free = batch._replace(cost=torch.zeros(H, B))
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
