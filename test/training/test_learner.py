# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Updates: what they change, that they go on exactly, and that many learners are as many alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.training.acceleration import Captured
from spowl_ros.training.adam import Adam
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.constraint import AugmentedLagrangian, BudgetController
from spowl_ros.training.learner import Guidance, Learners, OptimiserConfig
from spowl_ros.training.losses import Batch
from spowl_ros.training.networks import NetworkConfig, Networks

H, B = 3, 16
SIZES = NetworkConfig(obs_dim=6, action_dim=2, latent_dim=16, enc_dim=16, mlp_dim=16, num_c=2,
                      num_q=3, dropout=0.0, readout='linear')
PLAIN = TrainConfig('T')


def networks(seed: int) -> Networks:
    """Return small networks whose outputs are not zero."""
    torch.manual_seed(seed)
    made = Networks(SIZES)
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return made


def learners(seeds: Sequence[int] = (0,),
             configs: Sequence[TrainConfig] | TrainConfig = PLAIN) -> Learners:
    """Return learners with networks of these seeds."""
    if isinstance(configs, TrainConfig):
        configs = [configs] * len(seeds)
    return Learners([networks(seed) for seed in seeds],
                    [replace(c, seed=seed) for c, seed in zip(configs, seeds, strict=True)])


def batch(*seeds: int) -> Batch:
    """Return random sequences, a learner's for each seed."""
    parts = []
    for seed in seeds or (1,):
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int, generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        mask = torch.ones(H, B)
        mask[1:, :B // 2] = 0.0
        parts.append(Batch(obs=draw(H, B, 6), next_obs=draw(H, B, 6),
                           action=draw(H, B, 2).clamp(-1, 1), reward=draw(H, B),
                           cost=(draw(H, B) > 0.5).float(), terminated=torch.zeros(H, B),
                           mask=mask))
    return Batch(*map(torch.stack, zip(*parts, strict=True)))


def weights(made: Learners, learner: int = 0) -> dict[str, torch.Tensor]:
    """Return a copy of a learner's weights and buffers."""
    return deepcopy(made.weights.members[learner].state_dict())


@pytest.mark.parametrize('constraint', [AugmentedLagrangian(), BudgetController()])
def test_learner_goes_on_from_its_state(constraint: AugmentedLagrangian | BudgetController
                                        ) -> None:
    """A learner with the state of another makes the same updates, bit for bit."""
    settings = replace(PLAIN, constraint=constraint, optimiser=OptimiserConfig(
        average_rate=0.1, entropy_target=-1.0))
    one, other = learners([0], settings), learners([9], settings)
    for _ in range(3):
        one.update(batch())
        one.episode_ended(0, 3.0)
    other.load(0, deepcopy(one.save(0)))  # as from a file
    for _ in range(3):
        first, second = one.update(batch()), other.update(batch())
        assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_learner_learns() -> None:
    """Updates on one batch bring its loss down and change every trained network."""
    made = learners([0], replace(PLAIN, optimiser=OptimiserConfig(learning_rate=3e-3)))
    before = weights(made)
    losses = [float(made.update(batch())['loss']) for _ in range(60)]
    assert min(losses[-10:]) < 0.8 * losses[0]
    for net in ('encoder', 'dynamics', 'reward', 'cost', 'policy', 'reward_value', 'cost_value',
                'target_reward_value', 'target_cost_value'):
        assert any(not torch.equal(value, before[name]) for name, value in weights(made).items()
                   if name.startswith(f'{net}.')), net


@pytest.mark.parametrize('differing', [False, True])
def test_each_of_many_learners_is_as_alone(differing: bool) -> None:
    """Learner k of three makes the updates that it makes alone, also where numbers differ."""
    seeds = [0, 1, 2]
    settings = [replace(PLAIN, constraint=BudgetController(budget=0.5), optimiser=OptimiserConfig(
        average_rate=0.1, entropy_target=-1.0)) for _ in seeds]
    if differing:
        settings = [replace(
            s, loss=replace(s.loss, discount=0.9 + 0.03 * k, cost=0.1 * (1 + k)),
            optimiser=replace(s.optimiser, learning_rate=1e-3 * (1 + k), entropy=0.01 * (1 + k)),
            constraint=replace(s.constraint, budget=0.5 * (1 + k), multiplier=0.1 * (1 + k)))
            for k, s in enumerate(settings)]
    many = learners(seeds, settings)
    alone = [learners([seed], [s]) for seed, s in zip(seeds, settings, strict=True)]
    for update in range(8):
        given = [10 * update + seed for seed in seeds]
        together = many.update(batch(*given))
        for k, one in enumerate(alone):
            figures = one.update(batch(given[k]))
            for name, value in figures.items():
                torch.testing.assert_close(together[name][k], value[0], rtol=1e-4, atol=1e-5,
                                           msg=f'{name} of learner {k}, update {update}')
            many.episode_ended(k, float(k))
            one.episode_ended(0, float(k))
    for k, one in enumerate(alone):
        for name, value in weights(one).items():
            torch.testing.assert_close(weights(many, k)[name], value, rtol=1e-3, atol=2e-5)
        average = one.averages.members[0].state_dict()
        for name, value in many.averages.members[k].state_dict().items():
            torch.testing.assert_close(value, average[name], rtol=1e-3, atol=2e-5)


def test_learners_that_are_trained_as_one_differ_in_numbers_only() -> None:
    """A setting that is no number is refused by its name."""
    with pytest.raises(SpowlError, match='entropy_target.*only numbers'):
        learners([0, 1], [PLAIN, replace(PLAIN, optimiser=OptimiserConfig(entropy_target=0.5))])


def test_one_learner_that_is_not_a_number_leaves_the_others_alone() -> None:
    """NaN in the weights of one learner reaches no other."""
    many, alone = learners([0, 1]), learners([1])
    many.weights.flat['model'][0] = torch.nan
    for update in range(4):
        together, one = many.update(batch(5, update)), alone.update(batch(update))
        assert together['loss'][0].isnan()
        torch.testing.assert_close(together['loss'][1], one['loss'][0], rtol=1e-4, atol=1e-5)


def test_the_average_follows_the_networks() -> None:
    """Its weights are those of the past, weighted; without a rate it is the networks."""
    made = learners([0], replace(PLAIN, optimiser=OptimiserConfig(average_rate=0.95)))
    expected = deepcopy(made.averages.members[0].policy.state_dict())
    for update in range(1, 4):
        made.update(batch())
        rate = max(0.95, 10 / (10 + update))
        for name, now in made.weights.members[0].policy.state_dict().items():
            expected[name] += rate * (now - expected[name])
    for name, weight in made.averages.members[0].policy.state_dict().items():
        torch.testing.assert_close(weight, expected[name])
        assert not torch.equal(weight, made.weights.members[0].policy.state_dict()[name])
    plain = learners()
    assert plain.averages is plain.weights


def test_targets_follow_the_values_at_their_rate() -> None:
    """After an update a target has moved towards its value by the rate's fraction."""
    made = learners([0], replace(PLAIN, optimiser=OptimiserConfig(target_rate=0.25)))
    net = made.weights.members[0]
    before = [p.clone() for p in net.target_cost_value.parameters()]
    made.update(batch())
    for old, new, value in zip(before, net.target_cost_value.parameters(),
                               net.cost_value.parameters(), strict=True):
        torch.testing.assert_close(new, old.lerp(value, 0.25))
        assert not torch.equal(new, old)


@pytest.mark.parametrize('target', [-2.0, 0.5])
def test_entropy_is_steered_to_its_target(target: float) -> None:
    """Below the target entropy weighs more with every update, above it less."""
    made = learners([0], replace(PLAIN, optimiser=OptimiserConfig(entropy_target=target)))
    for _ in range(5):
        before = float(made.state['entropy_weight'])
        entropy = float(made.update(batch())['entropy']) / SIZES.action_dim
        assert (float(made.state['entropy_weight']) > before) == (entropy < target)
    fixed = learners()
    fixed.update(batch())
    assert float(fixed.state['entropy_weight']) == pytest.approx(OptimiserConfig().entropy)


def test_guidance_draws_each_policy_by_its_own_weight() -> None:
    """With a weight the policy's mean moves to the guide's actions, without one it is as alone."""
    actions = torch.full((2, H + 1, B, 2), -0.8)
    quick = replace(PLAIN, optimiser=OptimiserConfig(policy_learning_rate=3e-3))
    many, alone = learners([0, 0], quick), learners([0], quick)
    for _ in range(10):
        many.update(batch(3, 3), Guidance(actions, torch.tensor([30.0, 0.0])))
        alone.update(batch(3))
    means = []
    for member in (*many.weights.members, *alone.weights.members):
        with torch.no_grad():
            z = member.encode(batch(3).obs[0].flatten(0, 1))
            means.append((torch.tanh(member.policy_distribution(z)[0]) + 0.8).abs().mean())
    assert means[0] < 0.5 * means[1]
    torch.testing.assert_close(means[1], means[2], rtol=1e-3, atol=1e-4)


def test_what_a_graph_would_capture_runs_uncaptured() -> None:
    """On the CPU the captured form calls the same function, once a call."""
    made, plain = learners([0, 1]), learners([0, 1])
    fixed = batch(1, 2)
    step = Captured(lambda: made.update(fixed), made.device, made.generators)
    for _ in range(5):
        captured, direct = step(), plain.update(fixed)
        assert all(torch.equal(captured[name], direct[name]) for name in direct)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_the_captured_update_is_the_uncaptured_one() -> None:
    """On a GPU updates replayed from a graph give what the same updates give without one."""
    def on_device() -> Learners:
        return Learners([networks(seed).cuda() for seed in (0, 1)],
                        [replace(PLAIN, seed=seed) for seed in (0, 1)])

    made, plain = on_device(), on_device()
    fixed = Batch(**{name: value.cuda() for name, value in batch(1, 2)._asdict().items()})
    step = Captured(lambda: made.update(fixed), made.device, made.generators)
    for _ in range(8):
        captured, direct = step(), plain.update(fixed)
        torch.testing.assert_close(captured['loss'], direct['loss'], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_compiled_step_of_adam_is_the_same() -> None:
    """Weights, moments and norms agree to rounding, also where the gradient is clipped."""
    torch.manual_seed(0)
    weights, rate = torch.randn(2, 300), torch.full((2, 300), 1e-2)
    plain, fused = Adam(weights.clone(), 1e-8), Adam(weights.clone(), 1e-8, fused=True)
    for step in range(4):
        gradient = torch.randn(2, 300) * 10 ** step
        norms = [adam.step(gradient.clone(), rate, 20.0) for adam in (plain, fused)]
        torch.testing.assert_close(*norms)
    for learner in range(2):
        torch.testing.assert_close(plain.save(learner), fused.save(learner))
    torch.testing.assert_close(plain._weights, fused._weights)
