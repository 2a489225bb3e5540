# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The graphs run where they are wanted, or on the CPU with a line that says why."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from spowl_ros.cli.main import main
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.planner import Planner
from spowl_ros.control.providers import CPU, PROVIDERS

THERE = onnxruntime.get_available_providers()


@pytest.mark.parametrize('provider', [name for name in PROVIDERS if name != CPU])
def test_golden_vectors_hold_under_each_provider_or_the_cpu_takes_over(
        untrained_bundle: Path, provider: str) -> None:
    """A provider that is here reproduces the golden vectors; another is replaced, in one line."""
    loaded = bundle.load(untrained_bundle, provider=provider)
    if loaded.provider == provider:
        assert PROVIDERS[provider][0] in THERE and not loaded.fallback
    else:
        assert loaded.provider == CPU
        assert provider in loaded.fallback and '\n' not in loaded.fallback
    assert len(Planner(loaded).settings.kind) > 0
    # a record says where the graphs ran, if not on the CPU, where a replay runs them
    assert ('provider' in Controller(loaded)._identity) == (loaded.provider != CPU)


def test_verify_does_not_accept_another_provider(untrained_bundle: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    """`spowl verify --provider` fails where the provider is not to be had."""
    missing = next(name for name, (theirs, _) in PROVIDERS.items() if theirs not in THERE)
    assert main(['verify', str(untrained_bundle)]) == 0
    assert 'agree on cpu' in capsys.readouterr().out
    assert main(['verify', str(untrained_bundle), '--provider', missing]) == 2
    assert f"provider '{missing}'" in capsys.readouterr().err
