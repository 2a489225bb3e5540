# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts that arrive in any order become one vector in the contract's order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import ActionSpec, Contract, Field
from spowl_ros.control.observation import ObservationAssembler

CONTRACT = Contract(
    task='Test-v0', robot='Point',
    fields=(Field('velocity', 'linear_velocity', 'velocity', 3, 'm/s', -1.0, 1.0, 0.17),
            Field('gyro', 'angular_velocity', 'imu', 2, 'rad/s', -1.0, 1.0, 0.17)),
    action=ActionSpec(('x',), (-1.0,), (1.0,), 'effort', (0.0,)), raw_period=0.02,
    action_repeat=5)


@pytest.fixture
def assembler() -> ObservationAssembler:
    """Return an assembler of five numbers from two fields."""
    return ObservationAssembler(CONTRACT)


def test_none_until_every_field_arrived(assembler: ObservationAssembler) -> None:
    """No observation is made up from parts that never came."""
    assembler.put('gyro', [4, 5], 10)
    assert assembler.observe(10) is None
    assert assembler.missing() == ['velocity']


def test_values_stand_in_contract_order(assembler: ObservationAssembler) -> None:
    """The order of arrival does not matter."""
    assembler.put('gyro', [4, 5], 10)
    assembler.put('velocity', [1, 2, 3], 20)
    observation = assembler.observe(1_000_000_020)
    np.testing.assert_array_equal(observation.values, np.float32([1, 2, 3, 4, 5]))
    assert observation.values.dtype == np.float32
    assert observation.stamp_ns == 20
    np.testing.assert_allclose(observation.ages, [1.0, 1.00000001], rtol=0, atol=1e-12)


def test_an_observation_never_changes(assembler: ObservationAssembler) -> None:
    """What was handed out stays as it was when newer values arrive."""
    assembler.put('gyro', [4, 5], 10)
    assembler.put('velocity', [1, 2, 3], 10)
    observation = assembler.observe(10)
    assembler.put('gyro', [9, 9], 20)
    np.testing.assert_array_equal(observation.values, np.float32([1, 2, 3, 4, 5]))


def test_complete_waits_for_one_measurement(assembler: ObservationAssembler) -> None:
    """After an early observation the parts of the next measurement come together again."""
    assembler.put('gyro', [4, 5], 10)
    assembler.put('velocity', [1, 2, 3], 10)
    assert assembler.complete()
    assembler.observe(10)
    assert not assembler.complete()
    assembler.put('gyro', [4, 5], 20)
    assembler.observe(20)  # a deadline passed: half of the measurement is still on its way
    assembler.put('velocity', [1, 2, 3], 20)
    assembler.put('gyro', [4, 5], 30)
    assert not assembler.complete()
    assembler.put('velocity', [1, 2, 3], 30)
    assert assembler.complete()


def test_a_clock_behind_the_stamps_answers_once(assembler: ObservationAssembler) -> None:
    """A simulated clock that arrives after the sensors does not make one set count twice."""
    for name, values in (('velocity', [1, 2, 3]), ('gyro', [4, 5])):
        assembler.put(name, values, 100)
    assert assembler.complete()
    assembler.observe(50)
    assert not assembler.complete()


def test_a_future_stamp_does_not_block_what_follows(assembler: ObservationAssembler) -> None:
    """One stamp from far ahead shows as a negative age and is forgotten with the next."""
    assembler.put('gyro', [4, 5], 10**12)
    assembler.put('velocity', [1, 2, 3], 10)
    assert assembler.observe(10).ages[1] == pytest.approx(-1000)
    assembler.put('gyro', [4, 5], 20)
    assembler.put('velocity', [1, 2, 3], 20)
    assert assembler.complete()


def test_silence_is_measured_on_the_steady_clock(assembler: ObservationAssembler) -> None:
    """A stopped node's clock does not hide a silent sensor."""
    assembler.put('gyro', [4, 5], 10, arrival=1.0)
    assembler.put('velocity', [1, 2, 3], 10, arrival=1.5)
    observation = assembler.observe(10, now=2.0)
    np.testing.assert_allclose(observation.silences, [0.5, 1.0])
    np.testing.assert_array_equal(observation.ages, [0, 0])


def test_a_repeated_measurement_is_no_news(assembler: ObservationAssembler) -> None:
    """A driver that sends its last measurement again and again is silent."""
    for arrival in (1.0, 2.0, 3.0):
        assembler.put('gyro', [4, 5], 10, arrival)
        assembler.put('velocity', [1, 2, 3], int(10 + arrival), arrival)
    np.testing.assert_allclose(assembler.observe(10, now=3.0).silences, [0.0, 2.0])


def test_a_clock_set_back_drops_only_what_lies_ahead(assembler: ObservationAssembler) -> None:
    """Parts already measured on the new time line are kept."""
    assembler.put('gyro', [4, 5], 1000)
    assembler.put('velocity', [1, 2, 3], 10)
    assembler.forget_after(10)
    assert assembler.missing() == ['gyro']
    assembler.put('gyro', [4, 5], 10)
    assert assembler.complete()


@pytest.mark.parametrize(('name', 'values', 'words'), [
    ('lidar', [1], "no field 'lidar'.*velocity, gyro"),
    ('gyro', [1, 2, 3], "'gyro' got 3 values, the contract wants 2"),
])
def test_wrong_parts_are_refused(assembler: ObservationAssembler, name: str, values: list[float],
                                 words: str) -> None:
    """The message names the field, what it had and what was wanted."""
    with pytest.raises(SpowlError, match=words):
        assembler.put(name, values, 0)


def test_numbers_that_are_none_are_kept_for_the_monitor(assembler: ObservationAssembler) -> None:
    """Not-a-number and overflow reach the observation as they are."""
    assembler.put('gyro', [np.nan, 1e300], 10)
    assembler.put('velocity', [1, 2, 3], 10)
    values = assembler.observe(10).values
    assert np.isnan(values[3]) and np.isinf(values[4])


def test_a_slow_sensor_is_not_waited_for() -> None:
    """A field that may be silent for long is taken as it is once it has come."""
    slow = dataclasses.replace(CONTRACT.fields[1], timeout=2.0)
    assembler = ObservationAssembler(
        dataclasses.replace(CONTRACT, fields=(CONTRACT.fields[0], slow)))
    assembler.put('velocity', [1, 2, 3], 10)
    assert not assembler.complete()
    assembler.put('gyro', [4, 5], 10)
    assert assembler.complete()
    assembler.observe(10)
    assert not assembler.complete()
    assembler.put('velocity', [1, 2, 3], 20)
    assert assembler.complete()
