# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A number that makes no sense is refused before anything starts, in one line that says why."""

from __future__ import annotations

import argparse
import importlib
import pkgutil

import pytest

from spowl_ros import cli
from spowl_ros.base.errors import SpowlError
from spowl_ros.cli.main import main


@pytest.mark.parametrize(('command', 'words'), [
    ('bench BUNDLE --decisions 0', "'0', wanted an integer of at least 1"),
    ('bench BUNDLE --soak -3', "'-3', wanted an integer of at least 1"),
    ('check ROBOT BUNDLE --live --seconds nan', "'nan', wanted a number from 0.1 to 3600"),
    ('evaluate BUNDLE --episodes 0', "'0', wanted an integer of at least 1"),
    ('evaluate BUNDLE --seed -5', "'-5', wanted an integer from 0 to 4294967295"),
    ('evaluate BUNDLE --workers -1', "'-1', wanted an integer of at least 1"),
    ('replay BAG BUNDLE --jobs 0', "'0', wanted an integer of at least 1"),
    ('replay BAG BUNDLE --jobs 1.5', "'1.5', wanted an integer of at least 1"),
    ('top --seconds inf', "'inf', wanted a number of at least 0"),
])
def test_bad_numbers_are_refused(command: str, words: str,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, and no file is read before."""
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == SpowlError.EXIT_CODE
    assert words in capsys.readouterr().err


def test_no_verb_reads_a_bare_number() -> None:
    """Whoever adds an option with a number says which ones make sense."""
    bare = []
    for module in pkgutil.iter_modules(cli.__path__):
        verb = importlib.import_module(f'{cli.__name__}.{module.name}')
        if not module.name.startswith('_') and hasattr(verb, 'add_arguments'):
            parser = argparse.ArgumentParser()
            verb.add_arguments(parser)
            bare += [f'{module.name} {action.option_strings}' for action in parser._actions
                     if action.type in (int, float)]
    assert bare == []
