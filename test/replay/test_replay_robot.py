# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot with topics and units of its own is recorded as it drives, and replayed."""

from __future__ import annotations

import json
from pathlib import Path
import re
import time

import pytest

from spowl_ros.bags.context import read_context
from spowl_ros.bags.reader import Bag
from spowl_ros.base import share
from spowl_ros.cli.main import main
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

pytestmark = pytest.mark.slow

ROBOT = share.share_directory() / 'config' / 'robot' / 'diff_drive.yaml'
PATIENCE_S = 90.0
DRIVE_S = 6.0


def record(path: Path, bundle: Path) -> None:
    """Let the example robot drive for a while in a namespace, recorded from its first moment."""
    *drivers, recorder = system.robot(system.RobotArguments(
        robot=str(ROBOT), model=str(bundle), namespace='red', released=True,
        record=str(path)))
    simulated = system.NodeSpec('diff_drive', 'red', {'seed': 1})
    with RunningSystem([simulated, recorder]) as early:
        _wait_for('/red/odom', path, early)
        with RunningSystem(drivers) as nodes:
            _wait_for('/red/controller/decision', path, nodes)
            time.sleep(DRIVE_S)


def _wait_for(topic: str, path: Path, nodes: RunningSystem) -> None:
    """Wait until messages of a topic are in a bag that is being written."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        nodes.poll(print)
        time.sleep(0.5)
        if path.exists() and any(file.stat().st_size for file in path.iterdir()):
            with Bag(path) as bag:
                if topic in bag.topics:
                    return
    raise AssertionError(f'nothing on {topic} is recorded')


def test_it_is_replayed_with_its_file(ros_domain: int, untrained_bundle: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    """With --robot every decision agrees; without, it is said what is missing."""
    record(tmp_path / 'bag', untrained_bundle)
    figures = tmp_path / 'figures.json'
    arguments = ['replay', str(tmp_path / 'bag'), str(untrained_bundle)]
    assert main([*arguments, '--robot', str(ROBOT), '--json', str(figures), '--report',
                 str(tmp_path / 'report.html')]) == 0
    said = capsys.readouterr().out
    assert 'no costs were recorded' in said
    found = json.loads(figures.read_text())
    assert found['decisions'] > 20
    assert found['identical'] is True
    assert found['decisions_without_inputs'] == 0
    assert found['return'] is None and found['cost'] is None
    assert found['cost_value_calibration']['bias'] is None
    with Bag(tmp_path / 'bag') as bag:
        assert read_context(bag).parameters['/red/controller']['robot'] == str(ROBOT)

    assert main(arguments) == 0
    assert re.search(rf'with the robot of {re.escape(str(ROBOT))}; give its file with --robot',
                     capsys.readouterr().out)
    assert main([*arguments, '--robot', str(tmp_path / 'no.yaml')]) == 2
    assert 'no.yaml' in capsys.readouterr().err
