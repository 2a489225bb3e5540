# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Each monitor alarms beyond its limit, is clear well within it, and says numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.control.decision import Decision
from spowl_ros.control.hazards import HazardTracker
from spowl_ros.control.monitors.base import Context, Grounds, Monitor, Reading
from spowl_ros.control.monitors.calibration import Calibration
from spowl_ros.control.monitors.cost_value import (
    AdaptiveBound,
    CostValueMonitor,
    CostValueSettings,
)
from spowl_ros.control.monitors.deadline import DeadlineMonitor, DeadlineSettings
from spowl_ros.control.monitors.model_error import ModelErrorMonitor, ModelErrorSettings
from spowl_ros.control.monitors.sensor_margin import SensorMarginMonitor, SensorMarginSettings
from spowl_ros.control.monitors.staleness import StalenessMonitor, StalenessSettings
from spowl_ros.control.monitors.values import ValuesMonitor, ValuesSettings
from spowl_ros.control.observation import Observation
from spowl_ros.control.plan import RECORDED, Plan

CONTRACT = Contract(
    task='Test-v0', robot='Point',
    fields=(Field('gyro', 'angular_velocity', 'imu', 3, 'rad/s', -10.0, 10.0, 0.17),
            Field('hazards_lidar', 'scan', 'hazards_scan', 16, '1', 0.0, 1.0, 0.5, 0.2)),
    action=ActionSpec(('x', 'z'), (-1.0, -1.0), (1.0, 1.0), 'effort', (0.0, 0.0)),
    raw_period=0.02, action_repeat=5)


def observe(values: np.ndarray | None = None, ages: tuple[float, float] = (0.0, 0.0),
            silences: tuple[float, float] = (0.0, 0.0), now: float = 100.0) -> Observation:
    """Return an observation with parts of the given ages."""
    now_ns = round(now * 1e9)
    stamps = np.array([now_ns - round(age * 1e9) for age in ages])
    return Observation(values=np.zeros(19, np.float32) if values is None else values,
                       stamps_ns=stamps, now_ns=now_ns, silences=np.array(silences))


def grounds(**tables: float) -> Grounds:
    """Return what a monitor knows of the robot above, with tables of one value each."""
    return Grounds(CONTRACT, Calibration({name: ((1.0, value),) for name, value
                                          in tables.items()}), 0.99)


def judge(monitor: Monitor, observation: Observation | None = None, hazards: tuple = (),
          **plan: float) -> Reading:
    """Return what a monitor says of an observation, hazards, and a plan's numbers."""
    return monitor.judge(Context(observe() if observation is None else observation, hazards,
                                 a_plan(**plan) if plan else None))


def a_plan(**numbers: float) -> Plan:
    """Return a plan of which only some numbers matter."""
    return Plan(**{**dict.fromkeys(RECORDED, math.nan), 'source': 'plan', **numbers})


def decided(late: bool) -> Decision:
    """Return a decision that was late or not."""
    return Decision(step=0, now_ns=0, action=(0.0, 0.0), source='plan', reason='',
                    stamps_ns=(0, 0), deadline_missed=late)


@pytest.mark.parametrize('clock', ['ages', 'silences'])
def test_staleness_by_either_clock(clock: str) -> None:
    """A field beyond its own time-out alarms, whichever clock shows it."""
    monitor = StalenessMonitor(StalenessSettings(), grounds())
    assert judge(monitor, observe(**{clock: (0.16, 0.49)})).clear
    reading = judge(monitor, observe(**{clock: (0.16, 0.51)}))
    assert reading.alarm
    assert reading.reason == 'hazards_lidar is 0.510 s old, limit 0.500 s'


def test_staleness_of_a_future_stamp() -> None:
    """A stamp a little ahead of a lagging clock is borne, one far ahead is not."""
    monitor = StalenessMonitor(StalenessSettings(), grounds())
    assert judge(monitor, observe(ages=(-0.1, 0.0))).clear
    reading = judge(monitor, observe(ages=(-10.0, 0.0)))
    assert reading.alarm
    assert 'gyro is stamped 10.000 s in the future' in reading.reason


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    """One such value among all alarms and is named."""
    values = np.zeros(19, np.float32)
    values[7] = bad
    reading = judge(ValuesMonitor(ValuesSettings(), grounds()), observe(values))
    assert reading.alarm
    assert reading.reason == 'hazards_lidar holds values that are not finite (1 in all)'


def test_values_out_of_range() -> None:
    """A value beyond the plausible range by more than the slack alarms."""
    monitor = ValuesMonitor(ValuesSettings(slack=0.5), grounds())
    values = np.zeros(19, np.float32)
    values[1] = 14.9
    assert judge(monitor, observe(values)).clear
    values[1] = -15.1
    reading = judge(monitor, observe(values))
    assert reading.alarm
    assert reading.reason == 'gyro is -15.1, plausible is -10 to 10'


def test_deadline_counts_late_decisions() -> None:
    """More late decisions in the window than are borne alarm; forgetting releases."""
    monitor = DeadlineMonitor(DeadlineSettings(window=3, misses=1), grounds())
    alarms = []
    for late in (True, False, True, False, False):
        monitor.record(decided(late))
        alarms.append(judge(monitor).alarm)
    assert alarms == [False, False, True, False, False]
    monitor.record(decided(True))
    monitor.record(decided(True))
    monitor.reset()
    assert judge(monitor).clear


def test_model_error_against_its_quantile() -> None:
    """Beyond the limit is an alarm, just below is neither, well below is clear."""
    settings = ModelErrorSettings(factor=1.5, hysteresis=0.5)
    monitor = ModelErrorMonitor(settings, grounds(model_error=2.0))
    assert judge(monitor, model_error=3.01).alarm
    between = judge(monitor, model_error=2.9)
    assert not between.alarm and not between.clear
    assert judge(monitor, model_error=1.5).clear
    assert not judge(monitor, model_error=math.nan).known
    assert not judge(monitor).known
    assert judge(ModelErrorMonitor(ModelErrorSettings(), grounds()), model_error=1e9).clear


@pytest.mark.parametrize(('offset', 'alarm'), [(2.5, True), (1.0, False)])
def test_cost_value_bound_against_budget(offset: float, alarm: bool) -> None:
    """The offset counts towards the bound."""
    monitor = CostValueMonitor(CostValueSettings(budget=5.0, hysteresis=0.8),
                               grounds(cost_offset=offset))
    reading = judge(monitor, plan_cost_value=3.0)
    assert (reading.alarm, reading.clear) == (alarm, not alarm)
    assert not judge(monitor, plan_cost_value=math.nan).known
    assert not judge(monitor).known


def test_adaptive_bound_reaches_its_coverage() -> None:
    """On costs that calibration did not foresee the bound comes to cover the wanted part."""
    rng = np.random.default_rng(0)
    settings = CostValueSettings(coverage=0.9, window=1, rate=0.05)
    bound = AdaptiveBound(0.0, 0.99, settings)
    costs = rng.exponential(2.0, 4000)
    covered = []
    for cost in costs:
        covered.append(cost <= 1.0 + bound.offset)
        bound.record(1.0, float(cost))
    assert np.mean(covered[1000:]) == pytest.approx(0.9, abs=0.02)


def test_adaptive_bound_stays_without_observed_costs() -> None:
    """Where cost is not observable, or following is off, the calibrated offset stands."""
    for rate, cost in ((0.1, math.nan), (0.1, math.inf), (0.0, 100.0)):
        bound = AdaptiveBound(1.5, 0.99, CostValueSettings(window=1, rate=rate))
        for _ in range(10):
            bound.record(0.0, cost)
        assert bound.offset == 1.5


@pytest.mark.parametrize(('calibrated', 'follows'), [(3, True), (100, False), (0, False)])
def test_adaptive_bound_follows_in_short_episodes(calibrated: int, follows: bool) -> None:
    """Calibrated on short episodes, the bound follows costs within one."""
    calibration = Calibration({'cost_offset': ((1.0, 0.0),)}, window=calibrated)
    monitor = CostValueMonitor(CostValueSettings(), Grounds(CONTRACT, calibration, 0.99))
    for _ in range(5):
        monitor._expected = 1.0  # what the executed action was expected to cost
        monitor.judge(Context(observe(), plan=a_plan(plan_cost_value=1.0), cost=10.0))
    (offset,) = monitor.learned
    assert (offset > 0.0) == follows


def scan(distance: float, sector: int = 0) -> np.ndarray:
    """Return values with a hazard's centre at a distance (metres) in a sector."""
    values = np.zeros(19, np.float32)
    values[3 + sector] = 1.0 - distance / 3.0
    return values


def test_hazard_distance_bearing_and_closing_speed() -> None:
    """Range, direction and closing speed come from the scan alone."""
    tracker = HazardTracker(CONTRACT)
    assert tracker.update(observe()) == []
    first, = tracker.update(observe(scan(1.0, sector=15), now=1.0))
    assert first.distance == pytest.approx(0.8, abs=1e-6)
    assert first.bearing == pytest.approx(-math.pi / 16)
    assert first.closing_speed == 0.0
    second, = tracker.update(observe(scan(0.9, sector=15), now=1.1))
    assert second.closing_speed == pytest.approx(1.0, abs=1e-4)
    again, = tracker.update(observe(scan(0.9, sector=15), now=1.1))
    assert again.closing_speed == second.closing_speed  # the same scan says nothing new


def test_sensor_margin_looks_ahead() -> None:
    """A hazard far enough away but closing fast alarms; receding at the same place does not."""
    monitor = SensorMarginMonitor(
        SensorMarginSettings(margin=0.1, lookahead=0.5, hysteresis=0.1), grounds())
    tracker = HazardTracker(CONTRACT)
    assert judge(monitor).clear
    assert judge(monitor, hazards=tracker.update(observe(scan(0.8), now=1.0))).clear
    reading = judge(monitor, hazards=tracker.update(observe(scan(0.7), now=1.1)))
    assert reading.alarm
    assert reading.reason == (
        'hazards_lidar: hazard at 0.50 m, nearing at 1.00 m/s, margin 0.10 m')
    assert judge(monitor, hazards=tracker.update(observe(scan(0.8), now=1.2))).clear
    assert judge(monitor, hazards=tracker.update(observe(scan(0.25), now=9.0))).alarm
