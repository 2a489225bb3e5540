# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Observations survive being sent as standard messages."""

from __future__ import annotations

import contextlib
from typing import Any

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.observation import ObservationAssembler
from spowl_ros.robot import conversion
from spowl_ros.sim import environment, tasks

STAMP = Time(sec=12, nanosec=345)
ROSBAGS = get_typestore(Stores.LATEST)


def as_replayed(message: Any) -> Any:
    """Return the message as rosbags reads it from a bag."""
    name = f'{type(message).__module__.split(".")[0]}/msg/{type(message).__name__}'
    data = serialize_message(message)
    for padding in (0, 4, 8):  # this, unlike what DDS delivers, is padded after empty arrays
        with contextlib.suppress(SerdeError):
            return ROSBAGS.deserialize_cdr(data[:len(data) - padding], name)
    raise AssertionError(f'rosbags cannot read a {name}')


@pytest.mark.parametrize('task', tasks.TASKS)
def test_every_observation_survives_its_messages(task: str) -> None:
    """Serialised, sent and put together again it is equal to 1e-6, whoever deserialises it."""
    env = environment.make(task, seed=5, action_repeat=2)
    rng = np.random.default_rng(0)
    observation = env.reset()
    entries = conversion.inputs(env.contract)
    for _ in range(10):
        values = {name: observation[part] for name, part in env.contract.slices.items()}
        received = ObservationAssembler(env.contract)
        replayed = ObservationAssembler(env.contract)
        for entry in entries:
            message = entry.message(values, STAMP)
            data = serialize_message(message)
            sent = deserialize_message(data, entry.message_type)
            stored = as_replayed(message)
            assert entry.stamp_ns(sent) == entry.stamp_ns(stored) == 12_000_000_345
            for assembler, copy in ((received, sent), (replayed, stored)):
                for name, part in entry.fields(copy):
                    assembler.put(name, part, entry.stamp_ns(copy))
        result = received.observe(12_000_000_345)
        assert result is not None
        np.testing.assert_allclose(result.values, observation, rtol=0, atol=1e-6)
        again = replayed.observe(12_000_000_345)
        assert again is not None
        np.testing.assert_array_equal(result.values, again.values)
        step = env.step(rng.uniform(-1, 1, env.contract.action.size))
        observation = env.reset() if step.terminated else step.observation


def test_empty_sectors_are_infinitely_far() -> None:
    """REP-117: nothing seen is +Inf and comes back as 0, touching is 0 m and comes back as 1."""
    far = conversion.ranges([0.0, 1.0, 0.25])
    assert far.tolist() == [np.inf, 0.0, 2.25]
    assert conversion.closeness(far).tolist() == [0.0, 1.0, 0.25]


def test_broken_ranges_stay_visible() -> None:
    """Not-a-number stays so; too close to measure is as close as can be; too far is nothing."""
    result = conversion.closeness([np.nan, -np.inf, 7.0])
    assert np.isnan(result[0])
    assert result[1:].tolist() == [1.0, 0.0]


def test_a_scan_with_other_beams_is_refused() -> None:
    """A scan of other directions than the sectors would be taken for obstacles elsewhere."""
    entry = next(entry for entry in conversion.inputs(environment.contract(tasks.TASKS[0]))
                 if entry.topic == 'hazards_scan')
    message = entry.message({'hazards_lidar': np.zeros(16)}, STAMP)
    message.angle_min = -3.14
    with pytest.raises(SpowlError, match='needs beams from'):
        dict(entry.fields(message))
    message.ranges = [1.0, 2.0]
    with pytest.raises(SpowlError, match='2 beams'):
        dict(entry.fields(message))


def test_joints_are_found_by_name() -> None:
    """Joints may come in any order; one that is missing is named."""
    contract = environment.contract('SafetyAntGoal1-v0')
    entry = next(entry for entry in conversion.inputs(contract) if entry.topic == 'joint_states')
    values = {name: np.full(contract.field(name).size, index) / 10.0
              for index, name in enumerate(entry.names)}
    message = entry.message(values, STAMP)
    expected = dict(entry.fields(message))
    message.name = message.name[::-1]
    message.position = message.position[::-1]
    message.velocity = message.velocity[::-1]
    for name, part in entry.fields(message):
        np.testing.assert_array_equal(part, expected[name])
    message.name = [name.replace('hip_1', 'hip_9') for name in message.name]
    with pytest.raises(SpowlError, match="'hip_1'"):
        dict(entry.fields(message))


@pytest.mark.parametrize('seed', range(20))
def test_rotations_survive_as_quaternions(seed: int) -> None:
    """Every rotation matrix is found again, half turns included."""
    axis = np.random.default_rng(seed).normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.pi if seed % 3 == 0 else seed
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * axis
    matrix = conversion._matrix(w, x, y, z)
    again = conversion._matrix(*conversion._quaternion(matrix.reshape(3, 3)))
    np.testing.assert_allclose(again, matrix, atol=1e-12)
