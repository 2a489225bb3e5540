# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The networks of SPOWL: encoder, latent dynamics, reward, cost, policy and value ensembles.

Sizes default to the authors' (arXiv 2506.04828). Every departure from them is a
field of :class:`NetworkConfig`; the field's default is the authors' choice.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from spowl_ros.base.settings import setting
from spowl_ros.control.contract import SAME_OBJECT, SCAN_RANGE, Contract

LAYER_NORM_EPS = 1e-5
ENSEMBLES = ('cost.', 'reward_value.', 'cost_value.')
"""Prefixes of the names of parameters whose axis 0 is the ensemble member."""
MISH_BY_EXPONENTIAL = 'mish_by_exponential'


def mish_by_exponential(x: Tensor) -> Tensor:
    """
    Mish, x tanh(softplus(x)), as x n / (n + 2) with n = e^x (e^x + 2).

    This is the same function in operators that inference engines vectorise. e^30 squared is still
    finite in float32, and the quotient reaches 1 long before.
    """
    e = torch.exp(x.clamp(max=30.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'mish': F.mish, MISH_BY_EXPONENTIAL: mish_by_exponential, 'silu': F.silu}


@dataclass(frozen=True)
class BinConfig:
    """Support of a scalar predicted as a distribution over bins in symlog space."""

    count: int = setting(101, 'bins', low=2)
    low: float = setting(-10.0, 'lowest bin, in symlog space')
    high: float = setting(10.0, 'highest bin, in symlog space')
    unit: float = setting(1.0, 'scalars are counted in this unit: a small one makes bins fine '
                          'where scalars are small')


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and forms of all networks; the defaults are the authors'."""

    obs_dim: int = setting(0, "size of an observation; the contract's, a file leaves it out")
    action_dim: int = setting(0, "size of an action; the contract's, a file leaves it out")
    latent_dim: int = setting(512, 'size of the latent')
    simnorm_dim: int = setting(8, 'size of the groups in which the latent is normalised')
    enc_dim: int = setting(256, "width of the encoder's hidden layers")
    enc_layers: int = setting(1, "the encoder's hidden layers")
    mlp_dim: int = setting(512, 'width of the hidden layers of all other networks')
    mlp_layers: int = setting(2, 'hidden layers of all other networks')
    num_c: int = setting(5, 'heads of the cost model')
    num_q: int = setting(5, 'heads of each of value and cost value')
    dropout: float = setting(0.01, 'share of units dropped in training by value and cost value')
    activation: str = setting('mish', 'activation of the hidden layers: mish or silu')
    log_std_min: float = setting(-10.0, "lowest logarithm of the policy's standard deviation")
    log_std_max: float = setting(2.0, "highest logarithm of the policy's standard deviation")
    readout: str = setting(
        'symlog', "how a distribution over bins becomes a number: symlog is symexp(E[bin]), the "
        "authors'; linear is E[symexp(bin)], unbiased when outcomes are uncertain")
    reward_bins: BinConfig = BinConfig()
    cost_bins: BinConfig = BinConfig()
    reward_value_bins: BinConfig = BinConfig()
    cost_value_bins: BinConfig = BinConfig()
    scan_slices: tuple[tuple[int, int], ...] = setting(
        (), '(first, last + 1) of each scan of closeness c in the observation')
    wanted_scans: tuple[tuple[int, int, int], ...] = setting(
        (), '(first, last + 1, first of the other): scans with an object that another scan of the '
        'same size shows alone; what is left without it counts as one more scan')
    proximity_scale: float = setting(
        0.0, 'metres; each scan adds exp(-3 m (1 - c) / proximity_scale) for the encoder; 0: none')
    window: int = setting(
        0, 'earlier observations, each with the action executed on it, that the encoder reads '
        'beside the present one', low=0, high=64)
    nearest_distances: tuple[float, ...] = setting(
        (), 'metres; for each, a scan adds a soft indicator that its nearest object is closer, '
        'sigmoid((distance - nearest) / 0.05 m), which makes a coming contact plain')

    def __post_init__(self) -> None:
        if self.latent_dim % self.simnorm_dim:
            raise ValueError(f'latent_dim {self.latent_dim} is not a multiple of simnorm_dim '
                             f'{self.simnorm_dim}')
        if self.activation not in ACTIVATIONS:
            raise ValueError(f'activation {self.activation!r} is none of {sorted(ACTIVATIONS)}')
        if self.readout not in ('symlog', 'linear'):
            raise ValueError(f"readout {self.readout!r} is neither 'symlog' nor 'linear'")
        if self.nearest_distances and not self.proximity_scale:
            raise ValueError('nearest_distances needs a proximity_scale; set it, or give []')

    @property
    def wide_dim(self) -> int:
        """Return the size of an observation with its window."""
        return self.obs_dim + self.window * (self.obs_dim + self.action_dim)

    def fitted(self, contract: Contract) -> NetworkConfig:
        """Return these sizes, completed from a contract."""
        slices = contract.slices
        scans = [field for field in contract.fields if field.sensor == 'scan']
        parts = [(slices[field.name].start, slices[field.name].stop) for field in scans]
        wanted = [(*part, slices[field.wanted].start)
                  for field, part in zip(scans, parts, strict=True) if field.wanted is not None]
        return replace(self, obs_dim=contract.size, action_dim=contract.action.size,
                       scan_slices=tuple(parts), wanted_scans=tuple(wanted))


def symlog(x: Tensor) -> Tensor:
    """Sign-preserving logarithm, sign(x) ln(1 + |x|)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: Tensor) -> Tensor:
    """Inverse of :func:`symlog`."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def simnorm(x: Tensor, group: int) -> Tensor:
    """Softmax over consecutive groups of `group` features; shape (..., D) is kept."""
    size = int(x.shape[-1])  # a tracer keeps a number, and -1 for rows, unchanged
    lead = (-1,) if x.dim() == 2 else x.shape[:-1]
    groups = F.softmax(x.reshape(-1, size // group, group), dim=-1)
    return groups.view(*lead, size)


class TwoHot(nn.Module):
    """
    Codec between scalars and distributions over bins evenly spaced in symlog space.

    `bins` (n,) are the bins in that space, `values` (n,) the scalars that they represent.
    """

    bins: Tensor
    values: Tensor

    def __init__(self, config: BinConfig, readout: str) -> None:
        super().__init__()
        self.config = config
        self.width = (config.high - config.low) / (config.count - 1)
        bins = torch.linspace(config.low, config.high, config.count)
        self.readout = readout
        self.register_buffer('bins', bins, persistent=False)
        self.register_buffer('values', config.unit * symexp(bins), persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        """
        Return the two-hot code (..., bins) of scalars (...).

        The weights of the two neighbouring bins make the chosen read-out return `x`. They are
        linear in symlog space for 'symlog', and linear in the value for 'linear'.
        """
        y = symlog(x / self.config.unit).clamp(self.config.low, self.config.high)
        position = (y - self.config.low) / self.width
        # NaN must reach the loss, and must not become an index
        lower = position.nan_to_num(0.0).floor().clamp(0, self.config.count - 2)
        index = lower.long()
        if self.readout == 'symlog':
            upper_weight = position - lower
        else:
            low, high = self.values[index], self.values[index + 1]
            upper_weight = ((self.config.unit * symexp(y) - low) / (high - low)).clamp(0.0, 1.0)
        # comparison has a batching rule, which stacked learners need; scatter has none
        bins = torch.arange(self.config.count, device=x.device) - index.unsqueeze(-1)
        upper = upper_weight.unsqueeze(-1)
        return torch.where(bins == 0, 1 - upper, torch.where(bins == 1, upper, 0.0))

    def decode(self, logits: Tensor) -> Tensor:
        """
        Return scalars (...) for logits (..., bins).

        Uses sums: inference engines are slow at a product with a vector.
        """
        probabilities = F.softmax(logits, dim=-1)
        if self.readout == 'symlog':
            x = (probabilities * self.bins).sum(dim=-1)
            # inference engines have no expm1
            return self.config.unit * torch.sign(x) * (torch.exp(torch.abs(x)) - 1)
        return (probabilities * self.values).sum(dim=-1)

    def loss(self, logits: Tensor, x: Tensor) -> Tensor:
        """Cross-entropy (...) of logits (..., bins) against the code of scalars (...)."""
        code = self.encode(x)
        return torch.logsumexp(logits, dim=-1) - (code * logits).sum(dim=-1)


class Layer(nn.Module):
    """
    Linear, then (hidden layers) dropout, LayerNorm and activation; the last layer is Linear only.

    With `members`, axis 0 of the weights is the member; (N, in) or (members, N, in) becomes
    (members, N, out).
    """

    def __init__(self, inputs: int, outputs: int, members: int | None, *, norm: bool,
                 activation: str | None, dropout: float = 0.0) -> None:
        super().__init__()
        lead = () if members is None else (members,)
        self.weight = nn.Parameter(torch.empty(*lead, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(*lead, outputs))
        nn.init.trunc_normal_(self.weight, std=0.02, a=-0.04, b=0.04)
        self.norm = norm
        if norm:
            self.ln_weight = nn.Parameter(torch.ones(*lead, outputs))
            self.ln_bias = nn.Parameter(torch.zeros(*lead, outputs))
        self.activation = ACTIVATIONS[activation] if activation else None
        self.dropout = dropout

    def forward(self, x: Tensor, members: Tensor | int | None = None, frozen: bool = False,
                shared: Tensor | None = None) -> Tensor:
        """
        Return each member's output for x.

        :param members: indices of some; or a single index, which drops the axis; None: all
        :param frozen: stop gradients to the weights
        :param shared: (1, n), inputs common to all rows, placed before those of x
        """
        def parameter(p: Tensor) -> Tensor:
            p = p.detach() if frozen else p
            return p if members is None else p[members]

        weight, bias = parameter(self.weight), parameter(self.bias)
        if shared is not None:
            n = int(shared.shape[-1])
            x = F.linear(x, weight[:, n:]) + F.linear(shared, weight[:, :n], bias)
        elif weight.dim() == 2:
            x = F.linear(x, weight, bias)
        else:
            x = x.expand(weight.shape[0], *x.shape[-2:])
            x = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        if self.norm:
            ln_weight, ln_bias = parameter(self.ln_weight), parameter(self.ln_bias)
            if weight.dim() == 2:
                x = F.layer_norm(x, x.shape[-1:], ln_weight, ln_bias, LAYER_NORM_EPS)
            else:
                x = F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
                x = torch.addcmul(ln_bias.unsqueeze(1), x, ln_weight.unsqueeze(1))
        return self.activation(x) if self.activation else x


class MLP(nn.Module):
    """
    Hidden layers (Linear, LayerNorm, activation), then a last Linear.

    `normed_output` adds LayerNorm to the last layer (encoder and dynamics, before SimNorm).
    """

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int, activation: str, *,
                 members: int | None = None, dropout: float = 0.0, normed_output: bool = False
                 ) -> None:
        super().__init__()
        sizes = [inputs] + [hidden] * layers
        self.layers = nn.ModuleList(
            Layer(a, b, members, norm=True, activation=activation,
                  dropout=dropout if i == 0 else 0.0)
            for i, (a, b) in enumerate(zip(sizes, sizes[1:])))
        self.layers.append(
            Layer(sizes[-1], outputs, members, norm=normed_output, activation=None))

    def forward(self, x: Tensor, members: Tensor | int | None = None, frozen: bool = False,
                shared: Tensor | None = None) -> Tensor:
        """Return each member's output for x; arguments as for `Layer`."""
        for layer in self.layers:
            x = layer(x, members, frozen, shared)
            shared = None
        return x


class Head(MLP):
    """
    A network of latent and action that predicts a scalar as a distribution over bins.

    With `members` it is an ensemble. It begins with the same prediction everywhere.
    """

    def __init__(self, config: NetworkConfig, bins: BinConfig, members: int | None = None,
                 dropout: float = 0.0) -> None:
        super().__init__(config.latent_dim + config.action_dim, config.mlp_dim, config.mlp_layers,
                         bins.count, config.activation, members=members, dropout=dropout)
        nn.init.zeros_(self.layers[-1].get_parameter('weight'))
        self.codec = TwoHot(bins, config.readout)

    def scalar(self, z: Tensor, action: Tensor, members: Tensor | None = None,
               frozen: bool = False) -> Tensor:
        """Return scalars (N,), of an ensemble (members, N); arguments as for `Layer`."""
        return self.codec.decode(self(torch.cat([z, action], dim=-1), members, frozen))

    def loss(self, za: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy (N,), of an ensemble (members, N), against scalars (N,)."""
        return self.codec.loss(self(za), x)


class Features(nn.Module):
    """Fixed features of an observation: standardised values and proximities of scans."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [b - a for a, b, *_ in (*config.scan_slices, *config.wanted_scans)]
        self.outputs = config.obs_dim
        if config.proximity_scale:
            self.outputs += sum(sizes) + len(sizes) * len(config.nearest_distances)
        self.register_buffer('mean', torch.zeros(config.obs_dim))
        self.register_buffer('scale', torch.ones(config.obs_dim))

    def forward(self, obs: Tensor) -> Tensor:
        """Return the normalised observation, with proximities if configured."""
        c = self.config
        x = (obs - self.mean) * self.scale
        if not c.proximity_scale or not c.scan_slices:
            return x
        scans = [obs[..., a:b] for a, b in c.scan_slices]
        scans += [torch.where(obs[..., a:b] - obs[..., other:other + b - a] > SAME_OBJECT,
                              obs[..., a:b], 0.0) for a, b, other in c.wanted_scans]
        proximity = torch.exp((torch.cat(scans, dim=-1) - 1) * (SCAN_RANGE / c.proximity_scale))
        parts = [x.clamp(-5.0, 5.0), proximity]
        if c.nearest_distances:
            nearest = SCAN_RANGE * (1 - torch.stack([scan.amax(dim=-1) for scan in scans], dim=-1))
            parts += [torch.sigmoid((distance - nearest) / 0.05)
                      for distance in c.nearest_distances]
        return torch.cat(parts, dim=-1)


@dataclass
class PolicyOutput:
    """Output of the policy at latents (..., D)."""

    action: Tensor      # (..., A) in [-1, 1]: tanh of the sample
    mean: Tensor        # (..., A) in [-1, 1]: tanh of the Gaussian's mean
    log_std: Tensor     # (..., A) of the Gaussian before the squash
    log_prob: Tensor    # (...) of `action`, corrected for the squash


class Networks(nn.Module):
    """All networks and their target copies. Latents are (N, latent_dim), actions (N, A)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = c = config
        za = c.latent_dim + c.action_dim
        act = c.activation
        self.features = Features(c)
        inputs = self.features.outputs + c.window * (self.features.outputs + c.action_dim)
        self.encoder = MLP(inputs, c.enc_dim, c.enc_layers, c.latent_dim, act,
                           normed_output=True)
        self.dynamics = MLP(za, c.mlp_dim, c.mlp_layers, c.latent_dim, act, normed_output=True)
        self.policy = MLP(c.latent_dim, c.mlp_dim, c.mlp_layers, 2 * c.action_dim, act)
        self.reward = Head(c, c.reward_bins)
        self.cost = Head(c, c.cost_bins, c.num_c)
        self.reward_value = Head(c, c.reward_value_bins, c.num_q, c.dropout)
        self.cost_value = Head(c, c.cost_value_bins, c.num_q, c.dropout)
        # targets follow by averaging: they are never trained and never drop
        self.target_reward_value = Head(c, c.reward_value_bins, c.num_q)
        self.target_cost_value = Head(c, c.cost_value_bins, c.num_q)
        for target, source in ((self.target_reward_value, self.reward_value),
                               (self.target_cost_value, self.cost_value)):
            target.load_state_dict(source.state_dict())
            target.requires_grad_(False)

    def encode(self, obs: Tensor) -> Tensor:
        """Latents (..., D) of observations (..., O), or (..., O + K (O + A)) with a window."""
        return simnorm(self.encoder(self._inputs(obs)), self.config.simnorm_dim)

    def _inputs(self, obs: Tensor) -> Tensor:
        """Return the encoder's inputs: features of every observation, then earlier actions."""
        c = self.config
        if not c.window:
            return self.features(obs)
        parts = [self.features(obs[..., :c.obs_dim])]
        row = c.obs_dim + c.action_dim
        for start in range(c.obs_dim, c.wide_dim, row):
            parts += [self.features(obs[..., start:start + c.obs_dim]),
                      obs[..., start + c.obs_dim:start + row]]
        return torch.cat(parts, dim=-1)

    def next(self, z: Tensor, action: Tensor) -> Tensor:
        """Predicted next latents (..., D)."""
        x = self.dynamics(torch.cat([z, action], dim=-1))
        return simnorm(x, self.config.simnorm_dim)

    def policy_distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (before the squash) and log standard deviation, each (..., A)."""
        c = self.config
        mean, raw = self.policy(z).chunk(2, dim=-1)
        span = c.log_std_max - c.log_std_min
        return mean, c.log_std_min + 0.5 * span * (torch.tanh(raw) + 1)

    def act(self, z: Tensor, eps: Tensor) -> PolicyOutput:
        """Policy's action at latents (..., D) for standard normal `eps` (..., A)."""
        mean, log_std = self.policy_distribution(z)
        u = mean + eps * log_std.exp()
        action = torch.tanh(u)
        gaussian = -0.5 * eps.square() - log_std - 0.9189385332046727
        # ln(1 - tanh(u)^2) in a form that stays finite for large |u|
        squash = 2 * (0.6931471805599453 - u - F.softplus(-2 * u))
        return PolicyOutput(action, torch.tanh(mean), log_std, (gaussian - squash).sum(-1))
