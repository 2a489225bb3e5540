# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Child processes that end together and never outlive their parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    output: IO[bytes]
    """Does not block."""
    _partial: bytes = field(default=b'', repr=False)

    def read_lines(self) -> list[str]:
        """Return the complete lines written since the last call, without waiting."""
        self._partial += self.output.read() or b''
        *lines, self._partial = self._partial.split(b'\n')
        return [line.decode(errors='replace') for line in lines]

    def signal(self, number: int) -> None:
        """Send a signal to the whole session."""
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


def terminate(children: Iterable[Child]) -> None:
    """
    Ask children to end, without waiting; a signal handler may call this.

    SIGTERM: rclpy shuts down on it as on SIGINT, and a Python that is still importing ends
    without a traceback.
    """
    for child in children:
        child.signal(signal.SIGTERM)


def stop(children: Sequence[Child]) -> None:
    """End children; kill those that have not ended within TERMINATE_S."""
    terminate(children)
    deadline = time.monotonic() + TERMINATE_S
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
    kill(children)


def kill(children: Iterable[Child]) -> None:
    """End children by force, with all processes that they started."""
    for child in children:
        child.signal(signal.SIGKILL)
        child.process.wait()
