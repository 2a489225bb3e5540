# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Starts of a controller that must fail with a message, and never move the robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import shutil
import tempfile
import time

from benchmarks.faults import HOLD_PERIODS, START_S, System
from benchmarks.robot_stand import NodeProcess


@dataclass(frozen=True)
class BadStart:
    """A controller that must not start."""

    name: str
    words: str
    """Part of its last message."""
    parameters: Callable[[Path, Path], dict[str, object]] = lambda model, folder: {}
    """From the model and a folder to write in: parameters beside, or instead of, good ones."""
    file: str | None = None
    """Text of its parameter file; empty: the file does not exist; None: there is none."""


@dataclass(frozen=True)
class Refusal:
    """Outcome of a bad start."""

    seconds: float
    """Until the process had ended."""
    code: int
    says: str
    robot_gets: str
    """'stop', 'commands' or 'nothing', until then."""


def bad_starts() -> list[BadStart]:
    """Return every bad start that a controller must refuse."""
    def section(text: str) -> str:
        return f'/**/controller: {{ros__parameters: {{{text}}}}}\n'

    return [
        BadStart('bundle missing', 'there is no model in',
                 lambda model, folder: {'model': str(folder / 'nowhere')}),
        BadStart('bundle corrupted (one byte of the weights)', 'weights.bin: SHA-256', _flipped),
        BadStart('bundle for another robot', 'the robot does not fit', _other_robot),
        BadStart('parameter file: no such name', "no parameter 'modle'", file=section('modle: x')),
        BadStart('parameter file: wrong type', "'threads' is 'many'",
                 file=section('threads: many')),
        BadStart('parameter file: out of range', "'planner.iterations' is 1000",
                 file=section('planner.iterations: 1000')),
        BadStart('parameter file: none of the choices', "'planner.kind' is 'bold'",
                 file=section('planner.kind: bold')),
        BadStart('parameter file: not a number', "'planner.temperature' is nan",
                 file=section('planner.temperature: .nan')),
        BadStart('parameter file: not YAML', 'parameters.yaml', file='/**: {ros__parameters: ['),
        BadStart('parameter file: missing', 'parameters.yaml', file=''),
    ]


def try_to_start(system: System, bad: BadStart) -> Refusal:
    """Start a controller beside a supervisor that has none, and watch it refuse."""
    stand = system.stand
    good = system.specs['controller']
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = None if bad.file is None else folder / 'parameters.yaml'
        if file is not None and bad.file:
            file.write_text(bad.file)
        parameters = bad.parameters(Path(str(good.parameters['model'])), folder)
        start = time.monotonic()
        process = NodeProcess('controller', {**good.parameters, **parameters},
                              good.remappings, file)
        code = process.wait(START_S)
        seconds = time.monotonic() - start
    time.sleep(HOLD_PERIODS * stand.contract.control_period)
    stops = [stand.is_stop(values) for when, values in stand.commands if when >= start]
    gets = 'nothing' if not stops else 'stop' if all(stops) else 'commands'
    return Refusal(seconds, code, process.output.strip(), gets)


def _flipped(model: Path, folder: Path) -> dict[str, object]:
    """Return a copy of a bundle with one bit flipped."""
    shutil.copytree(model, folder / 'model')
    weights = bytearray((folder / 'model' / 'weights.bin').read_bytes())
    weights[100] ^= 1
    (folder / 'model' / 'weights.bin').write_bytes(weights)
    return {'model': str(folder / 'model')}


def _other_robot(model: Path, folder: Path) -> dict[str, object]:
    """Return a robot with a sensor that the model does not know."""
    robot = folder / 'robot.yaml'
    robot.write_text('inputs: {front_left_wheel: {topic: wheels}}\n')
    return {'robot': str(robot)}
