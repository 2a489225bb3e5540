# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics hold: levels, messages and values, while all is well and while it is not."""

from __future__ import annotations

from collections.abc import Callable
import math
import time

from diagnostic_msgs.msg import DiagnosticStatus
import pytest

from benchmarks.faults import System, wait_until_driving
from spowl_ros.control.contract import Contract

pytestmark = pytest.mark.slow

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
WAIT_S = 30.0
TIMES = ('latency_ms_p50', 'latency_ms_p95', 'latency_ms_p99')


def await_status(system: System, name: str,
                 condition: Callable[[DiagnosticStatus], bool]) -> DiagnosticStatus:
    """Return the first status of a part that fulfils a condition."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        status = system.stand.diagnostics.get(name)
        if status is not None and condition(status):
            return status
        time.sleep(0.02)
    raise AssertionError(f'{name}: {system.stand.diagnostics.get(name)}')


def values(status: DiagnosticStatus) -> dict[str, str]:
    """Return a status's values by their keys."""
    return {item.key: item.value for item in status.values}


def test_diagnostics_of_a_robot_that_drives_and_of_one_that_does_not(
        driving: System, contract: Contract) -> None:
    """All is well; then a sensor is silent and the robot stopped; then the node is not active."""
    await_status(driving, 'controller: state', lambda status: (
        status.level == OK and status.message == 'active'
        and values(status) == {'supervisor': 'alive'}))

    status = await_status(driving, 'controller: decisions', lambda status: (
        status.level != ERROR and values(status)['source'] in ('plan', 'policy')))
    assert status.hardware_id == contract.task
    found = values(status)
    assert 0.0 <= float(found['age_s']) < 1.0
    assert float(found['rate_hz']) > 0.0
    assert int(found['decisions']) > 0
    assert all(float(found[name]) > 0.0 for name in TIMES)
    assert int(found['deadline_misses']) >= 0
    assert sum(int(value) for key, value in found.items() if key.startswith('decisions_')) == int(
        found['decisions'])

    status = await_status(driving, 'controller: sensors', lambda status: status.level == OK)
    assert status.message == 'all sensors arrive'
    found = values(status)
    for topic in driving.stand.topics:
        assert float(found[f'{topic}_hz']) > 0.0
    for field in contract.fields:
        assert float(found[f'{field.name}_silent_s']) < 1.0

    driving.stand.silent = {'hazards_scan'}
    status = await_status(driving, 'controller: sensors', lambda status: status.level == ERROR)
    assert status.message == 'silent: hazards_lidar'
    assert float(values(status)['hazards_lidar_silent_s']) > 1.0
    status = await_status(driving, 'controller: decisions', lambda status: status.level == ERROR)
    assert status.message.startswith('stop: hazards_lidar is ')
    assert values(status)['source'] == 'stop'
    assert 'staleness' in values(status)['tripped'].split(', ')
    driving.stand.mend()
    wait_until_driving(driving)

    driving.stand.tamper['hazards_scan'] = _nan
    status = await_status(driving, 'controller: sensors',
                          lambda status: status.level != OK and 'hazards_scan' in status.message)
    assert int(values(status).get('hazards_scan_refused', '1')) > 0
    driving.stand.mend()
    wait_until_driving(driving)
    await_status(driving, 'controller: sensors', lambda status: status.level == OK)


def _nan(message: object) -> object:
    message.ranges = [math.nan] * len(message.ranges)  # type: ignore[attr-defined]
    return message
