# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Surroundings of every test: a ROS domain of its own, one thread, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import random
import signal
import sys
import tempfile
import threading
import time
from types import ModuleType
from typing import IO, Any

import hypothesis
import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOMAINS = range(21, 102)  # isolated on every system; the low ones are left to people
SESSION_MARK = 'SPOWL_TEST_SESSION'  # in the environment of every process that a test starts
SHARED_MEMORY = Path('/dev/shm')
NETWORK = ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS',
           'ROS_DISCOVERY_SERVER', 'FASTRTPS_DEFAULT_PROFILES_FILE',
           'FASTDDS_DEFAULT_PROFILES_FILE')
"""
What a developer's shell says about the network; tests have their own.

A range of LOCALHOST makes rmw_fastrtps use shared memory, whatever the transports are.
"""
SHARED_MEMORY_LOOK_S = 0.05
DDS_PORT_BASE, DDS_PORTS_PER_DOMAIN = 7400, 250  # DDSI-RTPS 2.5, 9.6.2.3
PROCESS_EXIT_S = 20.0
REFERENCE_DIRECTORY = pytest.StashKey[Path]()
REFERENCE_KEY = 'reference_directory'


def domains_in_use() -> set[int]:
    """Return the ROS domains in which some process of this machine has a UDP socket open."""
    ports = [int(line.split()[1].rpartition(':')[2], 16)
             for table in Path('/proc/net').glob('udp*')
             for line in table.read_text().splitlines()[1:]]
    return {(port - DDS_PORT_BASE) // DDS_PORTS_PER_DOMAIN for port in ports}


class DomainPool:
    """Hands out ROS domain ids in which nobody on this machine is."""

    def __init__(self) -> None:
        self._locks: dict[int, IO[str]] = {}

    def take(self) -> int:
        """Return a free domain id and hold it until it is released or the process ends."""
        free = sorted(set(DOMAINS) - domains_in_use())
        for domain in random.SystemRandom().sample(free, len(free)):
            path = Path(tempfile.gettempdir()) / f'spowl_ros_test_domain_{domain}.lock'
            try:
                lock = path.open('w')
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # another session's, or another user's
                continue
            self._locks[domain] = lock
            return domain
        raise RuntimeError(f'all ROS domains of {DOMAINS} are in use')

    def release(self, domain: int) -> None:
        """Give a domain id back."""
        self._locks.pop(domain).close()


DOMAIN_POOL = DomainPool()


def take_reference_directory(config: pytest.Config) -> Path:
    """
    Return the directory of the authors' reference numbers, from `--fixtures DIR`.

    Pytest has a `--fixtures` of its own, a flag that lists fixtures, and takes DIR for a path to
    collect tests from. A directory without Python in it is ours; the flag alone stays pytest's.
    """
    if config.option.showfixtures and config.args:
        directory = config.invocation_params.dir / config.args[-1]
        if directory.is_dir() and not any(directory.rglob('*.py')):
            config.option.showfixtures = False
            config.args.pop()
            return directory
    return ROOT.parent / 'shared' / 'fixtures'


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Take `--fixtures DIR` before pytest's own flag of that name lists fixtures and ends."""
    given = getattr(config, 'workerinput', {}).get(REFERENCE_KEY)
    config.stash[REFERENCE_DIRECTORY] = Path(given) if given else take_reference_directory(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist what `--fixtures DIR` was."""
    node.workerinput[REFERENCE_KEY] = str(node.config.stash[REFERENCE_DIRECTORY])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is exhaustive, unless it is asked for."""
    if 'exhaustive' not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker('exhaustive')]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before anything imports rclpy, numpy or torch."""
    # A shell starts what runs in the background with SIGINT ignored, nohup with SIGHUP; the
    # processes of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A busy machine is no fault of what is tested.
    hypothesis.settings.register_profile(
        'busy', deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile('busy')
    for name in NETWORK:
        os.environ.pop(name, None)
    os.environ.update(
        {
            # Shared memory outlives killed nodes.
            'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4',
            'OMP_NUM_THREADS': '1',
            'PYTHONFAULTHANDLER': '1',
            'ROS_DOMAIN_ID': str(DOMAIN_POOL.take()),
            'ROS_LOG_DIR': tempfile.mkdtemp(prefix='spowl_ros_log_'),
            SESSION_MARK: str(os.getpid()),
        }
    )
    if (Path(sys.prefix) / 'share' / 'ament_index').is_dir():  # ROS 2 from wheels
        known = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
        prefixes = [sys.prefix, *(path for path in known if path and path != sys.prefix)]
        os.environ['AMENT_PREFIX_PATH'] = os.pathsep.join(prefixes)


@pytest.fixture(scope='session')
def fixtures_directory(request: pytest.FixtureRequest) -> Path:
    """Return the directory of the reference numbers; skip where it is absent."""
    directory = request.config.stash[REFERENCE_DIRECTORY]
    if not any(directory.glob('*.npz')):
        pytest.skip(f'no reference numbers in {directory}; pass --fixtures DIR')
    return directory


@pytest.fixture(scope='session')
def untrained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle for SafetyPointGoal1-v0 of small random networks; do not write into it."""
    from dataclasses import replace

    from spowl_ros.control.planner_settings import PlannerSettings
    from spowl_ros.sim.environment import contract
    from spowl_ros.training.untrained import COMPACT, export_untrained

    directory = tmp_path_factory.mktemp('bundles') / 'untrained'
    export_untrained(
        directory,
        contract('SafetyPointGoal1-v0', 5),
        replace(COMPACT, latent_dim=16, enc_dim=32, mlp_dim=32),
        PlannerSettings.compact(iterations=2, samples=32, policy_candidates=8, elites=8),
    )
    return directory


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return a ROS domain id nobody else uses; contexts and processes started now are in it."""
    domain = DOMAIN_POOL.take()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    yield domain
    DOMAIN_POOL.release(domain)


def is_ours(process: psutil.Process) -> bool:
    """Whether this test session started a process, orphans included, or is it."""
    try:
        return process.pid == os.getpid() or (
            process.environ().get(SESSION_MARK) == str(os.getpid()))
    except psutil.Error:  # gone meanwhile, or another user's
        return False


def session_processes() -> list[psutil.Process]:
    """Return the living processes that this test session started and that do not end with it."""
    found = []
    for process in filter(is_ours, psutil.process_iter()):
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and (
                    'multiprocessing.resource_tracker' not in ' '.join(process.cmdline())):
                found.append(process)
    return found


class SharedMemoryWatch:
    """
    Notes which of Fast DDS's new port files in /dev/shm are this session's.

    A process that uses shared memory makes one, and leaves it behind when it is killed. Other
    people's processes make them too, in any domain: whose a file is tells who has it mapped while
    it is new.
    """

    def __init__(self) -> None:
        self.ours: set[Path] = set()
        self._known = self.files()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> set[Path]:
        """Return the session's files that are still there; end the watch."""
        self._end.set()
        self._thread.join()
        return {path for path in self.ours if path.exists()}

    @staticmethod
    def files() -> set[Path]:
        """Return everybody's port files."""
        return set(SHARED_MEMORY.glob('fast*_port*[0-9]'))

    def _watch(self) -> None:
        while not self._end.wait(SHARED_MEMORY_LOOK_S):
            files = self.files()
            new, self._known = files - self._known, files
            for process in filter(is_ours, psutil.process_iter()) if new else ():
                with contextlib.suppress(OSError):
                    maps = Path(f'/proc/{process.pid}/maps').read_text()
                    self.ours |= {path for path in new if f'{path}\n' in maps}


@pytest.fixture
def surroundings() -> ModuleType:
    """Return this module."""
    return sys.modules[__name__]


@pytest.fixture(scope='session', autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the session that leaves a process or a shared-memory file behind."""
    watch = SharedMemoryWatch()
    yield
    deadline = time.monotonic() + PROCESS_EXIT_S
    while (left := session_processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    commands = [' '.join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    assert not commands, f'processes left behind: {commands}'
    files = watch.close()
    assert not files, f'left behind: {files}'
