# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Properties of the planner, and its equality with what runs on the robot."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.control import bundle
from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.control.planner import Planner
from spowl_ros.control.planner_settings import KINDS, PlannerSettings
from spowl_ros.training.networks import Networks
from spowl_ros.training.planner import INVALID, Memory, Noise, PlannerModule, Pool, Proposal
from spowl_ros.training.untrained import COMPACT, export_untrained, untrained_networks

SMALL = replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32, num_q=3)
CONTRACT = Contract('Test-v0', 'test', (
    Field('velocity', 'linear_velocity', 'velocity', 3, 'm/s', -5.0, 5.0, 0.5),
    Field('hazards_lidar', 'scan', 'hazards_scan', 5, '1', 0.0, 1.0, 0.5)),
    ActionSpec(('x', 'y'), (-1.0, -1.0), (1.0, 1.0), 'effort', (0.0, 0.0)), 0.02, 5)
NETWORKS = {'reference': replace(SMALL, activation='mish', readout='symlog')}
SETTINGS = {
    'compact': PlannerSettings.compact(iterations=3, samples=24, policy_candidates=8, elites=6),
    'reference': PlannerSettings(iterations=3, samples=24, policy_candidates=8, elites=6),
    'mixed': PlannerSettings(
        iterations=3, samples=24, policy_candidates=8, elites=6, head_choice='first', heads=1,
        cost_heads=1, terminal_noise='common', fill='policy', warm_std=0.7, choose='mean',
        thresholds='interval', fallback='least_cost', keep_elites=True, invalid='worst'),
}


@pytest.fixture(scope='module')
def networks() -> Networks:
    """Return small networks with random weights."""
    return untrained_networks(CONTRACT, SMALL)


@pytest.fixture(scope='module', params=SETTINGS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
             ) -> tuple[Planner, Networks]:
    """Return the run-time planner of a bundle and the networks it was exported from."""
    directory = tmp_path_factory.mktemp('bundle') / 'bundle'
    config = NETWORKS.get(request.param, SMALL)
    export_untrained(directory, CONTRACT, config, SETTINGS[request.param])
    return Planner(bundle.load(directory)), untrained_networks(CONTRACT, config)


class Recorder:
    """Draws as the run-time planner does and keeps what it drew, for the other planner."""

    def __init__(self, planner: Planner) -> None:
        self.drawn: dict[str, list[np.ndarray]] = {}
        self.planner = planner
        inner = planner._run

        def run(stage: str, odd: bool = False) -> float:
            for name, whose in (('policy_noise', 'propose'), ('proposal_terminal', 'propose'),
                                ('proposal_heads', 'propose'), ('sample_noise', 'improve'),
                                ('sample_terminal', 'improve'), ('sample_heads', 'improve'),
                                ('uniform', 'select')):
                if whose == stage and name in planner._buffers:
                    self.drawn.setdefault(name, []).append(planner._buffers[name].copy())
            return inner(stage, odd)

        planner._run = run  # type: ignore[method-assign]

    def noise(self, planner: PlannerModule) -> Noise:
        """Return what was drawn since the last call, in the other planner's form."""
        drawn, self.drawn = self.drawn, {}
        absent = planner.draw(1)
        rows = max(planner.settings.proposals, planner.settings.samples)

        def stacked(name: str) -> torch.Tensor | None:
            parts = drawn.get(f'proposal_{name}', []) + drawn.get(f'sample_{name}', [])
            if not parts:
                return None
            count = 1 if parts[0].shape[1] == 1 else rows
            return torch.stack([torch.from_numpy(np.resize(
                np.concatenate([part] * (1 + count // part.shape[1]), axis=1)[:, :count],
                (1, count, part.shape[2]))) for part in parts])

        terminal, heads = stacked('terminal'), stacked('heads')
        return absent._replace(
            policy=torch.from_numpy(drawn['policy_noise'][0]),
            samples=torch.stack([torch.from_numpy(x) for x in drawn['sample_noise']]),
            terminal=absent.terminal if terminal is None else terminal,
            heads=absent.heads if heads is None else heads,
            choice=torch.from_numpy(drawn['uniform'][0]) if 'uniform' in drawn
            else absent.choice)


@pytest.mark.parametrize('kind', KINDS)
@settings(max_examples=6, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.3, 1.0, 4.0]),
       budget=st.sampled_from([1e9, 2.0]), switch=st.booleans())
def test_run_time_planner_is_the_trained_one(
        exported: tuple[Planner, Networks], kind: str, seed: int, scale: float,
        budget: float, switch: bool) -> None:
    """Given the same noise, both planners take the same actions, over decisions in a row."""
    robot, networks = exported
    changed = {'kind': kind, 'cost_budget': budget, 'switch': switch, 'cost_weight': 0.3,
               'cost_threshold': 1.5}
    robot.change(robot.bundle.settings.at_run_time(changed))
    robot.reset()
    planner = PlannerModule(networks, robot.settings)
    recorder = Recorder(robot)
    random = np.random.default_rng(seed)
    try:
        for step in range(3):
            observation = (scale * random.standard_normal(CONTRACT.size)).astype(np.float32)
            # from the same memory: rounding errors would add up over decisions
            memory = memory_of(robot, planner)
            plan = robot.plan(observation, step)
            noise = recorder.noise(planner) if kind != 'policy' else planner.draw(1)
            given_observation = torch.from_numpy(observation).unsqueeze(0)
            encoding, choice, _ = planner.plan(given_observation, memory, noise)
            if not np.allclose(plan.action, choice.action[0], atol=1e-4):
                # where a rounding error tips the balance, neither is right
                assume(stable(planner, given_observation, memory, noise, choice.action))
            np.testing.assert_allclose(plan.action, choice.action[0], atol=1e-4)
            np.testing.assert_allclose(plan.policy_action, encoding.policy_action[0], atol=1e-4)
            assert (plan.source == 'plan') == bool(choice.improved)
            np.testing.assert_allclose(plan.latent, encoding.latent[0], atol=1e-4)
    finally:
        del robot._run


def memory_of(robot: Planner, planner: PlannerModule) -> Memory:
    """Return what the last decision left, as the other planner takes it."""
    return Memory(*(torch.from_numpy(robot._buffers[name].copy()) if name in robot._buffers
                    else absent for name, absent in zip(
                        ('memory_mean', 'memory_elites', 'warm'), planner.memory(1))))


def stable(planner: PlannerModule, observation: torch.Tensor, memory: Memory, noise: Noise,
           action: torch.Tensor) -> bool:
    """Return whether observations a hair apart lead to the same action."""
    for hair in (1e-6, -1e-6, 4e-6, -4e-6):
        _, choice, _ = planner.plan(observation * (1 + hair), memory, noise)
        if not torch.allclose(choice.action, action, atol=2e-5):
            return False
    return True


def pool_of(value: list[float], cost: list[float], planner: PlannerModule) -> Pool:
    """Return candidates of a single environment with the given worth and distinct actions."""
    n = len(value)
    actions = torch.linspace(-1, 1, n).view(1, 1, n, 1).expand(planner.settings.horizon, 1, n, 2)
    values, costs = torch.tensor([value]), torch.tensor([cost])
    return Pool(actions.contiguous(), values, costs, costs)


def refined(networks: Networks, value: list[float], cost: list[float], limit: float,
            floor: float, **changes: object) -> list[float]:
    """Return the actions of the elites that have any weight, best first."""
    base = {'samples': 4, 'policy_candidates': 2, 'elites': 2, 'limit_elites': True}
    planner = PlannerModule(networks, PlannerSettings(**{**base, **changes}))  # type: ignore[arg-type]
    start = Proposal(*[torch.zeros(0)] * 2, pool_of(value, cost, planner), torch.zeros(0),
                     torch.tensor([limit]), torch.tensor([floor]))
    search = planner.refine(start.pool, start, planner.knobs())
    counted = search.weights[0] > 1e-6
    return [round(float(x), 1) for x in search.elites[0, 0, counted, 0]]


def test_elites_are_the_best_that_count(networks: Networks) -> None:
    """A candidate counts when it is safe and good enough; the best of those are elites."""
    value, cost = [0.0, 1.0, 2.0, 3.0, 4.0, 1.5], [0.0, 0.0, 0.5, 0.0, 9.0, 0.0]
    actions = [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]
    assert refined(networks, value, cost, 1.0, 0.5) == [actions[3], actions[2]]
    assert refined(networks, value, cost, 1.0, 2.5) == [actions[3]]
    assert refined(networks, value, cost, 1.0, 0.5, cost_weight=3.0) == [actions[3], actions[5]]
    assert refined(networks, value, cost, 1e9, -1e9, kind='unsafe') == [actions[4], actions[3]]
    assert refined(networks, value, cost, 1.0, -1e9, kind='threshold') == [actions[3], actions[2]]


def test_where_nothing_counts(networks: Networks) -> None:
    """The policy's candidates are the elites, or those of least cost."""
    value, cost = [0.0, 1.0, 2.0, 3.0, 4.0, 1.5], [5.0, 4.0, 3.5, 3.0, 2.0, 6.0]
    assert refined(networks, value, cost, 1.0, 0.0) == [-0.6, -1.0]
    assert refined(networks, value, cost, 1.0, 0.0, fallback='least_cost') == [0.6, 0.2]
    assert refined(networks, value, cost, 2.5, -1e9, kind='threshold') == [0.6, 0.2]


@torch.no_grad()
def test_thresholds_by_kind(networks: Networks) -> None:
    """What a candidate must meet: the policy's level and the budget, a fixed cost, or nothing."""
    observation = torch.randn(1, CONTRACT.size, generator=torch.Generator().manual_seed(0))
    for changes, limit, floor in (
        ({}, 'k*', 'q*'), ({'cost_budget': 1e-3}, 1e-3, -1e9),
        ({'kind': 'threshold', 'cost_threshold': 1.5}, 1.5, -1e9), ({'kind': 'unsafe'}, 1e9, -1e9),
    ):
        planner = PlannerModule(networks, replace(SETTINGS['compact'], **changes))
        knobs, noise = planner.knobs(), planner.draw(1, torch.Generator().manual_seed(0))
        start = planner.propose(planner.encode(observation, knobs), noise.policy,
                                planner.memory(1), knobs, noise.terminal[0])
        theirs = {'k*': start.pool.cost[0, :8].mean(), 'q*': start.pool.value[0, :8].mean()}
        for actual, wanted in ((start.cost_threshold, limit), (start.value_threshold, floor)):
            assert actual.item() == pytest.approx(float(theirs.get(wanted, wanted)), rel=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_a_number_that_is_none_is_the_worst(networks: Networks) -> None:
    """A prediction that is not a number never makes a candidate look good."""
    observation = torch.randn(1, CONTRACT.size, generator=torch.Generator().manual_seed(0))
    for invalid, worst in (('worst', True), ('zero', False)):
        planner = PlannerModule(untrained_networks(CONTRACT, SMALL),
                          replace(SETTINGS['compact'], invalid=invalid))
        planner.networks.networks.cost_value.layers[-1].bias.fill_(torch.nan)
        knobs, noise = planner.knobs(), planner.draw(1)
        encoding = planner.encode(observation, knobs)
        start = planner.propose(encoding, noise.policy, planner.memory(1), knobs,
                                noise.terminal[0])
        expected = torch.full_like(start.pool.cost, INVALID if worst else 0.0)
        torch.testing.assert_close(start.pool.cost, expected)


@torch.no_grad()
def test_an_unsafe_policy_is_no_measure(networks: Networks) -> None:
    """Beyond the budget, a plan need only be safer than the policy; within it, also as good."""
    observation = torch.randn(64, CONTRACT.size, generator=torch.Generator().manual_seed(0))
    outcomes = {}
    for budget in (0.0, 1e9):
        planner = PlannerModule(networks, replace(SETTINGS['compact'], cost_budget=budget))
        noise = planner.draw(64, torch.Generator().manual_seed(0))
        encoding, choice, _ = planner.plan(observation, planner.memory(64), noise)
        safer = choice.plan_cost_value < encoding.policy_cost_value
        no_worse = ((choice.plan_value >= encoding.value_low)
                    & (choice.plan_cost_value <= encoding.cost_value_high))
        assert torch.equal(choice.improved, safer if budget == 0 else no_worse)
        outcomes[budget] = choice.improved
        executed = torch.where(choice.improved.unsqueeze(1), choice.plan_action,
                               encoding.policy_action)
        assert torch.equal(choice.action, executed)
    assert not torch.equal(*outcomes.values())


@torch.no_grad()
def test_environments_of_a_batch_do_not_mix(networks: Networks) -> None:
    """Planning for many environments at once gives what planning for each alone gives."""
    for chosen in SETTINGS.values():
        planner = PlannerModule(networks, chosen)
        generator = torch.Generator().manual_seed(5)
        observation = torch.randn(4, CONTRACT.size, generator=generator)
        noise, memory = planner.draw(4, generator), planner.memory(4)
        memory = Memory(memory.mean.uniform_(-1, 1, generator=generator),
                        memory.elites.uniform_(-1, 1, generator=generator),
                        torch.tensor([0.0, 1.0, 1.0, 0.0]))
        _, together, after = planner.plan(observation, memory, noise)
        for i in range(4):
            def one(x: torch.Tensor, dim: int, i: int = i) -> torch.Tensor:
                return x.narrow(dim, i, 1) if x.numel() else x
            alone = Noise(one(noise.policy, 1), one(noise.samples, 2), one(noise.terminal, 1),
                          one(noise.heads, 1), one(noise.choice, 0), one(noise.action, 0),
                          one(noise.policy_action, 0))
            own = Memory(one(memory.mean, 1), one(memory.elites, 1), one(memory.warm, 0))
            _, choice, left = planner.plan(observation[i:i + 1], own, alone)
            torch.testing.assert_close(choice.action[0], together.action[i])
            torch.testing.assert_close(left.mean[:, 0], after.mean[:, i])


@torch.no_grad()
def test_exact_bootstrap_is_the_sampled_ones_limit() -> None:
    """The interval by enumeration is that of very many resamples."""
    planner = PlannerModule(untrained_networks(CONTRACT, replace(SMALL, num_q=5)),
                      PlannerSettings(iterations=1))
    values = torch.tensor([[0.3], [1.0], [2.5], [2.6], [7.0]])
    low, high = planner._interval(values, planner.knobs())
    means = np.random.default_rng(0).choice(values[:, 0].numpy(), (200_000, 5)).mean(axis=1)
    np.testing.assert_allclose([low.item(), high.item()], np.quantile(means, [0.025, 0.975]),
                               atol=0.03)


@pytest.mark.parametrize('changes, message', [
    ({'min_std': 1.5, 'max_std': 1.0}, 'min_std 1.5 is above max_std 1.0'),
    ({'keep_elites': True}, 'keep_elites'),
    ({'elites': 20, 'samples': 8, 'policy_candidates': 4}, '20 elites are more than the 12'),
    ({'kind': 'best'}, "one of 'adaptive', 'threshold', 'unsafe', 'policy'"),
    ({'temperature': -1.0}, 'a number from 0.01 to 100'),
])
def test_settings_that_make_no_sense(changes: dict, message: str) -> None:
    """A wrong value, or two that contradict each other, are refused with what is wanted."""
    with pytest.raises(SpowlError, match=message):
        PlannerSettings(**changes)


def test_settings_survive_json() -> None:
    """What is written to a manifest comes back the same."""
    for chosen in SETTINGS.values():
        assert PlannerSettings.from_dict(chosen.to_dict()) == chosen
    with pytest.raises(SpowlError, match="no key 'horizont'; did you mean 'horizon'"):
        PlannerSettings.from_dict({'horizont': 3})
