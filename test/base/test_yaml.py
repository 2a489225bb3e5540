# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""YAML is taken as it is written, and what could blow up is refused soon."""

from __future__ import annotations

import os
from pathlib import Path
import time
from typing import Any

from hypothesis import given, settings, strategies
import pytest

from spowl_ros.base import yaml
from spowl_ros.base.errors import SpowlError

PLAIN = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers(-2 ** 63, 2 ** 63)
    | strategies.floats(allow_nan=False) | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3)
    | strategies.dictionaries(strategies.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8)


@pytest.mark.parametrize(('text', 'value'), [
    ('off', 'off'), ('on', 'on'), ('yes', 'yes'), ('1:30', '1:30'), ('2026-01-01', '2026-01-01'),
    ('true', True), ('False', False), ('3', 3), ('010', 10), ('0x10', 16), ('1e-3', 1e-3),
    ('.inf', float('inf')), ('~', None), ('', None), ('"3"', '3'), ("'off'", 'off'),
    ('[1, 2.5, a]', [1, 2.5, 'a']), ('{a: {b: c}}', {'a': {'b': 'c'}}),
    ('<<: {a: 1}', {'<<': {'a': 1}}), ('1_000', '1_000'),
])
def test_words_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    """Nothing that YAML 1.1 makes of a word is made of it here."""
    found = yaml.load(text)
    assert found == value
    assert type(found) is type(value)


@given(PLAIN)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(data: Any) -> None:
    """Any plain value survives, text that looks like something else too."""
    assert yaml.load(yaml.dump(data)) == data


BILLION = 'a: &a [x]\n' + ''.join(
    f'{name}: &{name} [{", ".join([f"*{before}"] * 9)}]\n'
    for before, name in zip('abcdefgh', 'bcdefghi'))
MERGES = 'a: &a {x: 1}\n' + ''.join(
    f'{name}: &{name} {{<<: [{", ".join([f"*{before}"] * 9)}]}}\n'
    for before, name in zip('abcdefgh', 'bcdefghi'))


@pytest.mark.parametrize(('text', 'reason'), [
    (BILLION, 'anchor or alias'), (MERGES, 'anchor or alias'), ('a: 1\na: 2', "'a' stands twice"),
    ('9' * 5000, '5000 characters'), ('1' * 30, '64 bits'), ('[' * 100_000, 'more than 32 levels'),
    ('{a: ' * 50_000, 'more than 32 levels'), ('[' + '1,' * 100_000 + ']', '20000 values'),
    ('x' * 300_000, 'longer than'), ('!!python/object:os.system x', 'a tag'),
    ('a\n---\nb', 'second document'), ('a: [', 'line 1'), ('? [1]\n: 2', 'no plain word'),
    ('\0', 'not allowed'), ('a: "\\x', 'line 1'),
])
def test_what_could_blow_up_is_refused_soon(text: str, reason: str) -> None:
    """One sentence, within seconds, whatever the text would become."""
    start = time.process_time()
    with pytest.raises(SpowlError, match=reason) as error:
        yaml.load(text)
    assert time.process_time() - start < 20.0
    assert len(str(error.value)) < 300


@pytest.mark.parametrize('name', ['absent.yaml', 'folder', 'pipe', 'latin', '/dev/zero', 'a\0b'])
def test_only_files_of_text_are_read(tmp_path: Path, name: str) -> None:
    """What is no file with text is refused, and nothing hangs."""
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'latin').write_bytes(b'a: \xe4')
    with pytest.raises(SpowlError, match='^the thing '):
        yaml.read(tmp_path / name, 'the thing')
