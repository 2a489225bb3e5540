# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A monitor is one file: this one's is found wherever the package's own are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import pickle
import runpy
import time

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from benchmarks.robot_stand import RobotStand
from spowl_ros.base.settings import declared, group, setting
from spowl_ros.control import bundle
from spowl_ros.control.controller import Controller
from spowl_ros.control.monitors.base import (
    REGISTERED,
    Context,
    Monitor,
    Reading,
    Rule,
    Stage,
    judged,
)
from spowl_ros.control.monitors.registry import kinds
from spowl_ros.control.observation import Observation
from spowl_ros.control.settings import ControllerSettings
from spowl_ros.nodes.controller import ControllerNode
from spowl_ros.replay.alarms import foreseeing

ROOT = Path(__file__).resolve().parents[3]
BUILT_IN = ['staleness', 'values', 'deadline', 'sensor_margin', 'model_error', 'cost_value',
            'budget']


@dataclass(frozen=True)
class SpinSettings:
    """How fast the robot may turn."""

    rule: Rule = group(Rule, level='policy')
    limit: float = setting(0.1, 'greatest rate of turning, radians a second', low=0.0)


class SpinMonitor(Monitor[SpinSettings]):
    """Alarm when the robot turns too fast."""

    name = 'spin'
    settings_type = SpinSettings
    stage = Stage.BEFORE_PLANNING
    foresees = True

    def judge(self, context: Context) -> Reading:
        """Judge the fastest of the three rates."""
        part = self.grounds.contract.slices['gyro']
        rate = float(np.abs(context.observation.values[part]).max())
        return judged(self.name, rate, self.settings.limit, self.settings.limit,
                      f'turns at {rate:.2f} rad/s')


@pytest.fixture(autouse=True)
def spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the monitor for one test."""
    monkeypatch.setitem(REGISTERED, SpinMonitor.name, SpinMonitor)


def test_the_packages_own_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file's monitor is found; of equal levels the first leads, so their order counts."""
    monkeypatch.delitem(REGISTERED, SpinMonitor.name)
    assert [kind.name for kind in kinds()] == BUILT_IN
    assert list(ControllerSettings().rules()) == BUILT_IN


def test_it_has_settings_and_a_rule() -> None:
    """Its settings are the controller's, checked, changed and sent to other processes."""
    names = [entry.name for entry in declared(ControllerSettings())]
    assert {'spin.limit', 'spin.rule.level', 'spin.rule.trigger'} <= set(names)
    changed = ControllerSettings().change({'spin.limit': 2})
    assert changed.spin.limit == 2.0
    assert pickle.loads(pickle.dumps(changed)) == changed


def test_it_is_in_the_documentation() -> None:
    """The page of parameters has its rows."""
    page = runpy.run_path(str(ROOT / 'docs' / 'generate_parameters.py'))['page']()
    assert '| `spin.limit` | `0.1` | a number of at least 0 | greatest rate of turning' in page


def test_it_is_in_decisions_and_reports(untrained_bundle: Path) -> None:
    """It reads at each decision, leads as its rule says, and counts among those that warn."""
    loaded = bundle.load(untrained_bundle)
    controller = Controller(loaded)
    contract, fields = loaded.contract, len(loaded.contract.fields)
    values = np.zeros(contract.size, np.float32)
    values[contract.slices['gyro']] = 0.5
    decision = controller.decide(Observation(values, np.full(fields, 10**9), 10**9,
                                             np.zeros(fields)))
    assert [reading.monitor for reading in decision.readings] == [
        *BUILT_IN[:4], 'spin', *BUILT_IN[4:-1]]  # the budget's is silent while it is off
    assert (decision.source, decision.monitor) == ('policy', 'spin')
    assert decision.reason == 'turns at 0.50 rad/s'
    assert 'spin' in foreseeing()


@pytest.mark.slow
def test_it_is_a_parameter_and_in_diagnostics(untrained_bundle: Path, ros_domain: int) -> None:
    """A real node takes its parameters and tells on /diagnostics that it leads, and why."""
    rclpy.init(args=['--ros-args', '-p', f'model:={untrained_bundle}', '-p', 'autostart:=true',
                     '-p', 'priority:=0', '-p', 'spin.limit:=0.0'])
    stand = RobotStand(bundle.read_contract(untrained_bundle))
    node = ControllerNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        assert node.get_parameter('spin.limit').value == 0.0
        end = time.monotonic() + 30.0
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
            status = stand.diagnostics.get('controller: decisions')
            if status is not None and 'turns at' in status.message:
                break
        assert status.message.startswith('policy: turns at')
        assert 'spin' in {item.key: item.value for item in status.values}['tripped'].split(', ')
    finally:
        node.close()
        executor.shutdown()
        rclpy.shutdown()
        stand.close()
