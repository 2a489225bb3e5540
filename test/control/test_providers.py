# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The graphs run where they are wanted, or on the CPU with a line that says why."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import onnxruntime
import pytest

from spowl_ros.cli.main import main
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.planner import Planner
from spowl_ros.control.providers import CPU, PROVIDERS

THERE = onnxruntime.get_available_providers()
GIVES_UP = """
import sys, threading
from pathlib import Path
from spowl_ros.base.errors import SpowlError
from spowl_ros.control import providers
model = Path(sys.argv[1])
graph = (model / 'propose.onnx').read_bytes()
late = 0
for number in range(60):
    providers.OPENING_LIMIT_S = 0.0005 * (1 + number % 20)
    try:
        providers.open_session('it', graph, ('weights.bin', (model / 'weights.bin').read_bytes()),
                               1, 'cpu')
    except SpowlError:
        late += 1
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
print(late)
"""
"""Waits for a graph for 0.5 to 10 ms."""


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


@pytest.mark.slow
def test_whoever_stops_waiting_for_a_graph_lives() -> None:
    """The thread that still opens it has its weights, on Ctrl-C too, which ends the wait alike."""
    model = Path(__file__).parents[2] / 'models' / 'SafetyPointGoal1-v0'
    done = subprocess.run([sys.executable, '-c', GIVES_UP, str(model)], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
