# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Observations survive being sent as standard messages."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import math
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.contract import Contract, Field
from spowl_ros.control.observation import ObservationAssembler
from spowl_ros.robot import fields
from spowl_ros.robot.config import Input, RobotConfig
from spowl_ros.robot.inputs import Part, read
from spowl_ros.robot.topics import Edge, Topic, topics
from spowl_ros.ros.messages import build, message_class
from spowl_ros.sim import environment, tasks

STAMP_NS = 12_000_000_345
ROSBAGS = get_typestore(Stores.LATEST)


def as_replayed(message: Any, name: str) -> Any:
    """Return the message as rosbags reads it from a bag."""
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
    entries = topics(env.contract)
    for _ in range(10):
        values = {name: observation[part] for name, part in env.contract.slices.items()}
        received = ObservationAssembler(env.contract)
        replayed = ObservationAssembler(env.contract)
        for entry in entries:
            message = build(entry.type, entry.content(values, STAMP_NS))
            data = serialize_message(message)
            sent = entry.read(deserialize_message(data, message_class(entry.type)))
            stored = entry.read(as_replayed(message, entry.type))
            assert sent.stamp_ns == stored.stamp_ns == STAMP_NS
            for assembler, taken in ((received, sent), (replayed, stored)):
                for name, part in taken.values.items():
                    assembler.put(name, part, taken.stamp_ns)
        result = received.observe(STAMP_NS)
        assert result is not None
        np.testing.assert_allclose(result.values, observation, rtol=0, atol=1e-6)
        again = replayed.observe(STAMP_NS)
        assert again is not None
        np.testing.assert_array_equal(result.values, again.values)
        step = env.step(rng.uniform(-1, 1, env.contract.action.size))
        observation = env.reset() if step.terminated else step.observation


def message_of(entry: Topic, fill: Callable[[Field], Any]) -> Any:
    """Return the message that carries what `fill` gives for each field."""
    values = {part.field.name: fill(part.field) for part in entry.parts}
    return build(entry.type, entry.content(values, STAMP_NS))


def topic_of(task: str, name: str) -> Topic:
    """Return one topic of a task's contract."""
    return next(entry for entry in topics(environment.contract(task)) if entry.topic == name)


def test_a_scan_with_other_beams_is_refused() -> None:
    """A scan of other directions than the sectors would be taken for obstacles elsewhere."""
    entry = topic_of(tasks.TASKS[0], 'hazards_scan')
    message = message_of(entry, lambda field: np.zeros(16))
    message.angle_min = -3.14
    message.angle_max = -3.14 + 15 * message.angle_increment
    with pytest.raises(SpowlError, match='needs beams from'):
        entry.read(message)
    message.ranges = [1.0, 2.0]
    message.angle_max = -3.14 + message.angle_increment
    with pytest.raises(SpowlError, match='2 beams'):
        entry.read(message)


def test_joints_are_found_by_name() -> None:
    """Joints may come in any order."""
    entry = topic_of('SafetyAntGoal1-v0', 'joint_states')
    message = message_of(entry, lambda field: np.full(field.size, len(field.name) / 10.0))
    expected = entry.read(message).values
    message.name = message.name[::-1]
    message.position = message.position[::-1]
    message.velocity = message.velocity[::-1]
    for name, part in entry.read(message).values.items():
        np.testing.assert_array_equal(part, expected[name])


def test_two_senders_of_joint_states_are_merged() -> None:
    """Each message gives its own joints, with its own stamp; one about none of ours is refused."""
    contract = environment.contract('SafetyAntGoal1-v0')
    entry = topic_of('SafetyAntGoal1-v0', 'joint_states')
    whole = message_of(entry, lambda field: np.full(field.size, len(field.name) / 10.0))
    edge, assembler = Edge(), ObservationAssembler(contract)
    for first, stamp_ns in ((0, STAMP_NS + 5), (1, STAMP_NS)):
        half = JointState(name=whole.name[first::2], position=whole.position[first::2],
                          velocity=whole.velocity[first::2])
        half.header.stamp.sec, half.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        taken = edge.take(entry, half)
        assert len(taken.values) == len(entry.names) // 2
        for name, values in taken.values.items():
            assembler.put(name, values, taken.stamp_ns)
    others = [field.name for field in contract.fields if field.name not in entry.names]
    assert assembler.missing() == others
    half.name = [f'other_{name}' for name in half.name]
    with pytest.raises(SpowlError, match='is about other_'):
        edge.take(entry, half)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda m: m.name.__setitem__(1, m.name[0]), 'one for each joint'),
    (lambda m: m.position.pop(), 'one for each joint'),
    (lambda m: m.position.__setitem__(-1, math.nan), 'is nan'),
    (lambda m: m.velocity.__setitem__(-1, math.inf), 'not finite'),
    (lambda m: setattr(m.header.stamp, 'nanosec', 10**9), 'no time of a measurement'),
    (lambda m: (setattr(m.header.stamp, 'sec', 0), setattr(m.header.stamp, 'nanosec', 0)),
     'no time of a measurement'),
])
def test_a_message_is_taken_whole_or_not_at_all(change: Callable[[Any], None],
                                                words: str) -> None:
    """A fault in the last joint refuses all of the joints before it."""
    entry = topic_of('SafetyAntGoal1-v0', 'joint_states')
    message = message_of(entry, lambda field: np.full(field.size, 0.5))
    assert len(entry.read(message).values) == 16
    change(message)
    with pytest.raises(SpowlError, match=words):
        entry.read(message)


def test_the_edge_remembers_frames_and_stamps() -> None:
    """Another frame is refused; a stamp that goes back is refused once, and time goes on."""
    entry = topic_of(tasks.TASKS[0], 'imu')
    message = message_of(entry, lambda field: np.ones(3))
    edge = Edge()
    assert edge.take(entry, message).stamp_ns == STAMP_NS
    assert edge.take(entry, message).stamp_ns == STAMP_NS, 'a repeated message is no fault'
    message.header.frame_id = 'laser'
    with pytest.raises(SpowlError, match="before it was 'base_link'"):
        edge.take(entry, message)
    message.header.frame_id = 'base_link'
    message.header.stamp.sec -= 1
    with pytest.raises(SpowlError, match='1.000 s before'):
        edge.take(entry, message)
    assert edge.take(entry, message).stamp_ns == STAMP_NS - 10**9


def test_what_is_not_measured_is_not_zero() -> None:
    """A covariance of -1 says that there is no value (sensor_msgs/Imu), whatever stands there."""
    entry = topic_of(tasks.TASKS[0], 'imu')
    message = message_of(entry, lambda field: np.zeros(3))
    message.linear_acceleration_covariance[0] = -1.0
    with pytest.raises(SpowlError, match='linear_acceleration is not measured'):
        entry.read(message)


def test_a_velocity_comes_in_one_frame() -> None:
    """An odometry's velocities are in its child's frame: another child is another meaning."""
    entry = Topic('odom', 'nav_msgs/msg/Odometry', (Part(
        Field('velocity', 'linear_velocity', 'odom', 3, 'm/s', -10.0, 10.0, 0.2),
        Input(type='nav_msgs/msg/Odometry', field='twist.twist.linear'),
        lambda message, _: read(message, 'twist.twist.linear')),))
    message, edge = Odometry(), Edge()
    message.header.frame_id, message.child_frame_id = 'odom', 'base_link'
    message.header.stamp.sec = 1
    edge.take(entry, message)
    message.child_frame_id = 'odom'
    with pytest.raises(SpowlError, match="'odom of odom', before it was 'odom of base_link'"):
        edge.take(entry, message)


def test_an_orientation_of_norm_zero_is_none() -> None:
    """0 0 0 0 is no rotation."""
    entry = topic_of('SafetyCarGoal1-v0', 'ball_joint_states')
    message = message_of(entry, lambda field: np.eye(3).ravel()[:field.size])
    message.transforms[0].rotation.w = 0.0
    with pytest.raises(SpowlError, match='norm 0'):
        entry.read(message)


def test_contracts_of_old_bundles_name_their_joints() -> None:
    """A contract that was written before joints had names of their own is read as the new one."""
    for task in ('SafetyAntGoal1-v0', 'SafetyDoggoGoal1-v0', 'SafetyCarGoal1-v0'):
        contract = environment.contract(task)
        data = contract.to_dict()
        for field in data['fields']:
            del field['joint']
        assert Contract.from_dict(data) == contract


def test_another_kind_of_sensor_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row for a range finder its topic is written, read, validated and checked."""
    def write(content: fields.Content, field: Field, values: np.ndarray) -> None:
        content.update(range=float(values[0]), max_range=4.0)

    monkeypatch.setitem(fields.SENSORS, 'distance', fields.Sensor(
        'sensor_msgs/msg/Range', lambda message, _: np.array([message.range]), write))
    field = Field('ahead', 'distance', 'range_ahead', 1, 'm', 0.0, 4.0, 0.2)
    contract = dataclasses.replace(environment.contract(tasks.TASKS[0]), fields=(field,))
    entry, = topics(RobotConfig().applied_to(contract))
    message = message_of(entry, lambda _: np.array([1.5]))
    assert (type(message).__name__, message.header.frame_id) == ('Range', 'base_link')
    assert entry.read(as_replayed(message, entry.type)).values['ahead'].tolist() == [1.5]
    message.range = math.nan
    with pytest.raises(SpowlError, match='not finite'):
        entry.read(message)


@pytest.mark.parametrize('seed', range(20))
def test_rotations_survive_as_quaternions(seed: int) -> None:
    """Every rotation matrix is found again, half turns included."""
    axis = np.random.default_rng(seed).normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.pi if seed % 3 == 0 else seed
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * axis
    matrix = fields._matrix(w, x, y, z)
    again = fields._matrix(*fields._quaternion(matrix.reshape(3, 3)))
    np.testing.assert_allclose(again, matrix, atol=1e-12)


def test_odometry_says_what_it_does_not_measure() -> None:
    """Of Ant: height and turn rates are exact; place, heading and speed as good as unknown."""
    contract = environment.make('SafetyAntGoal1-v0', action_repeat=5).contract
    values = {field.name: np.zeros(field.size) for field in contract.fields}
    entry, = (entry for entry in topics(contract) if entry.type == 'nav_msgs/msg/Odometry')
    message = build(entry.type, entry.content(values, STAMP_NS))
    for part, measured in ((message.pose, {2}), (message.twist, {3, 4, 5})):
        variances = np.diag(part.covariance.reshape(6, 6))
        assert {axis for axis in range(6) if variances[axis] < 1e-3} == measured
        assert (np.delete(variances, sorted(measured)) >= 1e6).all()
