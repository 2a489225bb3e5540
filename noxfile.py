# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments that are made from nothing: `make matrix` and `make sbom`."""

from __future__ import annotations

import os

import nox

# nox runs in an environment with ROS 2's wheels, which put these there for their own libraries.
for name in ('AMENT_PREFIX_PATH', 'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'):
    os.environ.pop(name, None)

nox.options.sessions = ['matrix']
nox.options.error_on_missing_interpreters = False  # says so, and goes on

DISTRIBUTIONS = ('jazzy', 'kilted')
PYTHONS = ('3.11', '3.12', '3.13')
CONSTRAINTS = ('-c', 'requirements/constraints.txt')
SMOKE = ('test/cli/test_sim.py::test_one_episode_is_driven_and_summed_up',
         'test/nodes/test_drivers.py::test_drives_and_ends_with_a_stop')
"""Of the slow tests, those that drive."""


def install_runtime(session: nox.Session, ros: str) -> None:
    """Install what `make sim` installs."""
    session.install('-r', f'requirements/{ros}.txt', '-r', 'requirements/runtime.txt',
                    *CONSTRAINTS)
    session.install('--no-deps', '-r', 'requirements/simulation.txt')
    session.install('--no-deps', '--editable', '.')


@nox.session(python=PYTHONS)
@nox.parametrize('ros', DISTRIBUTIONS, ids=DISTRIBUTIONS)
def matrix(session: nox.Session, ros: str) -> None:
    """Run the quick tests and those that drive; after -- other arguments of pytest."""
    install_runtime(session, ros)
    lists = [word for name in ('training', 'report', 'view', 'sign', 'docs', 'wrap',
                              'dataset', 'test')
             for word in ('-r', f'requirements/{name}.txt')]
    session.install(*lists, *CONSTRAINTS)
    if session.posargs:
        session.run('pytest', *session.posargs)
        return
    session.run('pytest', '--numprocesses', '2', '--dist', 'loadfile', '-m', 'not slow',
                '--ignore=test/lint')
    session.run('pytest', *SMOKE)


@nox.session
def sbom(session: nox.Session) -> None:
    """Write sbom.json: CycloneDX, of what a robot installs."""
    install_runtime(session, DISTRIBUTIONS[0])
    robot = f'{session.virtualenv.location}/bin/python'
    session.run('python', '-m', 'venv', '--clear', tool := session.create_tmp(), external=True)
    session.run(f'{tool}/bin/python', '-m', 'pip', 'install', '--quiet', 'cyclonedx-bom',
                *CONSTRAINTS, external=True)
    session.run(f'{tool}/bin/cyclonedx-py', 'environment', '--output-reproducible', '-o',
                'sbom.json', robot, external=True)
    session.log('wrote sbom.json')
