# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A model in the shadow decides on real processes, beside the one that drives."""

from __future__ import annotations

from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray
import pytest

from benchmarks.faults import running
from benchmarks.operation import longest_gap, wait
from benchmarks.robot_stand import NodeProcess
from spowl_ros.bags.reader import Bag
from spowl_ros.control import bundle
from spowl_ros.control.decision import Decision

pytestmark = pytest.mark.slow


def test_the_shadow_decides_on_the_same_observations_and_is_recorded(
        untrained_bundle: Path, ros_domain: int, tmp_path: Path) -> None:
    """Its decisions have the stamps of the active ones, no command is late, a bag has both."""
    contract = bundle.read_contract(untrained_bundle)
    recorder = NodeProcess('recorder', {'path': tmp_path / 'bag', 'model': untrained_bundle})
    try:
        with running(untrained_bundle, contract) as system:
            system.specs['controller'].parameters['shadow_model'] = str(untrained_bundle)
            system.start('controller')
            shadow: list[Decision] = []
            system.stand.node.create_subscription(
                DiagnosticArray, 'controller/shadow/decision',
                lambda message: shadow.append(Decision.from_items(
                    (item.key, item.value) for item in message.status[0].values)), 100)
            system.stand.decisions.clear()
            wait(lambda: len(shadow) > 20)
            now = time.monotonic()
            assert longest_gap(system, now - 1.0, now) < 5 * contract.control_period
            active = {decision.stamps_ns for _, decision in list(system.stand.decisions)}
            assert sum(decision.stamps_ns in active for decision in shadow) > 10
            assert {decision.source for decision in shadow} & {'plan', 'policy'}
    finally:
        recorder.end()
    with Bag(tmp_path / 'bag') as bag:
        assert bag.topics['/controller/shadow/decision'].messages > 10
