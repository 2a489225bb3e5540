# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster of two nodes on this machine, each a process of its own with one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import os
from pathlib import Path
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import psutil
import pytest

START_S = 200.0
OBJECT_STORE = 100_000_000


@dataclass
class Node:
    """One node: the process that started it, and all that this one started."""

    process: subprocess.Popen[bytes]

    def pids(self) -> set[int]:
        """Return the ids of its processes."""
        try:
            parent = psutil.Process(self.process.pid)
            return {parent.pid, *(child.pid for child in parent.children(recursive=True))}
        except psutil.NoSuchProcess:
            return set()

    def kill(self) -> None:
        """End it at once, as a machine without power does."""
        victims = []
        for pid in self.pids():
            try:
                victims.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(victims, timeout=20)
        self.process.wait()


@dataclass
class TwoNodes:
    """Address of a cluster, and its nodes."""

    address: str
    environment: dict[str, str]
    """Of every process that is to join it."""
    nodes: list[Node] = field(default_factory=list)


def _start(folder: str, environment: dict[str, str], *arguments: str) -> Node:
    return Node(subprocess.Popen(
        [sys.executable, '-m', 'ray.scripts.scripts', 'start', '--block', '--num-cpus=1',
         f'--object-store-memory={OBJECT_STORE}', *arguments],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=folder))


def _wait(met: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_S
    while not met():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    """Start a head and a second node, and end what is left of them."""
    pytest.importorskip('ray')
    folder = tempfile.mkdtemp(prefix='spowl_ray_', dir='/tmp')  # its sockets need a short path
    with socket.socket() as probe:
        probe.bind(('', 0))
        port = probe.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(('192.0.2.1', 9))  # sends nothing; says which address others would see
        host = probe.getsockname()[0]
    cluster = TwoNodes(f'{host}:{port}', {
        **os.environ, 'RAY_USAGE_STATS_ENABLED': '0', 'RAY_AUTH_MODE': 'token',
        'RAY_AUTH_TOKEN': secrets.token_hex(32), 'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '1'})
    try:
        cluster.nodes.append(_start(
            folder, cluster.environment, '--head', f'--port={port}', f'--temp-dir={folder}',
            '--include-dashboard=false'))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((host, port)) == 0

        _wait(listens, 'the head did not start')
        cluster.nodes.append(_start(folder, cluster.environment,
                                    f'--address={cluster.address}'))

        def joined() -> bool:
            raylets = [name for node in cluster.nodes for pid in node.pids()
                       if (name := _name(pid)) == 'raylet']
            return len(raylets) == 2

        _wait(joined, 'the second node did not join')
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return ''


@pytest.fixture(scope='session')
def tiny_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a training that takes seconds, and has a checkpoint early on."""
    file = tmp_path_factory.mktemp('tiny') / 'tiny.yaml'
    file.write_text("""
task: SafetyPointGoal1-v0
batch_size: 8
collect: {action_repeat: 20, environments: 3, decisions: 900, random_decisions: 30,
          updates_per_decision: 0.1, replay_capacity: 300, planning_share: 0.4}
networks: {latent_dim: 16, enc_dim: 16, mlp_dim: 16, num_c: 2, num_q: 2}
constraint: {kind: budget}
schedule: {log: 30, evaluate: 450, evaluation_episodes: 1, checkpoint: 60}
planner: {iterations: 1, samples: 8, policy_candidates: 4, elites: 4}
""")
    return file
