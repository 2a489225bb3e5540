# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validations give the same figures wherever their episodes run."""

from __future__ import annotations

from dataclasses import replace
import logging
import multiprocessing
import time

import pytest
import torch

from spowl_ros.sim import environment
from spowl_ros.training.config import TrainConfig
from spowl_ros.training.networks import Networks
from spowl_ros.training.validation import Validation

Due = list[tuple[Networks, TrainConfig]]


@pytest.fixture(name='due')
def due_of_two(tiny: TrainConfig) -> Due:
    """Return two learners to validate, of which one also drives the perturbed robot."""
    contract = environment.contract(tiny.task, tiny.collect.action_repeat)
    config = replace(tiny, networks=tiny.networks.fitted(contract),
                     schedule=replace(tiny.schedule, evaluation_episodes=5))
    due = []
    for seed in range(2):
        torch.manual_seed(seed)
        networks = Networks(config.networks)
        torch.nn.init.normal_(networks.policy.layers[-1].bias)  # else it hardly moves
        due.append((networks, replace(config, schedule=replace(
            config.schedule, perturbed_episodes=2 * seed))))
    return due


@pytest.mark.slow
def test_processes_change_no_figure(due: Due) -> None:
    """Two processes give what this one gives, and this one's random numbers stay as they were."""
    state = torch.get_rng_state()
    here = Validation(0)(due)
    assert torch.equal(torch.get_rng_state(), state)
    apart = Validation(2)
    assert apart(due) == here
    apart.close()
    assert here[0].keys() < here[1].keys()
    assert here[0]['evaluation_return'] != here[1]['evaluation_return']


@pytest.mark.slow
def test_a_killed_process_is_replaced(due: Due, caplog: pytest.LogCaptureFixture) -> None:
    """The validation goes on in this process, and the next one has new processes."""
    apart = Validation(1)
    first = apart(due)
    for child in multiprocessing.active_children():
        child.kill()
    with caplog.at_level(logging.WARNING):
        assert apart(due) == first
    assert len(caplog.messages) == 1 and 'died' in caplog.messages[0]
    assert apart(due) == first
    assert len(caplog.messages) == 1
    apart.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_request_to_stop_ends_it(workers: int, due: Due) -> None:
    """An interrupted validation gives nothing, soon."""
    validation = Validation(workers)
    validation(due[:1])  # starts the process
    began = time.monotonic()
    assert validation(due * 20, lambda: False) == []
    assert time.monotonic() - began < 20
    validation.close()
