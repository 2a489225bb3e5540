# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Start the nodes of a system as processes, as `ros2 launch` does, without needing launch.

The processes end together and never outlive their parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from dataclasses import dataclass, field
import os
from pathlib import Path
import signal
import subprocess
import tempfile
import time
from typing import IO

from spowl_ros.base import yaml
from spowl_ros.base.children import end_with_parent
from spowl_ros.base.environment import prepare
from spowl_ros.base.errors import SpowlError, from_line
from spowl_ros.base.share import executable_path
from spowl_ros.control.contract import LONGEST_STOP_RAMP
from spowl_ros.system.nodes import NodeSpec

SHARED_MEMORY = Path('/dev/shm')
TERMINATE_S = LONGEST_STOP_RAMP + 1.5
"""Time for a process to end by itself, its longest stop ramp included, before it is killed."""


class NodeEnded(SpowlError):
    """A node ended unexpectedly."""

    EXIT_CODE = 1


@dataclass
class Child:
    """One running process and its output, stdout and stderr together."""

    name: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    """Does not block."""
    _partial: bytes = field(default=b'', repr=False)

    def read_lines(self) -> list[str]:
        """Return the complete lines written since the last call, without waiting."""
        self._partial += self.output.read() or b''
        *lines, self._partial = self._partial.split(b'\n')
        return [line.decode(errors='replace') for line in lines]

    def terminate(self) -> None:
        """
        Ask the whole session to end, without waiting; a signal handler may call this.

        SIGTERM: rclpy shuts down on it as on SIGINT, and a Python that is still importing ends
        without a traceback.
        """
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force, with all processes that it started."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def start(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
    """
    Start a process; call it from the main thread, see `end_with_parent`.

    Each child has its own session: Ctrl-C in the terminal reaches only the parent, and the
    children end in order. If the parent is killed, the kernel terminates the children.

    :raises OSError: the command cannot be run
    """
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )
    assert process.stdout is not None, 'it is a pipe'
    os.set_blocking(process.stdout.fileno(), False)
    return Child(name, process, process.stdout)


def stop(children: Sequence[Child]) -> None:
    """End children; kill those that have not ended within TERMINATE_S."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + TERMINATE_S
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
    for child in children:
        child.kill()


class RunningSystem:
    """
    The processes of a system, from entering this context to leaving it.

    After `terminate` no node starts.

    :raises SpowlError: an executable is missing
    """

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self._specs = specs
        self._children: list[Child] = []
        self._complaints: dict[str, str] = {}
        self._terminated = False
        self._tracer_files = tracer_files()
        self._directory = tempfile.TemporaryDirectory(prefix='spowl_')

    def __enter__(self) -> RunningSystem:
        """Start every node."""
        try:
            prepare()
            for spec in self._specs:
                if self._terminated:
                    break
                self._children.append(
                    start(spec.executable, self._command(spec), os.environ))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End every node."""
        self.stop()

    def terminate(self) -> None:
        """Ask every node to end, without waiting; a signal handler may call this."""
        self._terminated = True
        for child in self._children:
            child.terminate()

    def kill(self) -> None:
        """End every node by force, and clean up."""
        self._terminated = True
        for child in self._children:
            child.kill()
        self._clean_up()

    def stop(self) -> list[str]:
        """End every node and return their last lines."""
        stop(self._children)
        lines = self._read()
        for child in self._children:
            child.output.close()
        self._children.clear()
        self._clean_up()
        return lines

    def _clean_up(self) -> None:
        self._directory.cleanup()
        for file in tracer_files() - self._tracer_files:
            file.unlink(missing_ok=True)

    def poll(self, say: Callable[[str], None]) -> bool:
        """
        Return whether a node has finished.

        :param say: gets the nodes' lines since the last call
        :raises SpowlError: a node found one of its inputs wrong
        :raises NodeEnded: a node ended with a non-zero exit code
        """
        ended = [child for child in self._children  # before reading, to include the last lines
                 if child.process.poll() is not None]
        for line in self._read():
            say(line)
        for child in () if self._terminated else ended:
            code = child.process.returncode
            if code == SpowlError.EXIT_CODE and child.name in self._complaints:
                raise SpowlError(self._complaints[child.name])
            if code != 0:
                said = self._complaints.get(child.name, '')
                raise NodeEnded(f'the {child.name} ended {reason_of(code)}, so that everything '
                                'else was stopped' + (f': {said}' if said else ''))
        return bool(ended)

    def _read(self) -> list[str]:
        """Return new lines with the names of their nodes; keep errors about inputs apart."""
        lines = []
        for child in self._children:
            for line in child.read_lines():
                if (complaint := from_line(line)) is not None:
                    self._complaints[child.name] = complaint
                else:
                    lines.append(f'[{child.name}] {line}')
        return lines

    def _command(self, spec: NodeSpec) -> list[str]:
        """Return the command line of a node, in the form of launch_ros."""
        own = Path(self._directory.name) / f'{spec.logger}.yaml'
        own.write_text(yaml.dump({spec.full_name: {'ros__parameters': dict(spec.parameters)}}))
        command = [str(executable_path(spec.executable)), '--ros-args',
                   '-r', f'__node:={spec.executable}', '--enclave', spec.enclave,
                   '--log-level', f'{spec.logger}:={spec.log_level}']
        if spec.namespace.strip('/'):
            command += ['-r', f'__ns:=/{spec.namespace.strip("/")}']
        for source, target in spec.remappings:
            command += ['-r', f'{source}:={target}']
        return [*command, '--params-file', str(own)]


def tracer_files() -> set[Path]:
    """Return the files that LTTng, part of the ROS 2 wheels, makes when first loaded."""
    return set(SHARED_MEMORY.glob('lttng-ust-wait-*'))


def reason_of(code: int) -> str:
    """Describe how a process ended."""
    if code < 0:
        return f'by signal {-code} ({signal.Signals(-code).name})'
    return f'with exit code {code}'
