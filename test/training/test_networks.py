# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The networks' parts are what their formulas say."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from spowl_ros.sim import environment
from spowl_ros.training.networks import (
    BinConfig,
    Layer,
    NetworkConfig,
    Networks,
    TwoHot,
    symexp,
    symlog,
)


def small(**changes: object) -> Networks:
    """Return small networks whose outputs are not zero."""
    torch.manual_seed(0)
    networks = Networks(NetworkConfig(**{
        'obs_dim': 6, 'action_dim': 2, 'latent_dim': 16, 'enc_dim': 16, 'mlp_dim': 16,
        'num_c': 2, 'num_q': 3, **changes}))  # type: ignore[arg-type]
    for parameter in networks.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return networks.eval()


@pytest.mark.slow
@torch.no_grad()
def test_log_probability_is_that_of_a_squashed_gaussian() -> None:
    """The log-probability equals PyTorch's own for a tanh-transformed Gaussian."""
    networks = small().double()
    z = torch.rand(200, 16, dtype=torch.float64)
    out = networks.act(z, torch.randn(200, 2, dtype=torch.float64))
    mean, log_std = networks.policy_distribution(z)
    expected = Independent(TransformedDistribution(
        Normal(mean, log_std.exp()), [TanhTransform(cache_size=0)]), 1)
    inside = out.action.abs().amax(dim=-1) < 1 - 1e-7  # where atanh still knows the digits
    assert inside.float().mean() > 0.3
    torch.testing.assert_close(out.log_prob[inside], expected.log_prob(out.action[inside]),
                               rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_density_of_actions_integrates_to_one() -> None:
    """The density over all actions has the mass one: the correction for the squash is whole."""
    networks = small(action_dim=1, log_std_min=-2.0, log_std_max=0.0).double()
    z = torch.rand(1, 16, dtype=torch.float64)
    mean, log_std = networks.policy_distribution(z)
    actions = torch.linspace(-1 + 1e-9, 1 - 1e-9, 400_001, dtype=torch.float64).unsqueeze(1)
    eps = (torch.atanh(actions) - mean) / log_std.exp()
    density = networks.act(z.expand(len(actions), -1), eps).log_prob.exp()
    mass = torch.trapezoid(density, actions.squeeze(1))
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


@torch.no_grad()
def test_log_probability_stays_finite_far_out() -> None:
    """Saturated actions have a finite log-probability."""
    networks = small()
    out = networks.act(torch.rand(8, 16), torch.full((8, 2), 50.0))
    assert out.log_prob.isfinite().all()
    assert (out.action.abs() <= 1).all()


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e4, 1e4), st.sampled_from(['symlog', 'linear']))
def test_two_hot_code_reads_back(x: float, readout: str) -> None:
    """Decoding the code of a scalar within the range gives the scalar."""
    codec = TwoHot(BinConfig(count=101, low=-10.0, high=10.0), readout).double()
    value = torch.tensor([x], dtype=torch.float64)
    code = codec.encode(value)
    assert float(code.sum()) == pytest.approx(1.0)
    assert (code > 0).sum() <= 2
    assert float(codec.decode(code.log())) == pytest.approx(x, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize('readout', ['symlog', 'linear'])
@given(st.floats(-1.9, 1.9))
def test_unit_scales_the_bins(readout: str, x: float) -> None:
    """Bins counted in tenths code ten times the scalar as bins counted in ones."""
    ones = TwoHot(BinConfig(count=41, low=-3.0, high=3.0), readout).double()
    tenths = TwoHot(BinConfig(count=41, low=-3.0, high=3.0, unit=0.1), readout).double()
    value = torch.tensor([x], dtype=torch.float64)
    code = tenths.encode(value)
    torch.testing.assert_close(code, ones.encode(10 * value), rtol=1e-5, atol=1e-5)
    assert float(tenths.decode(code.log())) == pytest.approx(x, rel=1e-4, abs=1e-4)


def test_linear_readout_has_no_bias_and_symlog_has() -> None:
    """A cost of 5 with probability 0.1 reads 0.5 in linear space and far less in symlog space."""
    costs = torch.tensor([5.0] + 9 * [0.0])
    for readout, expected in (('linear', 0.5), ('symlog', 0.2)):
        codec = TwoHot(BinConfig(count=101, low=0.0, high=3.0), readout)
        read = float(codec.decode(codec.encode(costs).mean(dim=0).log()))
        assert read == pytest.approx(expected, abs=0.02)


def test_two_hot_loss_is_least_at_the_code() -> None:
    """No logits have a smaller cross-entropy against a scalar than its own code."""
    codec = TwoHot(BinConfig(count=21, low=-2.0, high=2.0), 'linear')
    x = torch.tensor([0.7])
    best = codec.loss((codec.encode(x) + 1e-12).log(), x)
    others = codec.loss(torch.randn(500, 21), x.expand(500))
    assert (others > best).all()


@given(st.floats(-1e6, 1e6))
def test_symexp_undoes_symlog(x: float) -> None:
    """Symexp is the inverse of symlog."""
    value = torch.tensor(x, dtype=torch.float64)
    assert float(symexp(symlog(value))) == pytest.approx(x, rel=1e-9, abs=1e-9)


@torch.no_grad()
def test_members_are_separate_networks() -> None:
    """An ensemble's layer gives what each member's layer would give by itself."""
    ensemble = Layer(6, 5, 3, norm=True, activation='mish')
    for parameter in ensemble.parameters():
        parameter.normal_()
    x = torch.randn(4, 6)
    together = ensemble(x)
    for member in range(3):
        alone = Layer(6, 5, None, norm=True, activation='mish')
        for name, parameter in alone.named_parameters():
            parameter.copy_(dict(ensemble.named_parameters())[name][member])
        torch.testing.assert_close(alone(x), together[member])
    chosen = ensemble(x, torch.tensor([2, 0]))
    torch.testing.assert_close(chosen, together[[2, 0]])


def test_targets_begin_as_copies_that_are_never_trained() -> None:
    """Target copies begin as the values, carry no gradient and never drop."""
    networks = Networks(NetworkConfig(obs_dim=6, action_dim=2, latent_dim=16, enc_dim=16,
                                      mlp_dim=16, num_q=3, dropout=0.5)).train()
    for value, target in ((networks.reward_value, networks.target_reward_value),
                          (networks.cost_value, networks.target_cost_value)):
        for old, new in zip(value.parameters(), target.parameters(), strict=True):
            assert torch.equal(old, new)
            assert not new.requires_grad
            assert old is not new
        nn.init.normal_(target.layers[-1].weight)
        z, action = torch.rand(5, 16), torch.rand(5, 2)
        assert torch.equal(target.scalar(z, action), target.scalar(z, action))


def test_latents_are_simplicial() -> None:
    """Encoded and predicted latents are groups of positive numbers that sum to one."""
    networks = small()
    z = networks.encode(torch.randn(7, 6))
    for latent in (z, networks.next(z, torch.rand(7, 2))):
        groups = latent.unflatten(-1, (-1, 8))
        assert (groups >= 0).all()
        torch.testing.assert_close(groups.sum(dim=-1), torch.ones(7, 2))


@pytest.mark.parametrize('wrong', [{'latent_dim': 12}, {'activation': 'relu'},
                                   {'readout': 'log'}, {'nearest_distances': (0.2,)}])
def test_impossible_sizes_are_refused(wrong: dict[str, object]) -> None:
    """A configuration that cannot work says why."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NetworkConfig(**wrong)  # type: ignore[arg-type]


def test_scan_features_say_how_near_the_others_are() -> None:
    """In real scans, the wanted button left out, the features are those of the nearest other."""
    contract = environment.contract('SafetyPointButton1-v0', 4)
    config = NetworkConfig(proximity_scale=0.4, nearest_distances=(1.0,)).fitted(contract)
    features = Networks(config).features
    env = environment.make('SafetyPointButton1-v0', action_repeat=4)
    compared = 0
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(3):  # until the buttons are seen
            observation = env.step(np.zeros(2)).observation
        scene = env.scene()
        (goal,) = (shape.position for shape in scene.shapes if shape.kind == 'goal')
        (_, wanted), (_, nearest), *_ = sorted(
            (math.dist(shape.position[:2], goal[:2]) > 0.01,
             math.dist(shape.position[:2], scene.robot[:2]))
            for shape in scene.shapes if shape.kind == 'buttons')
        x = features(torch.from_numpy(observation))
        buttons = 3 * (1 - float(observation[contract.slices['buttons_lidar']].max()))
        assert x[-5] == pytest.approx(1 / (1 + math.exp((buttons - 1.0) / 0.05)), abs=1e-4)
        if nearest < wanted:  # nothing hides it
            assert x[-1] == pytest.approx(1 / (1 + math.exp((nearest - 1.0) / 0.05)), abs=0.02)
            compared += 1
        else:
            assert x[-1] <= x[-5]
    assert compared > 5
    assert features.outputs == x.numel() == contract.size + 16 * 5 + 5
