# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A verb whose extra is missing says so before it does anything."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from spowl_ros.cli import _extras
from spowl_ros.cli import main as cli


@pytest.mark.parametrize(('module', 'command', 'said'), [
    ('torch', 'train PointGoal1', "this needs PyTorch: pip install 'spowl_ros[train]'"),
    ('onnx', 'export absent absent', "this needs ONNX: pip install 'spowl_ros[train]'"),
    ('mujoco', 'evaluate absent', "this needs MuJoCo: pip install 'spowl_ros[sim]'"),
    ('matplotlib', 'replay absent absent --report x.html',
     "this needs matplotlib: pip install 'spowl_ros[report]'"),
    ('viser', 'view absent', "this needs viser: pip install 'spowl_ros[view]'"),
    ('rerun', 'view absent --rerun x.rrd', "this needs rerun-sdk: pip install 'spowl_ros[rerun]'"),
    ('ray', 'sweep absent', "this needs Ray: pip install 'spowl_ros[scale]'"),
    ('ray', 'replay absent absent --address local',
     "this needs Ray: pip install 'spowl_ros[scale]'"),
    ('rclpy', 'top', 'this needs ROS 2: source'),
    ('rclpy', 'replay absent absent --live', 'this needs ROS 2: source'),
])
def test_what_is_missing_is_named_with_its_extra(
    module: str, command: str, said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2 and the command that installs it, before files are looked at."""
    real = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == module else real(name, *rest)

    monkeypatch.setattr(_extras.importlib.util, 'find_spec', find)
    assert cli.main(command.split()) == 2
    assert capsys.readouterr().err.startswith(f'spowl: error: {said}')


def test_what_is_not_asked_for_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay without report needs no plots, and inspecting needs nothing."""
    monkeypatch.setattr(_extras.importlib.util, 'find_spec', lambda name: None)
    for command in ('replay absent absent', 'inspect absent', 'verify absent'):
        assert cli.main(command.split()) == 2
        assert 'this needs' not in capsys.readouterr().err
