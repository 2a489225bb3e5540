# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Values come out of messages where the robot's description says, in the contract's units."""

from __future__ import annotations

import contextlib
import math
import operator
from types import SimpleNamespace

from nav_msgs.msg import Odometry
import numpy as np
import pytest
from sensor_msgs.msg import Imu, MagneticField
from std_msgs.msg import Float64MultiArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Field
from spowl_ros.robot import inputs
from spowl_ros.robot.config import Input

GYRO = Field('gyro', 'angular_velocity', 'imu', 3, 'rad/s', -100.0, 100.0, 0.2)


def test_read_vectors_arrays_and_numbers() -> None:
    """A path leads to a vector, a part of an array, or a number."""
    odometry = Odometry()
    odometry.twist.twist.linear.x = 1.5
    assert inputs.read(odometry, 'twist.twist.linear').tolist() == [1.5, 0.0, 0.0]
    assert inputs.read(odometry, 'twist.twist.linear.x').tolist() == [1.5]
    array = Float64MultiArray(data=[1.0, 2.0, 3.0, 4.0])
    assert inputs.read(array, 'data[1:4]').tolist() == [2.0, 3.0, 4.0]
    assert inputs.read(array, 'data[3]').tolist() == [4.0]


@pytest.mark.parametrize('path', ['twist.linear', 'twist.twist.linear.q', 'child_frame_id',
                                  'header', 'pose.covariance[30:40]', ''])
def test_read_says_what_is_missing(path: str) -> None:
    """A path that leads nowhere, or to no numbers, is one error."""
    with pytest.raises(SpowlError):
        inputs.read(Odometry(), path)


@pytest.mark.parametrize(('kind', 'path', 'covariance'), [
    (Odometry, 'twist.twist.linear', 'twist.covariance'),
    (Odometry, 'pose.pose.position.z', 'pose.covariance'),
    (Imu, 'angular_velocity', 'angular_velocity_covariance'),
    (MagneticField, 'magnetic_field', 'magnetic_field_covariance')])
@pytest.mark.parametrize('says', [-1.0, math.nan])
def test_what_is_not_measured_is_read_nowhere(kind: type, path: str, covariance: str, says: float
                                              ) -> None:
    """A message says so by its covariance, whether or not the robot's file names the path."""
    message = kind()
    assert not inputs.read(message, path).any()
    operator.attrgetter(covariance)(message)[0] = says
    with pytest.raises(SpowlError, match='is not measured'):
        inputs.read(message, path)


@pytest.mark.parametrize(('path', 'there'), [
    ('twist.twist.linear', True), ('pose.covariance[0:3]', True), ('pose.covariance[0].x', False),
    ('twist.twist[0]', False), ('header.frame_id[0]', False), ('pose.pose.position.x[0]', False),
    ('twist.linear', False), ('twist..twist', False), ('', False)])
def test_a_definition_shows_whether_a_path_is_wrong(path: str, there: bool) -> None:
    """What leads nowhere is refused before a message comes, without the type's package."""
    with contextlib.nullcontext() if there else pytest.raises(SpowlError, match='has no|no array'):
        inputs.check_path('speed', 'nav_msgs/msg/Odometry', path)


def part_of(given: Input) -> inputs.Part:
    """Return the reader of a gyro's numbers in `data`."""
    return inputs.Part(GYRO, given, lambda message, _: inputs.read(message, 'data'))


def message(data: list[float], frame: str = '') -> SimpleNamespace:
    """Return a message with numbers in a frame."""
    return SimpleNamespace(header=SimpleNamespace(frame_id=frame), data=data)


def test_unit_and_mounting() -> None:
    """Degrees become radians; a sensor mounted a quarter turn to the left feels x as y."""
    part = part_of(Input(unit='deg/s', rotation=(0.0, 0.0, math.pi / 2)))
    result = part.read(message([180.0, 0.0, 90.0]))
    np.testing.assert_allclose(result, [0.0, math.pi, math.pi / 2], atol=1e-12)


def test_rotation_matrix_is_a_rotation() -> None:
    """Orthonormal with determinant 1, and roll turns y towards z."""
    matrix = inputs.rotation_matrix(0.3, -0.7, 1.9)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert math.isclose(float(np.linalg.det(matrix)), 1.0)
    np.testing.assert_allclose(inputs.rotation_matrix(math.pi / 2, 0, 0) @ [0, 1, 0], [0, 0, 1],
                               atol=1e-12)


def test_wrong_frame_and_length() -> None:
    """A message in another frame or with other numbers is refused by name."""
    part = part_of(Input(frame='imu_link'))
    part.read(message([0.0] * 3, '/imu_link'))
    with pytest.raises(SpowlError, match="'base_link'.*'imu_link'"):
        part.read(message([0.0] * 3, 'base_link'))
    with pytest.raises(SpowlError, match='4 values'):
        part.read(message([0.0] * 4, 'imu_link'))
