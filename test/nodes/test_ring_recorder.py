# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The recorder that keeps the last seconds, beside the nodes that drive."""

from __future__ import annotations

import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger

from spowl_ros.bags.context import read_context
from spowl_ros.bags.reader import Bag

pytestmark = pytest.mark.slow

SPOWL = (sys.executable, '-m', 'spowl_ros.cli.main')
WAIT_S = 90.0
PARAMETERS = """
controller: {ros__parameters: {planner: {temperature: 0.75}}}
recorder: {ros__parameters: {ring: {seconds: 4.0, after: 0.5, pause: 1.0, events: stop}}}
"""


def call(kind, name: str, request) -> object:
    """Call a service of the running nodes and return its answer."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('operator', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        client = node.create_client(kind, name)
        assert client.wait_for_service(WAIT_S), f'no {name}'
        future = client.call_async(request)
        executor.spin_until_future_complete(future, WAIT_S)
        return future.result()
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


def wait_for(bag: Path) -> Path:
    """Wait until a bag is whole."""
    deadline = time.monotonic() + WAIT_S
    while not (bag / 'metadata.yaml').exists() or 'message_count: 0' in (
            bag / 'metadata.yaml').read_text().split('topics_with_message_count')[0]:
        assert time.monotonic() < deadline, f'no {bag}'
        time.sleep(0.1)
    return bag


def replayed(bag: Path, model: Path, figures: Path) -> dict:
    """Return what `spowl replay` says of a bag."""
    subprocess.run([*SPOWL, 'replay', str(bag), str(model), '--json', str(figures)], check=True,
                   timeout=100)
    return json.loads(figures.read_text())


def test_the_last_seconds_of_a_drive_replay(untrained_bundle: Path, tmp_path: Path,
                                            ros_domain: int) -> None:
    """
    A stop and a call each leave a bag of the last seconds, which knows its settings.

    The first is saved well after the episode began: its decisions are made again, with the
    recorded temperature though the bag has no decision that tells it.
    """
    parameters, bags = tmp_path / 'params.yaml', tmp_path / 'bags'
    parameters.write_text(PARAMETERS)
    sim = subprocess.Popen(
        [*SPOWL, 'sim', 'episodes:=1', 'rate:=1.0', f'record:={bags}',
         f'params_file:={parameters}', f'model:={untrained_bundle}'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        # It is answered only once the recorder is there; then the drive may begin.
        call(Trigger, '/recorder/save', Trigger.Request())
        time.sleep(9.0)
        answer = call(Trigger, '/recorder/save', Trigger.Request())
        assert answer.success
        asked = wait_for(Path(answer.message.rpartition(' ')[2]))
        earlier = set(bags.glob('*_stop'))  # of a sensor that a busy machine made late
        call(SetBool, '/supervisor/stop', SetBool.Request(data=True))
        deadline = time.monotonic() + WAIT_S
        while not (found := list(set(bags.glob('*_stop')) - earlier)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stopped = wait_for(found[0])
    finally:
        sim.send_signal(signal.SIGINT)
        said, _ = sim.communicate(timeout=60)
    assert 'bags of the last 4 s' in said
    with Bag(asked) as bag:
        assert bag.damage == []
        times = [message.time_ns for message in bag.messages()]
        context = read_context(bag)
    assert times[-1] - times[0] < 7e9
    assert context.bundle == str(untrained_bundle)
    assert context.parameters['/controller']['planner.temperature'] == 0.75
    noted = json.loads(context.settings['/controller/decision'])
    assert noted['settings']['planner.temperature'] == 0.75
    figures = replayed(asked, untrained_bundle, tmp_path / 'asked.json')
    assert figures['decisions'] > 20
    assert figures['settings']['planner.temperature'] == 0.75
    assert figures['identical'] is not False
    with Bag(stopped) as bag:
        reason = read_context(bag).triggers[0]
    assert reason.cause == 'stop'
    assert replayed(stopped, untrained_bundle, tmp_path / 'stopped.json')['decisions'] > 20
