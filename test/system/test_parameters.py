# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which parameters of a file are whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.system.parameters import ParameterFile

CONFIG = Path(__file__).parents[2] / 'config'
ALL = '/player', '/robot1/supervisor', '/a/b/player'


@pytest.mark.parametrize(('section', 'meant'), [
    ('/**', {'/player', '/robot1/supervisor', '/a/b/player'}),
    ('/*', {'/player'}), ('player', {'/player'}), ('/player', {'/player'}),
    ('/**/player', {'/player', '/a/b/player'}), ('/*/supervisor', {'/robot1/supervisor'}),
    ('/robot1/*', {'/robot1/supervisor'}), ('/robot1/supervisor', {'/robot1/supervisor'}),
    ('/a/**', {'/a/b/player'}),
])
def test_sections_mean_the_nodes_that_ros_takes_them_for(
    section: str, meant: set[str], tmp_path: Path
) -> None:
    """One star is one part of a name, two are any number of them."""
    path = tmp_path / 'my.yaml'
    path.write_text(f"'{section}': {{ros__parameters: {{x: off}}}}\n")
    file = ParameterFile(str(path), ALL)
    found = {node for node in ALL if file.of(node)}
    assert found == meant
    assert all(file.of(node) == {'x': 'off'} for node in found)


@pytest.mark.parametrize(('text', 'reason'), [
    ('player: {ros__parameters: [1]}', 'names with values'),
    ('player: {ros__parameters: {x: ~}}', 'x is None; wanted text, a number'),
    ('player: {ros__parameters: {x: 1, x: 2}}', "'x' stands twice"),
    ('player: {ros__parameters: {x: &a 1, y: *a}}', 'anchor'),
    ('/robot2/supervisor: {ros__parameters: {x: 1}}', 'no section is for /player or /robot1/'),
    ('{}', 'no section is for'),
])
def test_what_is_no_parameter_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    """The file is named, and what in it is wrong."""
    path = tmp_path / 'my.yaml'
    path.write_text(text)
    with pytest.raises(SpowlError, match=f'params_file .*my.yaml.*{reason}'):
        ParameterFile(str(path), ALL)


@pytest.mark.parametrize('name', ['sim.yaml', 'robot.yaml'])
def test_the_examples_change_nothing_until_edited(name: str, tmp_path: Path) -> None:
    """As shipped all is commented out; without the comments every value is the default."""
    assert ParameterFile(str(CONFIG / name), ['/controller']).of('/controller') == {}
    text = (CONFIG / name).read_text()
    edited = tmp_path / name
    edited.write_text(text.replace('    # planner.iterations: ', '    planner.iterations: '))
    file = ParameterFile(str(edited), ['/robot/controller'])
    assert list(file.of('/robot/controller')) == ['planner.iterations']
