# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The robot's URDF and the poses of its links agree with MuJoCo."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np
import pytest

from spowl_ros.sim.body import BASE, Pose
from spowl_ros.sim.environment import Environment

ROBOTS = ('Point', 'Car', 'Ant', 'Doggo')


def driven(robot: str) -> Environment:
    """Return an environment after some random actions."""
    env = Environment(f'Safety{robot}Goal1-v0', seed=0)
    env.reset()
    random = np.random.default_rng(0)
    for _ in range(5):
        env.step(random.uniform(-1.0, 1.0, env.contract.action.size))
    return env


@pytest.mark.parametrize('robot', ROBOTS)
def test_poses_of_the_links_add_up_to_the_robot_of_the_simulation(robot: str) -> None:
    """From the world through all parents, each shape of the URDF is where the scene has it."""
    env = driven(robot)
    placed: dict[str, Pose] = {}
    for link in env.body.links():
        placed[link.name] = placed[link.parent] @ link.pose if link.parent else link.pose
    seen = []
    for element in ElementTree.fromstring(env.body.urdf).iter('link'):
        for visual in element.iter('visual'):
            seen.append(placed[element.attrib['name']] @ origin(visual))
    for shape in env.scene().shapes:
        if shape.kind == 'robot':
            assert any(np.allclose(pose.position, shape.position, atol=2e-5) and abs(
                np.dot(pose.orientation, shape.orientation)) > 1 - 1e-6 for pose in seen), shape


@pytest.mark.parametrize('robot', ROBOTS)
def test_the_urdf_is_a_tree_of_the_links_with_the_names_of_the_joints(robot: str) -> None:
    """Links and parents are those of the poses; the joints of `joint_states` are joints."""
    env = driven(robot)
    urdf = ElementTree.fromstring(env.body.urdf)
    links = env.body.links()
    assert [link.attrib['name'] for link in urdf.iter('link')] == [link.name for link in links]
    assert links[0].name == BASE
    joints = {joint.attrib['name']: joint for joint in urdf.iter('joint')}
    parents = {joint.find('child').attrib['link']: joint.find('parent').attrib['link']
               for joint in joints.values()}
    assert parents == {link.name: link.parent for link in links[1:]}
    assert {field.joint for field in env.contract.fields
            if field.sensor.startswith('joint_')} <= set(joints)


def test_how_upright_the_body_is() -> None:
    """A turn about the vertical changes nothing; half a turn about another axis is its back."""
    env = driven('Doggo')
    task = env.body._task
    for axis, angle, upright in (([0, 0, 1], 2.0, 1.0), ([1, 0, 0], np.pi, -1.0),
                                 ([0.6, 0.8, 0], 1.2, np.cos(1.2))):
        turn = np.empty(4)
        mujoco.mju_axisAngle2Quat(turn, np.array(axis, np.float64), angle)
        task.data.qpos[3:7] = turn
        mujoco.mj_forward(task.model, task.data)
        assert env.body.upright() == pytest.approx(upright)


def test_a_joint_of_the_urdf_moves_as_the_simulation_does() -> None:
    """Doggo's two hinges of a hip, turned in turn about the URDF's axes, give its pose."""
    env = driven('Doggo')
    urdf, links = ElementTree.fromstring(env.body.urdf), env.body.links()
    model, data = env.body._task.model, env.body._task.data
    by_name = {link.name: link for link in links}
    for joint in urdf.iter('joint'):
        if joint.attrib['type'] != 'revolute':
            continue
        angle = float(data.joint(joint.attrib['name']).qpos[0])
        turn = np.empty(4)
        mujoco.mju_axisAngle2Quat(turn, np.array(
            joint.find('axis').attrib['xyz'].split(), np.float64), angle)
        found = origin(joint) @ Pose((0.0, 0.0, 0.0), tuple(turn))
        pose = by_name[joint.find('child').attrib['link']].pose
        np.testing.assert_allclose(found.position, pose.position, atol=1e-5)
        assert abs(np.dot(found.orientation, pose.orientation)) > 1 - 1e-6
    assert model.nq > 20  # it has joints


def origin(element: ElementTree.Element) -> Pose:
    """Return the pose in an element's origin."""
    found = element.find('origin')
    roll, pitch, yaw = map(float, found.attrib['rpy'].split())
    turn = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, angle in ((2, yaw), (1, pitch), (0, roll)):
        step, product = np.empty(4), np.empty(4)
        mujoco.mju_axisAngle2Quat(step, np.eye(3)[axis], angle)
        mujoco.mju_mulQuat(product, turn, step)
        turn = product
    x, y, z = map(float, found.attrib['xyz'].split())
    return Pose((x, y, z), tuple(turn))
