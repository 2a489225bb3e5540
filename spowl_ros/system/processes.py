# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Child processes that end together and never outlive their parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
from dataclasses import dataclass, field
import os
import signal
import subprocess
import time
from typing import IO

from spowl_ros.base.children import end_with_parent
from spowl_ros.control.contract import LONGEST_STOP_RAMP

TERMINATE_S = LONGEST_STOP_RAMP + 1.5
"""Time for a process to end by itself, its longest stop ramp included, before it is killed."""


@dataclass
class Child:
    """One running process and its output, stdout and stderr together."""

    name: str
    process: subprocess.Popen[bytes]
    _partial: bytes = field(default=b'', repr=False)

    def read_lines(self) -> list[str]:
        """Return the complete lines written since the last call, without waiting."""
        self._partial += self._output.read() or b''
        *lines, self._partial = self._partial.split(b'\n')
        return [line.decode(errors='replace') for line in lines]

    @property
    def _output(self) -> IO[bytes]:
        assert self.process.stdout is not None  # a pipe: see ProcessGroup.start
        return self.process.stdout


class ProcessGroup:
    """
    Starts processes and ends all of them.

    Each child has its own session: Ctrl-C in the terminal reaches only the parent, and the
    children end in order. If the parent is killed, the kernel terminates the children.
    """

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """
        Start a process; call it from the main thread, see `end_with_parent`.

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
        child = Child(name, process)
        os.set_blocking(child._output.fileno(), False)
        self.children.append(child)

    def ended(self) -> list[Child]:
        """Return the children that have ended."""
        return [child for child in self.children if child.process.poll() is not None]

    def terminate(self) -> None:
        """
        Ask every child to end, without waiting; a signal handler may call this.

        SIGTERM: rclpy shuts down on it as on SIGINT, and a Python that is still importing ends
        without a traceback.
        """
        for child in self.children:
            _signal(child, signal.SIGTERM)

    def stop(self) -> list[Child]:
        """End every child and return those that had to be killed."""
        self.terminate()
        deadline = time.monotonic() + TERMINATE_S
        killed = []
        for child in self.children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(child)
        self.kill()
        return killed

    def kill(self) -> None:
        """End every child by force, with all processes that it started."""
        for child in self.children:
            _signal(child, signal.SIGKILL)
            child.process.wait()

    def close(self) -> None:
        """Release the children and their output."""
        for child in self.children:
            child._output.close()
        self.children.clear()


def _signal(child: Child, number: int) -> None:
    """Send a signal to a child's whole session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)
