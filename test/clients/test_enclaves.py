# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""With DDS security our commands run in enclaves of the policies, or say in one line why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest
from rclpy.node import Node

from spowl_ros.base.share import share_directory
from spowl_ros.clients.listener import RunListener
from spowl_ros.clients.live_check import LiveCheck
from spowl_ros.clients.spinning import spinning
from spowl_ros.clients.watcher import Watcher
from spowl_ros.control.bundle import read_contract
from spowl_ros.control.run_record import RunRecord
from spowl_ros.drawing.video import Recording
from spowl_ros.robot.config import RobotConfig

SHARE = share_directory()
POLICIES = SHARE / 'config' / 'security' / 'policies.xml'
SPOWL = Path(sys.executable).parent / 'spowl'
PATIENCE_S = 60.0
LISTENERS: dict[str, list[Callable[[], Node]]] = {
    'run_listener': [lambda: RunListener(RunRecord(''), '', Recording(RunRecord('')))],
    'spowl_top': [lambda: Watcher('')],
    'spowl_check': [
        lambda task=task: LiveCheck(read_contract(SHARE / 'models' / f'Safety{task}Goal1-v0'),
                                    RobotConfig(), '', use_sim_time=True)
        for task in ('Point', 'Car', 'Doggo', 'Ant')]}
COMMANDS = {
    'top': ['--once', '--seconds', '0.5'], 'view': ['--no-browser', '--port', '0'],
    'sim': [], 'robot': ['robot:=' + str(SHARE / 'config' / 'robot' / 'diff_drive.yaml')],
    'check': [str(SHARE / 'config' / 'robot' / 'diff_drive.yaml'),
              str(SHARE / 'models' / 'SafetyPointGoal1-v0'), '--live']}


def allowed(enclave: str, node: str) -> set[tuple[str, str]]:
    """Return what the policies allow a node: the right, and the full name of what it is for."""
    root = ElementTree.parse(POLICIES).getroot()
    profile, = root.iterfind(f'.//enclave[@path="{enclave}"]//profile[@node="{node}"]')
    found = set()
    for group in profile:
        (right, answer), = group.attrib.items()
        assert answer == 'ALLOW'
        for entry in group:
            name = str(entry.text).replace('~', f'/{node}')
            found.add((right, name if name.startswith('/') else f'/{name}'))
    return found


def used(node: Node) -> set[tuple[str, str]]:
    """Return what a node has in the ROS graph; scans have one name, as in the policies."""
    found = {
        'publish': node.get_publisher_names_and_types_by_node,
        'subscribe': node.get_subscriber_names_and_types_by_node,
        'reply': node.get_service_names_and_types_by_node,
        'request': node.get_client_names_and_types_by_node}
    return {(right, '/*_scan' if name.endswith('_scan') else name)
            for right, ask in found.items() for name, _ in ask(node.get_name(), '/')}


def enclave_of(observer: Node, name: str) -> str | None:
    """Return the enclave of a node that an observer sees; None if it does not see the node."""
    return next((enclave for found, _, enclave
                 in observer.get_node_names_and_namespaces_with_enclaves() if found == name), None)


@pytest.mark.parametrize('name', LISTENERS)
def test_a_listener_has_exactly_the_rights_that_it_uses(ros_domain: int, name: str) -> None:
    """The enclave that it is in allows every topic and service of it, and no other."""
    found = set()
    for make_node in LISTENERS[name]:
        with spinning(make_node) as node:
            found |= used(node)
            enclave = enclave_of(node, name)
    assert enclave == '/spowl/listener'
    assert found == allowed(enclave, name)


@pytest.mark.slow
def test_the_view_is_in_the_viewers_enclave(ros_domain: int) -> None:
    """As the viewer of a launch file is."""
    process = subprocess.Popen([SPOWL, 'view', *COMMANDS['view']], stdout=subprocess.DEVNULL)
    try:
        with spinning(lambda: Watcher('')) as observer:
            deadline = time.monotonic() + PATIENCE_S
            while (enclave := enclave_of(observer, 'viewer')) is None:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        assert enclave == '/spowl/viewer'
    finally:
        process.terminate()
        process.wait(30.0)


def test_the_policies_have_no_comment_between_enclaves() -> None:
    """sros2 would take it for an enclave without a name, and make no more of them."""
    _, _, enclaves = POLICIES.read_text(encoding='utf-8').partition('<enclaves>')
    assert enclaves and '<!--' not in enclaves


@pytest.mark.parametrize('there', [False, True])
@pytest.mark.parametrize('command', [
    pytest.param(name, marks=[] if name == 'top' else pytest.mark.slow) for name in COMMANDS])
def test_a_refused_enclave_is_one_clear_line(
        command: str, there: bool, ros_domain: int, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The keystore has no such enclave, or there are no certificates in it."""
    enclave = tmp_path / 'enclaves' / 'spowl' / ('viewer' if command == 'view' else 'listener')
    (enclave if there else tmp_path / 'enclaves').mkdir(parents=True)
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path))
    done = subprocess.run([SPOWL, command, *COMMANDS[command]], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 2, done
    said = [line for line in done.stderr.splitlines() if not line.startswith('[INFO]')]
    assert len(said) == 1 and 'unexpected' not in said[0], done
    assert there or str(enclave) in said[0]
