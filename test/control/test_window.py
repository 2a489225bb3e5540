# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The window of earlier observations and actions, from the networks to the controller."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spowl_ros.control import bundle as bundles
from spowl_ros.control.bundle import Bundle, BundleError
from spowl_ros.control.controller import Controller
from spowl_ros.control.observation import Observation
from spowl_ros.control.planner import Planner
from spowl_ros.control.planner_settings import PlannerSettings
from spowl_ros.control.window import Wide, Window
from spowl_ros.sim.environment import contract
from spowl_ros.training.checkpoint import bundle_networks
from spowl_ros.training.untrained import COMPACT, export_untrained

K = 2


@pytest.fixture(scope='module')
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle whose encoder reads a window of two."""
    return export_untrained(
        tmp_path_factory.mktemp('bundles') / 'window', contract('SafetyPointGoal1-v0', 5),
        replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32, window=K),
        PlannerSettings.compact(iterations=1, samples=8, policy_candidates=4, elites=4))


def rows(*parts: float) -> list[list[float]]:
    """Return rows (observation, action) from single numbers."""
    return [list(part) for part in zip(parts[::2], parts[1::2], strict=True)]


def test_the_newest_row_comes_first_and_a_beginning_stood_still() -> None:
    """Missing rows hold the episode's first observation and the action of rest."""
    window = Window(np.full((3, 2), np.nan, np.float32), np.array([0.5], np.float32))
    for observation, action, held in (
            (1.0, 0.1, rows(1, 0.5, 1, 0.5, 1, 0.5)), (2.0, 0.2, rows(1, 0.1, 1, 0.5, 1, 0.5)),
            (3.0, 0.3, rows(2, 0.2, 1, 0.1, 1, 0.5)), (4.0, 0.4, rows(3, 0.3, 2, 0.2, 1, 0.1))):
        window.see(np.array([observation], np.float32))
        np.testing.assert_allclose(window.rows, held)
        window.acted(np.array([9.0], np.float32))
        window.acted(np.array([action], np.float32))  # the last word counts
    window.begin()
    window.see(np.array([7.0], np.float32))
    np.testing.assert_allclose(window.rows, rows(7, 0.5, 7, 0.5, 7, 0.5))


def test_without_rows_an_observation_stays_as_it_is() -> None:
    """Networks without a window get the observation itself."""
    wide, seen = Wide(0, 2, np.zeros(1, np.float32)), np.ones(2, np.float32)
    assert wide.begin(seen) is seen and wide.after(np.ones(1, np.float32), seen) is seen


def test_the_planner_reads_the_window_that_training_reads(loaded: Bundle) -> None:
    """Latents on the robot are those of the networks, whoever acted; a reset begins anew."""
    assert (loaded.window, loaded.schema) == (K, bundles.WINDOW_SCHEMA)
    assert loaded.graphs['encode'].inputs['window'] == [1, K, loaded.contract.size + 2]
    networks, planner = bundle_networks(loaded), Planner(loaded)
    rng = np.random.default_rng(0)
    for _ in range(2):
        wide = Wide(K, loaded.contract.size, np.zeros(2, np.float32))
        action = None
        for step in range(6):
            seen = rng.uniform(-1, 1, loaded.contract.size).astype(np.float32)
            read = wide.begin(seen) if action is None else wide.after(action, seen)
            plan = planner.plan(seen, step)
            with torch.no_grad():
                wanted = networks.encode(torch.from_numpy(read).unsqueeze(0))[0].numpy()
            np.testing.assert_allclose(plan.latent, wanted, atol=1e-5)
            action = np.array(plan.action, np.float32)
            if step % 2:  # a person acted
                action = np.array([0.3, -0.8], np.float32)
                planner.executed('neither', (0.3, -0.8))
        planner.reset()


def test_the_controller_begins_anew_after_a_stop_and_a_reset(loaded: Bundle) -> None:
    """After an episode's beginning, or a decision without a plan, nothing earlier is read."""
    def observation(index: int) -> Observation:
        count = len(loaded.contract.fields)
        now_ns = 10**12 + index * round(loaded.contract.control_period * 1e9)
        values = np.random.default_rng(index).uniform(0.0, 0.3, loaded.contract.size)
        return Observation(values.astype(np.float32), np.full(count, now_ns), now_ns,
                           np.zeros(count))

    def latent(controller: Controller, index: int) -> np.ndarray:
        plan = controller.decide(observation(index)).plan
        assert plan is not None
        return plan.latent

    driving, fresh = Controller(loaded), Controller(loaded)
    first = latent(driving, 0)
    assert not np.array_equal(latent(driving, 1), latent(fresh, 1))
    driving.reset()
    np.testing.assert_array_equal(latent(driving, 0), first)
    latent(driving, 1)
    driving.stop(10**12 + 10**8, 'nothing was sensed')
    fresh.reset()
    np.testing.assert_array_equal(latent(driving, 2), latent(fresh, 2))
    driving.took(None)  # an observation was missed
    fresh.reset()
    np.testing.assert_array_equal(latent(driving, 4), latent(fresh, 4))


@pytest.mark.parametrize('change', [
    lambda manifest: manifest.update(schema=3),
    lambda manifest: manifest['contract']['action'].update(names=['x'], low=[-1.0], high=[1.0],
                                                           stop=[0.0])])
def test_a_window_that_does_not_fit_is_refused(loaded: Bundle, tmp_path: Path, change) -> None:
    """Another schema, which says that there is no window, or rows of another size."""
    for name, data in loaded.content.items():
        (tmp_path / name).write_bytes(data)
    manifest = json.loads(loaded.content[bundles.MANIFEST])
    change(manifest)
    text = json.dumps(manifest).encode()
    (tmp_path / bundles.MANIFEST).write_bytes(text)
    (tmp_path / bundles.MANIFEST_DIGEST).write_text(
        f'{bundles._digest(text)}  {bundles.MANIFEST}\n')
    with pytest.raises(BundleError, match='window|actions'):
        bundles.load(tmp_path)
