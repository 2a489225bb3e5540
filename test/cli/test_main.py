# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The `spowl` command: its verbs, its help, and how it reports a user's mistake."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
import subprocess
import sys

import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.cli import main as cli


class FailingVerb:
    """A verb that does what it is told to."""

    HELP = 'fail'

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take none."""

    def run(self, args: argparse.Namespace) -> int:
        """Fail."""
        raise self.failure


def test_every_verb_has_help_and_none_imports_a_heavy_library() -> None:
    """`spowl --help` lists each verb and stays light."""
    code = (
        'import sys; from spowl_ros.cli.main import verbs; '
        "print(*(f'{n}:{bool(v.HELP)}' for n, v in verbs().items())); "
        "print([m for m in ('torch', 'rclpy', 'matplotlib', 'mujoco') if m in sys.modules])"
    )
    lines = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert all(verb.endswith(':True') for verb in lines[0].split())
    assert lines[1] == '[]'


def test_each_verb_prints_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`spowl VERB --help` works for each verb that is found."""
    for name in cli.verbs():
        with pytest.raises(SystemExit) as end:
            cli.main([name, '--help'])
        assert end.value.code == 0
        assert f'usage: spowl {name}' in capsys.readouterr().out


def test_options_may_stand_anywhere() -> None:
    """Overrides and `name:=value` arguments are taken before, between and after options."""
    args = cli.parse(['train', 'Task', 'a=1', '--output', 'runs/x', 'b=2', 'c=3', '--resume'])
    assert (str(args.config), args.overrides) == ('Task', ['a=1', 'b=2', 'c=3'])
    assert (str(args.output), args.resume) == ('runs/x', True)
    args = cli.parse(['sim', '--json', 'run.json', 'task:=T', '--video', 'run.gif', 'rate:=1'])
    assert args.arguments == ['task:=T', 'rate:=1']


def test_a_users_mistake_is_one_line_and_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A SpowlError becomes one line on stderr, without a traceback."""
    monkeypatch.setattr(cli, 'verbs', lambda: {'fail': FailingVerb(SpowlError('no such thing'))})
    assert cli.main(['fail']) == 2
    assert capsys.readouterr().err == 'spowl: error: no such thing\n'


@pytest.mark.parametrize('code', [0, None, 'no licence'])
def test_a_library_that_ends_the_process_is_an_error(
    code: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command whose work is not done does not end as if it were, whatever the code."""
    monkeypatch.setattr(cli, 'verbs', lambda: {'fail': FailingVerb(SystemExit(code))})
    assert cli.main(['fail']) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert re.search(rf'test_main.py:\d+ ended `spowl fail` before .* SystemExit: {code}', said)


def test_an_interrupt_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends a verb without a traceback."""
    monkeypatch.setattr(cli, 'verbs', lambda: {'fail': FailingVerb(KeyboardInterrupt())})
    assert cli.main(['fail']) == 130
    assert capsys.readouterr().err == 'spowl: interrupted\n'


def test_an_interrupt_while_verbs_are_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The libraries of the verbs take a second to import, in which Ctrl-C may come."""

    def interrupted() -> dict[str, cli.Verb]:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, 'verbs', interrupted)
    assert cli.main(['sim']) == 130
    assert capsys.readouterr().err == 'spowl: interrupted\n'


def test_no_command_is_a_usage_error() -> None:
    """The installed command without a verb says how it is used."""
    done = subprocess.run([Path(sys.prefix) / 'bin' / 'spowl'], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'usage: spowl' in done.stderr
