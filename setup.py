# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Installation for pip and for colcon; package.xml holds name, version and description."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import stat
import sys
import xml.etree.ElementTree as ElementTree

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)

NODES = sorted(path.stem for path in Path('spowl_ros/nodes').glob('[!_]*.py'))
SHARED = ('config', 'launch', 'models')
EXTRAS = {'sim': 'simulation', 'train': 'training', 'report': 'report', 'view': 'view',
          'scale': 'scale', 'sign': 'sign', 'docs': 'docs', 'wrap': 'wrap',
          'dataset': 'dataset', 'rerun': 'rerun', 'dev': 'test'}
"""Each extra, and the list in requirements/ that it is."""
NO_DEPS = ('safety-gymnasium', 'gymnasium-robotics')
"""Of the simulation: their metadata can be installed with --no-deps only."""


def requirements(name: str) -> list[str]:
    """Return what a list in requirements/ names, without comments."""
    lines = Path('requirements', f'{name}.txt').read_text(encoding='utf-8').splitlines()
    stripped = (line.partition('#')[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith(NO_DEPS)]


def share_files(name: str) -> list[tuple[str, list[str]]]:
    """Return data_files that put the folders of SHARED, as they are, under share/`name`."""
    files = [
        ('share/ament_index/resource_index/packages', [f'resource/{name}']),
        (f'share/{name}', ['package.xml']),
    ]
    folders = [folder for top in SHARED for folder, _, _ in os.walk(top)]
    for folder in sorted(folders):
        inside = [path for path in Path(folder).iterdir() if path.is_file()]
        if inside and '__pycache__' not in folder:
            files.append((f'share/{name}/{folder}', sorted(map(str, inside))))
    return files


def ros2_run_shims(name: str, commands: Sequence[str]) -> list[tuple[str, list[str]]]:
    """
    Return data_files that let `ros2 run` find the executables which pip puts into bin/.

    Colcon installs the executables into lib/`name` itself (setup.cfg); pip ignores that.
    """
    folder = Path('build/ros2_run')
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands:
        shim = folder / command
        shim.write_text('#!/bin/sh\nexec "$(dirname "$0")/../../bin/$(basename "$0")" "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return [(f'lib/{name}', [str(folder / command) for command in commands])]


package = ElementTree.parse('package.xml').getroot()
package_name = package.findtext('name', '')
maintainer = package.find('maintainer')
assert maintainer is not None
data_files = share_files(package_name)
if 'bdist_wheel' in sys.argv:
    data_files += ros2_run_shims(package_name, ('spowl', *NODES))

setup(
    name=package_name,
    version=package.findtext('version'),
    description=package.findtext('description'),
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    maintainer=maintainer.text,
    license=package.findtext('license'),
    python_requires='>=3.11',
    packages=find_packages(include=['spowl_ros', 'spowl_ros.*']),
    package_data={'spowl_ros': ['py.typed'], 'spowl_ros.replay': ['*.jinja']},
    data_files=data_files,
    # rclpy, launch and the messages come from package.xml or requirements/, never from here.
    install_requires=requirements('runtime'),
    extras_require={
        **{extra: requirements(name) for extra, name in EXTRAS.items()},
        'test': ['pytest'],  # without this `colcon test` runs nothing and succeeds
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'spowl = spowl_ros.cli.main:main',
            *(f'{node} = spowl_ros.nodes:main' for node in NODES),
        ],
    },
)
