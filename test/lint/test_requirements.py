# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One set of dependencies: requirements/, setup.py and package.xml say the same."""

from __future__ import annotations

from importlib.metadata import packages_distributions
import importlib.util
from pathlib import Path
import re

from catkin_pkg.package import parse_package
import pytest
from setuptools import Distribution, _distutils

from spowl_ros.cli import _extras

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / 'requirements'
DISTRIBUTIONS = ('jazzy', 'kilted')
OF_AN_INSTALLATION = {'action_msgs', 'ament_index_python', 'launch', 'launch_ros',
                      'rcl_interfaces', 'tf2_msgs'}
"""Declared in package.xml, and brought by rclpy's wheel or not to be had as a wheel."""
BY_PIP = {'onnxruntime', 'rosbags'}
"""What has no rosdep key of a system package, so that package.xml cannot demand it."""
KEYS = {'pillow': 'python3-pil'}
"""Keys of rosdep that are not python3-NAME."""


def normal(name: str) -> str:
    """Return a package's name as an index compares it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def entries(name: str) -> dict[str, str]:
    """Return what a list names, each with its version or an empty text."""
    lines = (LISTS / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    found = (re.match(r'([\w.-]+)(?:\[\w+\])?(?:==)?([^ #]*)', line) for line in lines)
    return {normal(match[1]): match[2] for match in found if match}


@pytest.fixture(scope='module')
def setup() -> Distribution:
    """Return what setup.py declares."""
    return _distutils.core.run_setup(str(ROOT / 'setup.py'), stop_after='init')


def test_every_list_is_an_extra(setup: Distribution) -> None:
    """Each list in requirements/ is a distribution's, the runtime's, an extra's or OmniSafe's."""
    spec = importlib.util.spec_from_file_location('setup', ROOT / 'setup.py')
    assert spec is not None
    lists = {path.stem for path in LISTS.glob('*.txt')} - {'baselines', 'constraints', 'runtime'}
    named = re.search(r'EXTRAS = \{(.*?)\}', (ROOT / 'setup.py').read_text(), re.DOTALL)
    assert named is not None
    of_extras = dict(re.findall(r"'(\w+)': '(\w+)'", named[1]))
    assert lists - set(DISTRIBUTIONS) == set(of_extras.values())
    assert set(setup.extras_require) == {*of_extras, 'test'}


def test_what_a_list_leaves_open_is_pinned_once() -> None:
    """Every package of a list has one version, here or in constraints.txt."""
    pins = entries('constraints')
    assert all(pins.values())
    for path in LISTS.glob('*.txt'):
        if path.stem != 'constraints':
            for name, version in entries(path.stem).items():
                assert version or name in pins, f'{path.name}: {name} has no version'
                assert version in ('', pins.get(name, version)) or version[0] == '<', (
                    f'{path.name}: {name} has another version than in constraints.txt')


def test_package_xml_asks_for_the_same() -> None:
    """package.xml names what the runtime needs and rosdep knows, and the wheels' packages."""
    declared = {depend.name for depend in parse_package(ROOT / 'package.xml').exec_depends}
    python = {name for name in declared if name.startswith('python3-')}
    assert python == {KEYS.get(name, f'python3-{name}').replace('ruamel-yaml', 'ruamel.yaml')
                      for name in entries('runtime') if name not in BY_PIP}
    for ros in DISTRIBUTIONS:
        asked = {name.removeprefix(f'ros-{ros}-').replace('-', '_')
                 for name in entries(ros) if name.startswith(f'ros-{ros}-')}
        assert asked == declared - python - OF_AN_INSTALLATION


def test_no_mandatory_dependency_is_of_pip() -> None:
    """Package.xml has no key that a ROS distribution refuses in a released package."""
    package = parse_package(ROOT / 'package.xml')
    assert not [depend.name for depend in package.exec_depends if depend.name.endswith('-pip')]
    address = package.maintainers[0].email
    assert not address.endswith(('.invalid', '.example', '.localhost', '.test'))
    assert [url.type for url in package.urls].count('website') == 1


def test_one_version() -> None:
    """package.xml and CITATION.cff name the same version, a semantic one."""
    version = parse_package(ROOT / 'package.xml').version
    assert re.fullmatch(r'\d+\.\d+\.\d+', version)
    assert f'\nversion: {version}\n' in (ROOT / 'CITATION.cff').read_text()


def test_what_a_message_recommends_exists(setup: Distribution) -> None:
    """Each extra that `spowl` tells to install is one, and brings the modules that it is for."""
    brought_by = packages_distributions()
    for extra, contents in _extras._CONTENTS.items():
        if extra not in _extras._ADVICE:
            entries = {normal(re.split('[=<>]', entry)[0])
                       for entry in setup.extras_require[extra]}
            for module, _ in contents:
                packages = {normal(name) for name in brought_by.get(module, [])}
                assert not packages or packages & entries, f'[{extra}] does not bring {module}'
