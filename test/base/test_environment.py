# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever surrounds a process, it works or says in one line what to do."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path
import subprocess
import sys

from _pytest.mark import ParameterSet
import pytest

from spowl_ros.base import environment
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import NODES
from spowl_ros.cli.main import verbs

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / 'models' / 'SafetyPointGoal1-v0')
UNSET = ''
SURROUNDINGS = {
    'other Python': {'_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1', 'LD_LIBRARY_PATH': UNSET},
    'other ROS': {'PYTHONPATH': '{folder}', 'LD_LIBRARY_PATH': '{folder}'},
    'no HOME': {'HOME': UNSET},
    'HOME cannot be written': {'HOME': '/dev/null'},
    'no domain': {'ROS_DOMAIN_ID': 'abc'},
    'domain too large': {'ROS_DOMAIN_ID': '1' * 5000},
    'no logs': {'ROS_LOG_DIR': '/dev/null/log'},
    'C locale': {'LANG': 'C', 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONIOENCODING': 'ascii'},
}
ARGUMENTS = {
    'bench': [MODEL, '--no-paper-size', '--decisions', '5'], 'calibrate': ['absent'],
    'check': ['absent.yaml', MODEL], 'evaluate': ['absent'], 'export': ['absent', 'nowhere'],
    'gate': ['absent', 'absent', 'absent'], 'sign': ['absent', '--key', 'absent.pem'],
    'inspect': [MODEL], 'replay': ['absent', MODEL], 'robot': ['robot:=absent.yaml'],
    'sim': ['task:=Nothing1'], 'top': ['--once', '--seconds', '0.5'], 'train': ['Nothing1'],
    'verify': [MODEL], 'view': ['absent'],
}


def run(name: str, arguments: list[str], around: dict[str, str], folder: Path,
        ) -> subprocess.CompletedProcess[str]:
    """Run one of the executables in surroundings, in a folder of its own."""
    (folder / 'rclpy').mkdir(exist_ok=True)
    (folder / 'rclpy' / '__init__.py').write_text("raise RuntimeError('another ROS')\n")
    (folder / 'librcl.so').touch()
    surroundings = {**os.environ, 'ROS_LOG_DIR': UNSET, 'ROS_DOMAIN_ID': '66',
                    **{key: value.format(folder=folder) for key, value in around.items()}}
    return subprocess.run(
        [str(BIN / name), *arguments], cwd=folder, capture_output=True, text=True, timeout=120,
        env={key: value for key, value in surroundings.items() if value}, check=False)


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    """Make sure that it worked, or that one line says why not."""
    assert 'Traceback' not in done.stdout + done.stderr
    assert 'unexpected' not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2), done
    if done.returncode == SpowlError.EXIT_CODE:
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize('around', ['other Python', 'no domain', 'C locale'])
def test_a_verb_in_a_bad_environment(around: str, tmp_path: Path) -> None:
    """A sample of what the slow test runs in full."""
    done = run('spowl', ['top', *ARGUMENTS['top']], SURROUNDINGS[around], tmp_path)
    assert_told(done)
    assert (done.returncode == 2) is (around == 'no domain')


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '<&-', '>&- 2>&- <&-'])
def test_a_verb_without_its_standard_streams(closed: str, tmp_path: Path) -> None:
    """A parent may have closed them, as a daemon's does; nothing else may take their numbers."""
    done = subprocess.run(
        ['sh', '-c', f'{BIN / "spowl"} bench {MODEL} --no-paper-size --decisions 5 '
                     f'--json found.json {closed}'],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'found.json').read_text().startswith('{')


def paired(names: Iterable[str]) -> list[ParameterSet]:
    """Return each name with every surroundings; all but one for each name are exhaustive."""
    return [pytest.param(name, around, marks=pytest.mark.slow if place == number % len(
        SURROUNDINGS) else [pytest.mark.slow, pytest.mark.exhaustive])
        for number, name in enumerate(names) for place, around in enumerate(SURROUNDINGS)]


@pytest.mark.parametrize(('verb', 'around'), paired(verbs()))
def test_every_verb_in_every_bad_environment(verb: str, around: str, tmp_path: Path) -> None:
    """It works or ends with code 2 and one line."""
    folder = tmp_path / 'with spaces and ä'
    folder.mkdir()
    arguments = [verb, *ARGUMENTS.get(verb, ['--help'])]
    assert_told(run('spowl', arguments, SURROUNDINGS[around], folder))


@pytest.mark.parametrize(('node', 'around'), paired(NODES))
def test_every_node_in_every_bad_environment(node: str, around: str, tmp_path: Path) -> None:
    """A node that is told something wrong says it as one line, and ends."""
    done = run(node, ['--ros-args', '-p', 'no_such:=1'], SURROUNDINGS[around], tmp_path)
    assert_told(done)
    assert done.returncode == SpowlError.EXIT_CODE


@pytest.mark.slow
@pytest.mark.parametrize('arguments', [
    ['-r', '__ns:=/robot/'], ['-p', 'no_such:=1'], ['--params-file', 'absent.yaml'],
    ['-r', 'nonsense'], ['-p', 'model:=[1'],
])
def test_wrong_ros_arguments_are_one_line(arguments: list[str], tmp_path: Path) -> None:
    """What rcl refuses in several lines, or in a traceback, is one line too."""
    done = run('supervisor', ['--ros-args', *arguments], {}, tmp_path)
    assert_told(done)
    assert done.returncode == SpowlError.EXIT_CODE


def test_what_users_set_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what is unset gets a default."""
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'DEFAULT')
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    environment.prepare()
    assert os.environ['FASTDDS_BUILTIN_TRANSPORTS'] == 'DEFAULT'
    assert os.environ['ROS_LOG_DIR'] == str(tmp_path)
    monkeypatch.delenv('FASTDDS_BUILTIN_TRANSPORTS')
    environment.prepare()
    assert os.environ['FASTDDS_BUILTIN_TRANSPORTS'] == 'UDPv4'
    assert sys.prefix in os.environ['AMENT_PREFIX_PATH'].split(os.pathsep)


@pytest.mark.parametrize(('name', 'value', 'known'), [
    ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'PLANET', 'SUBNET'),
    ('RMW_IMPLEMENTATION', 'rmw_of_nobody', 'rmw_fastrtps_cpp')])
def test_what_ros_would_not_know_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                            name: str, value: str, known: str) -> None:
    """ROS 2 would take another range of discovery, or end without a sentence."""
    index = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'rmw_typesupport'
    index.mkdir(parents=True)
    (index / 'rmw_fastrtps_cpp').touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(SpowlError, match=f'{name} is .{value}.*{known}'):
        environment.check()
    monkeypatch.setenv(name, known)
    environment.check()


KEYSTORE = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce',
            'ROS_SECURITY_KEYSTORE': 'keystore'}
UNSECURED = [
    ('ROS_SECURITY_ENABLE', 'True'), ('ROS_SECURITY_ENABLE', '1'),
    ('ROS_SECURITY_STRATEGY', UNSET), ('ROS_SECURITY_STRATEGY', 'enforce'),
    ('ROS_SECURITY_KEYSTORE', UNSET), ('ROS_SECURITY_KEYSTORE', 'absent')]
"""What ROS 2 takes for a wish to go on without security, one variable at a time."""
ROS_VERBS = {
    'check': ['absent.yaml', MODEL, '--live'], 'replay': ['absent', MODEL, '--live'],
    'robot': [], 'sim': [], 'top': ['--once'], 'view': ['--no-browser', '--port', '0']}


@pytest.mark.parametrize(('name', 'value'), UNSECURED)
@pytest.mark.parametrize('strategy', ['Enforce', 'Permissive'])
def test_security_that_ros_would_drop_is_refused(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, strategy: str, name: str, value: str,
        ) -> None:
    """With a keystore, and a strategy that ROS 2 knows, all is well; so it is without security."""
    (tmp_path / 'keystore' / 'enclaves').mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for variable, given in {**KEYSTORE, 'ROS_SECURITY_STRATEGY': strategy}.items():
        monkeypatch.setenv(variable, given)
    environment.check()
    monkeypatch.setenv(name, value)
    with pytest.raises(SpowlError, match=f"{name} is '{value}'; wanted"):
        environment.check()
    monkeypatch.delenv('ROS_SECURITY_ENABLE')
    environment.check()


@pytest.mark.slow
@pytest.mark.parametrize('name', [*NODES, *ROS_VERBS])
def test_nothing_runs_unsecured_against_the_users_will(name: str, tmp_path: Path) -> None:
    """Every node and every verb that makes one ends with one line, before anything moves."""
    for around in ({**KEYSTORE, 'ROS_SECURITY_STRATEGY': UNSET}, KEYSTORE):  # there is no keystore
        verb = [name, *ROS_VERBS[name]] if name in ROS_VERBS else []
        done = run('spowl' if verb else name, verb, around, tmp_path)
        assert_told(done)
        assert done.returncode == SpowlError.EXIT_CODE and 'ROS_SECURITY_' in done.stderr, done
