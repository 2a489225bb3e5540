# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations count what happened, whoever decides and however many processes run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import psutil
import pytest
import torch

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.seeds import CALIBRATION, EVALUATION, FIRST_TRAINING, VALIDATION
from spowl_ros.cli import evaluate as verb
from spowl_ros.cli import main
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.evaluation.episodes import Evaluation, evaluate, side_by_side
from spowl_ros.sim import environment
from spowl_ros.training import checkpoint
from spowl_ros.training.agent import NetworkAgents, PlannerAgent, joined
from spowl_ros.training.config import from_dict
from spowl_ros.training.networks import Networks
from spowl_ros.training.planner import PlannerModule

TASK = 'SafetyPointGoal1-v0'
REPEAT = 20
KEYS = ('task', 'planner', 'episodes', 'returns', 'costs', 'return', 'cost', 'cost_free_fraction',
        'source_fraction', 'seconds')


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of small untrained networks whose values are not all zero."""
    torch.manual_seed(0)
    config = from_dict({
        'task': TASK, 'collect': {'action_repeat': REPEAT},
        'networks': {'obs_dim': 60, 'action_dim': 2, 'latent_dim': 16, 'enc_dim': 16,
                     'mlp_dim': 16, 'num_c': 2, 'num_q': 2},
        'planner': {'iterations': 1, 'samples': 8, 'policy_candidates': 4, 'elites': 4}})
    networks = Networks(config.networks)
    for parameter in networks.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp('checkpoint') / 'best.pt'
    checkpoint.save(path, {'config': config.to_dict(), 'networks': networks.state_dict(),
                           'counters': {'updates': 0}})
    return path


class Turning:
    """Drives in circles, in every other episode the other way round."""

    window = 0

    def begin(self, seeds: Sequence[int]) -> None:
        """Nothing is random."""

    def paid(self, lane: int, cost: float) -> None:
        """Nothing is kept."""

    def act(self, lanes: Sequence[int], observations: NDArray[np.float32]
            ) -> tuple[NDArray[np.float32], list[str]]:
        """Return the same for every observation."""
        return (np.array([[0.5, 0.5 * (-1) ** lane] for lane in lanes], np.float32),
                ['plan' if lane % 2 else 'policy' for lane in lanes])


def test_side_by_side_equals_one_after_the_other() -> None:
    """Episodes that run together are the episodes that would run alone."""
    seeds = EVALUATION[:3]
    environments = [environment.make(TASK, action_repeat=REPEAT) for _ in seeds]
    together = side_by_side(Turning(), environments, seeds)
    alone = environments[0]
    for lane, episode in enumerate(together):
        alone.reset(seed=seeds[lane])
        reward = cost = 0.0
        for _ in range(1000 // REPEAT):
            result = alone.step([0.5, 0.5 * (-1) ** lane])
            reward, cost = reward + result.reward, cost + result.cost
        assert result.truncated
        assert (episode.seed, episode.reward, episode.cost) == (seeds[lane], reward, cost)
        assert (episode.decisions, episode.raw_steps) == (1000 // REPEAT, 1000)
        assert episode.action_change == 0.0
        assert episode.sources == {'plan' if lane % 2 else 'policy': 1000 // REPEAT}


@pytest.mark.slow
def test_processes_give_the_same_episodes(saved: Path) -> None:
    """Episodes in worker processes are those of this process, in the order of the seeds."""
    settings = PlannerSettings.compact(kind='policy')
    source = NetworkAgents(saved, settings, TASK, REPEAT, 'cpu', lanes=1)
    told: list[int] = []
    here = evaluate(source, 'policy', EVALUATION[:3])
    there = evaluate(source, 'policy', EVALUATION[:3], workers=2, on_steps=told.append)
    assert here.episodes == there.episodes
    assert all(0.0 < episode.action_change < 2.0 for episode in here.episodes)
    assert told == sorted(told)
    assert [episode.seed for episode in there.episodes] == list(EVALUATION[:3])


def test_dead_worker_is_reported(saved: Path) -> None:
    """A worker that is killed ends the evaluation with a reason."""
    source = NetworkAgents(saved, PlannerSettings.compact(kind='policy'), TASK, 1, 'cpu', lanes=1)

    def kill(steps: int) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # killed the last time, and not yet gone
                if 'spawn_main' in ' '.join(child.cmdline()):
                    child.kill()

    with pytest.raises(SpowlError, match='worker process died'):
        evaluate(source, 'policy', EVALUATION[:4], workers=2, on_steps=kill)


def test_command_writes_the_figures(saved: Path, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints and writes the same figures, with the keys that others rely on."""
    file = tmp_path / 'figures.json'
    assert main.main(['evaluate', str(saved), '--episodes', '2', '--planner', 'unsafe',
                      '--json', str(file)]) == 0
    figures = json.loads(file.read_text())
    assert tuple(figures)[:len(KEYS)] == KEYS
    assert figures['episodes'] == len(figures['returns']) == len(figures['costs']) == 2
    assert figures['seeds'] == list(EVALUATION[:2])
    assert figures['return']['mean'] == pytest.approx(np.mean(figures['returns']))
    assert figures['source_fraction'] == {'plan': 1.0}  # unsafe comes without the switch
    assert f"{figures['return']['mean']:.2f}" in capsys.readouterr().out


def test_what_was_measured_before_an_error_is_kept(
        saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """Each episode is handed on as it ends; an error later costs none of them."""
    source = NetworkAgents(saved, PlannerSettings.compact(kind='policy'), TASK, 1, 'cpu', lanes=1)
    kept: list[Evaluation] = []

    def fail(steps: int) -> None:
        if kept:
            raise SpowlError('the power went')

    with pytest.raises(SpowlError, match='power'):
        evaluate(source, 'policy', EVALUATION[:2], on_steps=fail, on_episodes=kept.append)
    assert [episode.seed for episode in kept[0].episodes] == [EVALUATION[0]]
    assert len(kept) == 1

    def interrupted(*_: object, on_episodes: Callable[[Evaluation], None], **__: object) -> None:
        on_episodes(kept[0])
        raise SpowlError('the power went')

    monkeypatch.setattr('spowl_ros.evaluation.episodes.evaluate', interrupted)
    file = tmp_path / 'figures.json'
    assert main.main(['evaluate', str(saved), '--episodes', '2', '--json', str(file)]) == 2
    assert json.loads(file.read_text())['seeds'] == [EVALUATION[0]]
    assert '1 episodes' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'reason'), [
    (['--set', 'swich=false'], 'swich'),
    (['--set', 'switch'], 'NAME=VALUE'),
    (['--perturb', 'weight=2'], 'mass'),
    (['--json', '/nowhere/figures.json'], '/nowhere'),
    (['--device', 'abacus'], 'abacus'),
])
def test_bad_arguments_are_one_line(saved: Path, arguments: list[str], reason: str,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is named in one line, and the exit code is not zero."""
    assert main.main(['evaluate', str(saved), *arguments]) == 2
    error = capsys.readouterr().err
    assert reason in error.splitlines()[-1]


def test_bundle_and_checkpoint_agree(untrained_bundle: Path) -> None:
    """A bundle's own sizes stay, its switch and its monitors can be turned off."""
    source, details = verb.open_model(untrained_bundle, 'threshold', {}, monitors=False)
    assert details['settings']['planner.switch'] is False
    assert details['settings']['sensor_margin.rule.level'] == 'off'
    agent = source.open()
    agent.begin([EVALUATION[0]])
    simulated = environment.make(source.task, action_repeat=source.action_repeat)
    observation = simulated.reset(seed=EVALUATION[0])
    for _ in range(5):
        actions, sources = agent.act([0], observation[None])
        assert sources == ['plan']
        observation = simulated.step(actions[0]).observation
    with pytest.raises(SpowlError, match='fixed'):
        verb.open_model(untrained_bundle, 'adaptive', {'samples': 7})


@pytest.mark.slow
def test_a_bundle_is_evaluated_as_it_ships(untrained_bundle: Path, tmp_path: Path) -> None:
    """Without --planner, one that ships with planning off is evaluated without planning."""
    off, file = tmp_path / 'off', tmp_path / 'figures.json'
    assert main.main(['export', str(untrained_bundle), str(off), '--set', 'kind=policy']) == 0
    for arguments, planner in (([], 'policy'), (['--planner', 'adaptive'], 'adaptive')):
        assert main.main(['evaluate', str(off), '--episodes', '1', '--json', str(file),
                          *arguments]) == 0
        figures = json.loads(file.read_text())
        assert figures['planner'] == planner
        assert (figures['source_fraction'] == {'policy': 1.0}) == (planner == 'policy')


@pytest.mark.slow
def test_a_budget_stops_planning(untrained_bundle: Path, tmp_path: Path) -> None:
    """Once an episode may exceed its budget, the policy acts; without a budget the plan does."""
    file = tmp_path / 'figures.json'
    for limit, fraction in ((0.0, {'plan': 1.0}), (1e-9, {'policy': 1.0})):
        assert main.main(['evaluate', str(untrained_bundle), '--episodes', '1',
                          '--set', 'switch=false', '--set', f'budget.limit={limit}',
                          '--json', str(file)]) == 0
        assert json.loads(file.read_text())['source_fraction'] == fraction


def test_networks_of_a_bundle_decide_as_it_does(untrained_bundle: Path) -> None:
    """PyTorch on a device drives a bundle's episodes as the bundle does, many at once."""
    controller, _ = verb.open_model(untrained_bundle, 'policy', {}, monitors=False)
    source, details = verb.open_model(untrained_bundle, 'policy', {}, monitors=False,
                                      device='cpu')
    assert source.lanes == verb.CPU_LANES
    assert details['device'] == 'cpu'
    one, many = controller.open(), source.open()
    one.begin([EVALUATION[0]])
    many.begin(EVALUATION[:2])
    simulated = environment.make(source.task, action_repeat=source.action_repeat)
    observation = simulated.reset(seed=EVALUATION[0])
    for _ in range(5):
        wanted, _ = one.act([0], observation[None])
        actions, sources = many.act([0, 1], np.stack([observation, observation]))
        np.testing.assert_allclose(actions, np.repeat(wanted, 2, axis=0), atol=1e-5)
        assert sources == ['policy', 'policy']
        observation = simulated.step(wanted[0]).observation
    with pytest.raises(SpowlError, match='--monitors off'):
        verb.open_model(untrained_bundle, 'policy', {}, device='cpu')


def test_lanes_do_not_mix(saved: Path) -> None:
    """What an episode's planner does hangs on its own seed and past, not on its neighbours."""
    networks, config = checkpoint.load_networks(saved)
    observations = np.random.default_rng(0).uniform(-1, 1, (6, 3, 60)).astype(np.float32)
    together, alone = (PlannerAgent(networks, config.planner) for _ in range(2))
    together.begin([1, 2, 3])
    alone.begin([2])
    for step in range(6):
        lanes = [0, 1, 2] if step < 3 else [1, 2]  # the first episode ends early
        joint, _ = together.act(lanes, observations[step, lanes])
        single, _ = alone.act([0], observations[step, 1:2])
        np.testing.assert_allclose(joint[lanes.index(1)], single[0], atol=1e-5)


def test_joined_noise_is_each_ones_own() -> None:
    """Noise of single environments keeps its place whatever the planner draws."""
    networks = Networks(from_dict({'task': TASK, 'networks': {
        'obs_dim': 60, 'action_dim': 2, 'latent_dim': 16}}).networks)
    for chosen in (PlannerSettings(samples=8, policy_candidates=2, elites=4),
                   PlannerSettings.compact()):
        planner = PlannerModule(networks, chosen)
        parts = [planner.draw(1, torch.Generator().manual_seed(i)) for i in range(3)]
        whole, pattern = joined(parts), planner.draw(3)
        for name, value in whole._asdict().items():
            assert value.shape == getattr(pattern, name).shape, name
        assert torch.equal(whole.samples[:, :, 1], parts[1].samples[:, :, 0])


def test_uses_share_no_seed() -> None:
    """Evaluation, calibration, validation and training never meet the same episode."""
    uses = [EVALUATION, CALIBRATION, VALIDATION]
    assert len(set().union(*uses)) == sum(len(use) for use in uses)
    assert max(map(max, uses)) < FIRST_TRAINING
