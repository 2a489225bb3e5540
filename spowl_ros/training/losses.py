# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Targets and losses of SPOWL as functions of tensors; no state, no optimiser."""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
import torch.nn.functional as F

from spowl_ros.base.settings import setting
from spowl_ros.training.networks import Networks


class Batch(NamedTuple):
    """
    B sequences of H decisions; axis 0 is time.

    `mask` is 1 until the first episode end inside a sequence (inclusive) and 0 past it.
    """

    obs: Tensor         # (H, B, O)
    next_obs: Tensor    # (H, B, O); where an episode ended, its last observation
    action: Tensor      # (H, B, A)
    reward: Tensor      # (H, B)
    cost: Tensor        # (H, B)
    terminated: Tensor  # (H, B), 1 only where the episode ended by itself
    mask: Tensor        # (H, B)


@dataclass(frozen=True)
class LossConfig:
    """Weights and discounts; the defaults are the authors'."""

    discount: float = setting(0.975, 'discount of reward per decision', low=0.0, high=1.0)
    cost_discount: float = setting(
        0.997, 'discount of cost per decision', low=0.0, high=1.0)
    rho: float = setting(0.5, 'weight of each later decision of a sequence, relative to the one '
                         'before')
    consistency: float = setting(20.0, 'weight of the error of the predicted latent')
    reward: float = setting(0.1, 'weight of the error of the predicted reward')
    cost: float = setting(0.1, 'weight of the error of the predicted cost')
    reward_value: float = setting(0.1, 'weight of the error of the value')
    cost_value: float = setting(0.1, 'weight of the error of the cost value')
    cost_imbalance: float = setting(
        10.0, 'weight of a decision whose cost is positive, because costs are rare')
    cost_value_target: str = setting(
        'mean', 'how the heads of the target cost value make one target: mean or max')


def reward_value_target(networks: Networks, next_z: Tensor, next_action: Tensor, reward: Tensor,
                        terminated: Tensor, discount: float, members: Tensor) -> Tensor:
    """Return r + γ (1 - term) min over `members` of target Q(z', a'); all of shape (N,)."""
    q = networks.target_reward_value.scalar(next_z, next_action, members)
    return reward + discount * (1 - terminated) * q.amin(dim=0)


def cost_value_target(networks: Networks, next_z: Tensor, next_action: Tensor, cost: Tensor,
                      terminated: Tensor, discount: float, reduce: str = 'mean') -> Tensor:
    """y_c = c + γ_c (1 - term) mean (or max) over members of target Q_c(z', a'); (N,)."""
    q = networks.target_cost_value.scalar(next_z, next_action)
    q = q.mean(dim=0) if reduce == 'mean' else q.amax(dim=0)
    return cost + discount * (1 - terminated) * q


def model_loss(networks: Networks, batch: Batch, config: LossConfig, noise: Tensor,
               members: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """
    Losses of one batch of sequences.

    `noise` (H * B, A) is standard normal for the policy at the next latents; `members` (2,)
    are the target members; their minimum is in the reward value's target.

    :return: loss of world model and values; its parts by name, detached, before their weights;
        the predicted latents (H + 1, B, D), detached
    """
    horizon, size = batch.reward.shape
    with torch.no_grad():
        # past an episode's end the latent comes from the observation, not from the prediction
        encoded = networks.encode(torch.cat([batch.next_obs, batch.obs[1:]]))
        target_z, fresh_z = encoded[:horizon], encoded[horizon:]
        flat_z = target_z.flatten(0, 1)
        next_action = networks.act(flat_z, noise).action
        over = batch.terminated.flatten()
        y = reward_value_target(networks, flat_z, next_action, batch.reward.flatten(), over,
                                config.discount, members)
        y_cost = cost_value_target(networks, flat_z, next_action, batch.cost.flatten(), over,
                                   config.cost_discount, config.cost_value_target)

    z = networks.encode(batch.obs[0])
    latents = [z]
    consistency = []
    for t in range(horizon):
        if t:
            z = torch.where(batch.mask[t].unsqueeze(-1) > 0, z, fresh_z[t - 1])
            latents[t] = z
        z = networks.next(z, batch.action[t])
        consistency.append(F.mse_loss(z, target_z[t], reduction='none').mean(dim=-1))
        latents.append(z)

    rho = config.rho ** torch.arange(horizon, device=z.device, dtype=z.dtype)
    weight = batch.mask * rho.unsqueeze(1)
    weight = weight / batch.mask.sum().clamp(min=1.0)

    def masked(loss: Tensor) -> Tensor:
        return (loss.view(horizon, size) * weight).sum()

    za = torch.cat([torch.stack(latents[:-1]), batch.action], dim=-1).flatten(0, 1)
    cost = batch.cost.flatten()
    imbalance = torch.where(cost > 0, config.cost_imbalance, 1.0)
    parts = {
        'consistency': masked(torch.stack(consistency)),
        'reward': masked(networks.reward.loss(za, batch.reward.flatten())),
        'cost': masked(networks.cost.loss(za, cost).mean(dim=0) * imbalance),
        'reward_value': masked(networks.reward_value.loss(za, y).mean(dim=0)),
        'cost_value': masked(networks.cost_value.loss(za, y_cost).mean(dim=0)),
    }
    total = sum(getattr(config, name) * part for name, part in parts.items())
    return (total, {name: part.detach() for name, part in parts.items()},
            torch.stack(latents).detach())


class PolicyTerms(NamedTuple):
    """Terms of the policy's loss at latents (N, D)."""

    log_prob: Tensor    # (N,)
    mean: Tensor        # (N, A) of the action's Gaussian, squashed
    value: Tensor       # (N,) mean of the chosen reward value members
    cost_value: Tensor  # (N,) mean of all cost value members


def policy_terms(networks: Networks, z: Tensor, noise: Tensor, members: Tensor) -> PolicyTerms:
    """Return the values of the policy's action; gradients reach the policy only."""
    out = networks.act(z, noise)
    value = networks.reward_value.scalar(z, out.action, members, frozen=True).mean(dim=0)
    cost_value = networks.cost_value.scalar(z, out.action, frozen=True).mean(dim=0)
    return PolicyTerms(out.log_prob, out.mean, value, cost_value)
