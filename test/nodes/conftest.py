# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A robot on a stand, with nodes that drive it or with nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import System, running
from benchmarks.robot_stand import RobotStand
from spowl_ros.control import bundle
from spowl_ros.control.contract import Contract


@pytest.fixture(scope='session')
def contract(untrained_bundle: Path) -> Contract:
    """Return the contract of the untrained bundle."""
    return bundle.read_contract(untrained_bundle)


@pytest.fixture
def driving(untrained_bundle: Path, contract: Contract, ros_domain: int) -> Iterator[System]:
    """Run a robot on a stand with a controller and a supervisor that drive it."""
    with running(untrained_bundle, contract) as system:
        yield system


@pytest.fixture
def stand(contract: Contract, ros_domain: int) -> Iterator[RobotStand]:
    """Run a robot on a stand, with nobody driving."""
    stand = RobotStand(contract)
    yield stand
    stand.close()
