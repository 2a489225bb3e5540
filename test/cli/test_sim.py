# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`spowl sim`: a whole system of real processes, its results, and every way it can end."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

SPOWL = Path(sys.prefix) / 'bin' / 'spowl'
END_S = 3.0
"""How long everything may take to end after Ctrl-C."""
START_S = 60.0


@pytest.fixture(autouse=True)
def own_domain(ros_domain: int) -> int:
    """Keep each run in a ROS domain of its own."""
    return ros_domain


def run(*arguments: str | Path, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
    """Run `spowl sim` to its end."""
    return subprocess.run([SPOWL, 'sim', *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout)


@contextlib.contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start `spowl sim` and make sure that it is gone afterwards."""
    process = subprocess.Popen([SPOWL, 'sim', *map(str, arguments)], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def nodes_of(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """Return the node processes by name."""
    nodes = {}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.Error):
                names = [Path(part).name for part in child.cmdline()]
                nodes.update({name: child for name in ('simulator', 'supervisor', 'controller')
                              if name in names})
    return nodes


def wait_for_nodes(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """Return the three node processes once they all exist."""
    deadline = time.monotonic() + START_S
    while len(nodes := nodes_of(process)) < 3:
        assert time.monotonic() < deadline, 'the nodes did not start'
        time.sleep(0.01)
    return nodes


def test_one_episode_is_driven_and_summed_up(untrained_bundle: Path, tmp_path: Path) -> None:
    """One command drives an episode of 1000 raw steps; summary, table and video tell of it."""
    summary_file, video = tmp_path / 'run.json', tmp_path / 'run.gif'
    done = run(f'model:={untrained_bundle}', 'episodes:=1', 'seed:=3', '--json', summary_file,
               '--video', video)
    assert done.returncode == 0, done.stderr
    summary = json.loads(summary_file.read_text())
    assert summary['task'] == 'SafetyPointGoal1-v0'
    assert [episode['steps'] for episode in summary['episodes']] == [1000]
    assert summary['decisions'] >= 200  # answers to first offers of the simulator count as well
    assert sum(summary['source_fraction'].values()) == pytest.approx(1.0)
    assert 0 < summary['latency_ms']['p50'] <= summary['latency_ms']['max']
    assert 'episode    return      cost     steps' in done.stdout
    assert 'Traceback' not in done.stderr
    assert video.stat().st_size > 10_000


def test_the_same_seed_drives_the_same_way(untrained_bundle: Path, tmp_path: Path) -> None:
    """In lock-step two runs from one seed have the same return and cost to the last digit."""
    episodes = []
    for name in ('first', 'second'):
        file = tmp_path / f'{name}.json'
        done = run(f'model:={untrained_bundle}', 'episodes:=1', 'seed:=11', '--json', file)
        assert done.returncode == 0, done.stderr
        episodes.append(json.loads(file.read_text())['episodes'])
    assert episodes[0] == episodes[1]


@pytest.mark.parametrize('delay', [0.0, 0.3, 1.0, 2.5, 8.0])
def test_ctrl_c_ends_everything_at_any_moment(untrained_bundle: Path, delay: float) -> None:
    """From the first import to the middle of an episode, three seconds are enough."""
    with started(f'model:={untrained_bundle}', 'rate:=1.0') as process:
        if delay:
            wait_for_nodes(process)
            time.sleep(delay)
        else:
            time.sleep(0.5)
        nodes = nodes_of(process)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert time.monotonic() - start < END_S
        if 'init_import_site' not in output:  # else Python itself was starting, on a busy machine
            assert process.returncode in (0, 130, -signal.SIGINT)
        assert not [name for name, node in nodes.items() if node.is_running()]
        if delay:
            assert 'Traceback' not in output


@pytest.mark.parametrize('victim', ['simulator', 'supervisor', 'controller'])
def test_a_killed_node_ends_the_run_with_a_message(untrained_bundle: Path, victim: str) -> None:
    """The message names the node and the signal; nothing else goes on running."""
    with started(f'model:={untrained_bundle}', 'rate:=1.0') as process:
        nodes = wait_for_nodes(process)
        nodes[victim].kill()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert f'the {victim} ended by signal 9 (SIGKILL)' in output
        assert 'Traceback' not in output
        assert not [name for name, node in nodes.items() if node.is_running()]


def test_nodes_end_when_spowl_itself_is_killed(untrained_bundle: Path) -> None:
    """Even SIGKILL leaves no node behind."""
    with started(f'model:={untrained_bundle}', 'rate:=1.0') as process:
        nodes = wait_for_nodes(process)
        process.kill()
        gone, alive = psutil.wait_procs(list(nodes.values()), timeout=END_S)
        assert not alive


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('task:=SafetyNoGoal1-v0',), "no task 'SafetyNoGoal1-v0'"),
        (('task:=SafetyCarGoal1-v0', 'model:={bundle}'),
         'was made for SafetyPointGoal1-v0, not for SafetyCarGoal1-v0'),
        (('model:=/nowhere',), 'there is no model in /nowhere'),
        (('params_file:=/nowhere.yaml', 'model:={bundle}'), 'params_file /nowhere.yaml is not'),
        (('rate:=fast',), "'rate' is 'fast' (str), wanted a number"),
        (('namespace:=9 lives', 'model:={bundle}'), "'9 lives' is no namespace"),
        (('colour:=red',), "there is no setting 'colour'"),
        (('CarGoal1',), "'CarGoal1' is not of the form NAME:=VALUE, as in task:=CarGoal1"),
        (('--json', '/nowhere/run.json'), '/nowhere/run.json cannot be written'),
        (('--video', 'run.avi'), 'must end in .mp4 or .gif'),
        (('--video', 'run.mp4', 'episodes:=0'), 'has no end to draw up to'),
    ],
)
def test_a_bad_argument_is_one_line(
    untrained_bundle: Path, arguments: tuple[str, ...], message: str
) -> None:
    """One clear line, exit code 2, no traceback."""
    done = run(*(argument.format(bundle=untrained_bundle) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(
    ('section', 'parameters', 'message'),
    [
        ('controler', 'threads: 1', "'controler'; did you mean 'controller'"),
        ('controller', 'iteration: 3', "node 'controller' has no parameter 'iteration'"),
        ('controller', 'threads: many', "'threads' is 'many' (str), wanted an integer"),
        ('supervisor', 'speed: 1', "node 'supervisor' has no parameter 'speed'"),
        ('simulator', 'episode: 1', "node 'simulator' has no parameter 'episode'"),
    ],
)
def test_a_bad_parameter_file_is_one_line(
    untrained_bundle: Path, tmp_path: Path, section: str, parameters: str, message: str
) -> None:
    """A wrong name or type in a parameter file is reported by its node and ends the run."""
    file = tmp_path / 'bad.yaml'
    file.write_text(f'/**/{section}:\n  ros__parameters:\n    {parameters}\n')
    done = run(f'model:={untrained_bundle}', f'params_file:={file}')
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count('\n') == 1


def test_a_second_simulator_in_a_domain_is_refused(untrained_bundle: Path) -> None:
    """The second run says that there is a simulator already; the first one goes on."""
    with started(f'model:={untrained_bundle}', 'rate:=1.0') as first:
        wait_for_nodes(first)
        time.sleep(5.0)
        second = run(f'model:={untrained_bundle}', 'rate:=1.0')
        assert second.returncode == 2, second.stderr
        errors = [line for line in second.stderr.splitlines() if 'error' in line]
        assert len(errors) == 1
        assert 'another simulator runs' in errors[0] or 'two cannot drive' in errors[0]
        assert 'Traceback' not in second.stderr
        assert first.poll() is None


def test_a_namespace_reaches_every_topic(untrained_bundle: Path, tmp_path: Path) -> None:
    """In a namespace a run goes as without one."""
    file = tmp_path / 'run.json'
    done = run(f'model:={untrained_bundle}', 'episodes:=1', 'namespace:=robot1', '--json', file)
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())['decisions'] >= 200
