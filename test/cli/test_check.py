# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of `spowl check` are whole on a terminal of 80 columns."""

from __future__ import annotations

import json
from pathlib import Path
import re
from typing import Any

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import read
from spowl_ros.base.share import share_directory
from spowl_ros.cli.check import fit, print_heard, print_mapping
from spowl_ros.robot import config
from spowl_ros.robot.report import Heard
from spowl_ros.sim.environment import contract

EXAMPLE = Path(__file__).resolve().parents[2] / 'config' / 'robot' / 'diff_drive.yaml'
TASK = 'SafetyPointGoal1-v0'
LONG_TOPIC = '/' + 90 * 'Q'


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a terminal of 80 columns."""
    monkeypatch.setenv('COLUMNS', '80')


def test_the_example_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """Every word of the example's mapping stands unbroken, and no line is too long."""
    robot = config.load(EXAMPLE)
    fits = robot.applied_to(contract(TASK, 4))
    print_mapping(fits, robot)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = set(printed.split())
    for field in fits.fields:
        given = robot.inputs[field.name]
        wanted = {field.name, field.topic, str(field.size), given.frame or 'any',
                  *([given.type, given.field] if given.type else [field.sensor])}
        assert wanted <= words


@pytest.mark.parametrize(('data', 'words'), [
    ({'parameters': {'controller': {'planner.temperatur': 1.0}}},
     "parameters.controller: there is no parameter 'planner.temperatur'"),
    ({'parameters': {'controller': {'planner.horizon': 99}}}, 'planner.horizon'),
    ({'parameters': {'adapter': {'speed': 100.0}}}, "parameters.adapter: 'speed' is 100"),
    ({'parameters': {'controller': {'seed': -1, 'threads': 0}}}, "'threads' is 0"),
    ({'parameters': {'controller': {'seed': -1, 'threads': 0}}}, "'seed' is -1"),
    ({}, 'limits: none for'),
    ({'command': {'topic': 'command_raw'}}, 'where the supervisor listens'),
    ({'command': {'type': 'Twist'}}, 'needs the axis'),
    ({'inputs': {'gyro': {'type': 'nav_msgs/msg/Odometry', 'field': 'twist.spin'}}},
     "has no 'twist.spin'"),
    ({'inputs': {'gyro': {'topic': 'velocity'}}}, 'a topic has one type'),
])
def test_what_would_not_start_does_not_fit(untrained_bundle: Path, tmp_path: Path,
                                           data: dict[str, Any], words: str) -> None:
    """Each mistake that a node would refuse is refused before one starts, in one line."""
    file = tmp_path / 'robot.yaml'
    file.write_text(json.dumps(data))
    with pytest.raises(SpowlError, match=re.escape(words)) as caught:
        fit(file, untrained_bundle)
    assert '\n' not in str(caught.value)


def test_the_adapter_fits_its_task_only(tmp_path: Path) -> None:
    """A robot with an adapter does not fit a model of other sensors; a damaged one fits none."""
    file = tmp_path / 'robot.yaml'
    file.write_text('adapter: true')
    models = share_directory() / 'models'
    with pytest.raises(SpowlError, match='the adapter is made for'):
        fit(file, models / 'SafetyAntGoal1-v0')
    with pytest.raises(SpowlError, match='no model'):
        fit(file, tmp_path)


def test_what_is_too_long_is_broken_and_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a topic longer than the line every character is there, in both tables."""
    robot = read(config.RobotConfig, {'inputs': {'gyro': {'topic': LONG_TOPIC}}})
    fits = robot.applied_to(contract(TASK, 4))
    print_mapping(fits, robot)
    assert capsys.readouterr().out.count('Q') == LONG_TOPIC.count('Q')
    print_heard([Heard(field, field.topic, refused=1) for field in fits.fields])
    table, _, problems = capsys.readouterr().out.partition('gyro (')
    assert table.count('Q') == LONG_TOPIC.count('Q')
    assert problems.startswith(f'{LONG_TOPIC}): 1 messages refused')
