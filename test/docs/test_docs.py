# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: tables are current, commands exist, links lead somewhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import re
import shlex
import subprocess
import sys
from types import ModuleType

import pytest

from spowl_ros.cli.main import parse

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'


def script(name: str) -> ModuleType:
    """Return a script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


commands = script('run_commands')


def test_parameters_are_current() -> None:
    """docs/parameters.md and the examples in config/ are what the declarations say now."""
    for path, text in script('generate_parameters').pages().items():
        assert path.read_text(encoding='utf-8') == text, 'run: python docs/generate_parameters.py'


@pytest.mark.parametrize('page', commands.PAGES,
                         ids=lambda page: f'{page.parent.name}-{page.stem}')
def test_every_spowl_command_exists(page: Path) -> None:
    """Each `spowl` command of a page, those not run here included, is one that `spowl` takes."""
    for block in commands.blocks(page):
        for command in block.commands:
            words = shlex.split(command, comments=True)
            if Path(words[0]).name == 'spowl':
                parse(words[1:])


@pytest.mark.slow
@pytest.mark.parametrize('page', commands.PAGES,
                         ids=lambda page: f'{page.parent.name}-{page.stem}')
def test_quick_commands_run(page: Path, untrained_bundle: Path, tmp_path: Path) -> None:
    """Each quick command of a page ends with exit code 0."""
    shipped = (ROOT / commands.MODEL / 'manifest.json').is_file()
    commands.run_page(page, ('',), tmp_path, None if shipped else untrained_bundle)


@pytest.mark.parametrize('page', [*commands.PAGES, ROOT / 'QUALITY_DECLARATION.md'],
                         ids=lambda page: f'{page.parent.name}-{page.stem}')
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link and each path in code font that looks like one of ours exists."""
    text = page.read_text(encoding='utf-8')
    for target in re.findall(r'\]\((?!http)([^)#]+)', text):
        assert (page.parent / target).exists(), f'{page.name}: {target}'
    for path in re.findall(r'`((?:config|docs|spowl_ros|examples|test)/[\w/.]+\.\w+)`', text):
        assert (ROOT / path).exists(), f'{page.name}: {path}'


def test_the_readme_is_short() -> None:
    """README.md has at most 150 lines."""
    assert len((ROOT / 'README.md').read_text(encoding='utf-8').splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_builds(tmp_path: Path) -> None:
    """Sphinx builds the site without a warning, and with a page for every command and option."""
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '--quiet', '--nitpicky', '--fail-on-warning',
         '--keep-going', str(DOCS), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem: path.read_text(encoding='utf-8') for path in tmp_path.glob('*.html')}
    assert 'id="spowl-evaluate"' in pages['cli']
    assert 'constraint.budget' in pages['training_options']
    assert 'spowl_ros.control.controller.Controller.decide' in pages['api']


def test_every_training_option_has_a_sentence() -> None:
    """Each option of a training says what it is."""
    from spowl_ros.base.settings import declared
    from spowl_ros.training.config import TrainConfig
    from spowl_ros.training.constraint import kinds
    ours = [kind() for kind in kinds().values() if kind.__module__.startswith('spowl_ros.')]
    assert ours
    for settings in (TrainConfig(''), *ours):
        assert not [entry.name for entry in declared(settings) if not entry.description]
