# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is said is one line, whatever it is made of."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies
import pytest

from spowl_ros.base.errors import SpowlError, crash, from_line, to_line


@given(strategies.text())
def test_any_message_is_one_printable_line(text: str) -> None:
    """Terminal escapes and line breaks of somebody else's names do nothing."""
    assert str(SpowlError(text)).isprintable()
    assert from_line(to_line(text)) == str(SpowlError(text))


def test_long_messages_keep_their_ends() -> None:
    """A megabyte is cut, and what to do stays readable."""
    said = str(SpowlError('frame ' + 'x' * 2 ** 20 + ' is unknown; name another'))
    assert len(said) < 3000
    assert said.startswith('frame x')
    assert said.endswith('name another')


def test_other_lines_are_no_messages() -> None:
    """Only what `to_line` wrote is taken for a complaint."""
    assert from_line('[INFO] error: no') is None


@pytest.mark.parametrize('writable', [True, False])
def test_a_crash_says_where_its_traceback_is(
    writable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies with the logs, or with temporary files where logs cannot be."""
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path) if writable else '/dev/null/x')
    monkeypatch.setenv('ROS_HOME', '/dev/null/y')
    monkeypatch.setenv('HOME', '/dev/null/z')
    try:
        raise KeyError('a\nb')
    except KeyError as error:
        said = crash(error)
    assert said.startswith('unexpected KeyError: ')
    file = Path(said.partition('traceback is in ')[2].partition(':')[0])
    assert (file.parent == tmp_path) is writable
    assert "raise KeyError('a" in file.read_text()
    file.unlink()
