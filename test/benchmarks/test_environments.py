# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments made from nothing: every command runs or says what to install, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

import pytest

from benchmarks import environments
from benchmarks.environments import COMMANDS, ENVIRONMENTS, Installed, outside
from spowl_ros.cli.main import verbs

NOBODY = 65534
SYSTEM_PYTHON = '/usr/bin/python3'
"""Where there is one that will do: other users may have no way to the one that runs this."""
DRIVE_S = 240.0


def test_every_verb_is_tried() -> None:
    """A verb that nobody runs in the environments is missed here."""
    assert {command.words[0] for command in COMMANDS.values()} == set(verbs())


@pytest.fixture(scope='module')
def folder() -> Iterator[Path]:
    """Return a folder with an awkward name that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix='spowl röbot ') as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.exhaustive
def test_every_command_in_every_environment(folder: Path) -> None:
    """From nothing, each command runs or says in one line what to install; traps below use one."""
    names = [name for name in ENVIRONMENTS if name != 'make sim']
    results = dict(environments.try_out(names, folder, 'jazzy', everything=False))
    assert environments.wrong(results) == []


@pytest.fixture(scope='module')
def simulation(folder: Path) -> Installed:
    """Return what `make sim` installs, below the awkward name."""
    code = 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
    suits = Path(SYSTEM_PYTHON).exists() and not subprocess.run(
        [SYSTEM_PYTHON, '-c', code], check=False, capture_output=True).returncode
    installed = Installed(folder / 'with space' / 'environment',
                          SYSTEM_PYTHON if suits else sys.executable)
    installed.install(ENVIRONMENTS['make sim'], 'jazzy')
    return installed


def without_home(folder: Path) -> dict[str, str]:
    """Return an environment without HOME."""
    return {name: value for name, value in outside().items() if name != 'HOME'}


def read_only_home(folder: Path) -> dict[str, str]:
    """Return an environment whose HOME nobody can write to, not even root."""
    return {**outside(), 'HOME': '/proc'}


def anothers_python(folder: Path) -> dict[str, str]:
    """Return what a process inherits from the Python of another environment with ROS wheels."""
    return {**outside(), '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1',
            'LD_LIBRARY_PATH': str(folder / 'elsewhere'),
            'AMENT_PREFIX_PATH': str(folder / 'elsewhere')}


def plain_language(folder: Path) -> dict[str, str]:
    """Return an environment whose texts are ASCII."""
    return {**outside(), 'LANG': 'C', 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}


def drive(installed: Installed, here: Path, environment: dict[str, str],
          *before: str, user: int | None = None) -> str:
    """Drive an episode and return what was said, or fail."""
    environment.pop('ROS_LOG_DIR', None)
    done = subprocess.run(
        [*before, installed.spowl, 'sim', 'episodes:=1', '--json', 'run.json'], cwd=here,
        env=environment, user=user, group=user, extra_groups=None if user is None else [],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=DRIVE_S)
    assert 'Traceback' not in done.stdout
    if done.returncode == 2:
        assert done.stdout.count('\n') == 1
    else:
        assert done.returncode == 0, done.stdout
        assert (here / 'run.json').is_file()
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize('trap', [without_home, read_only_home, anothers_python, plain_language])
def test_a_trap_is_no_obstacle_or_one_line(trap, simulation: Installed, folder: Path,
                                           tmp_path: Path) -> None:
    """Below an awkward path an episode is driven, or one line says what to do."""
    here = tmp_path / 'größe und weg'
    here.mkdir()
    drive(simulation, here, trap(folder))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason='everything here runs as an ordinary user already')
def test_an_ordinary_user_drives(simulation: Installed, folder: Path) -> None:
    """Somebody without rights, who owns nothing of the installation, drives an episode."""
    if subprocess.run([simulation.folder / 'bin' / 'python', '-c', ''], user=NOBODY,
                      extra_groups=[], check=False).returncode:
        pytest.skip(f'{SYSTEM_PYTHON} will not do, and nobody else may run {sys.executable}')
    here = folder / 'nobody'
    here.mkdir()
    os.chown(here, NOBODY, NOBODY)
    assert 'return' in drive(simulation, here, {**outside(), 'HOME': str(here)}, user=NOBODY)


@pytest.mark.slow
def test_once_installed_no_network_is_needed(simulation: Installed, tmp_path: Path) -> None:
    """With nothing but the loopback interface an episode is driven."""
    alone = ['unshare', '--net', '--map-root-user', 'sh', '-c',
             'ip link set lo up multicast on && exec "$@"', 'sh']
    if not shutil.which('ip') or subprocess.run(
            [*alone, 'true'], check=False, capture_output=True).returncode:
        pytest.skip('this user may not make a network of its own')
    assert 'return' in drive(simulation, tmp_path, outside(), *alone)
