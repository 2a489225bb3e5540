# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Arguments and signal handling that the node-starting verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from spowl_ros.base.environment import signals_to_end
from spowl_ros.base.errors import INTERRUPTED, SpowlError
from spowl_ros.base.settings import assigned, changed, declared
from spowl_ros.cli._interrupt import call_after
from spowl_ros.system.running import TERMINATE_S

if TYPE_CHECKING:
    from spowl_ros.clients.listener import RunListener
    from spowl_ros.system.running import RunningSystem

T = TypeVar('T')

POLL_S = 0.05
LATEST_S = TERMINATE_S + 0.6
"""Seconds from an interrupt until the process ends by force, as while a library still loads.

The nodes have been killed by then, see `spowl_ros.system.running`."""


def add_launch_arguments(parser: argparse.ArgumentParser, defaults: Any) -> None:
    """Declare the arguments that a launch file takes."""
    parser.add_argument('arguments', nargs='*', metavar='NAME:=VALUE',
                        help='arguments of the launch file, listed below')
    parser.epilog = 'arguments:\n' + '\n'.join(
        f'  {entry.name + ":=":<15}{entry.description} (default: {entry.default!r})'
        for entry in declared(defaults))


def launch_arguments(defaults: T, texts: list[str]) -> T:
    """
    Return a launch file's arguments with the given values in place of the defaults.

    :param texts: each `name:=value`
    :raises SpowlError: malformed text, no such argument, or a wrong value
    """
    table = declared(defaults)
    for text in texts:
        if ':=' not in text:
            raise SpowlError(f"'{text}' is not of the form NAME:=VALUE, as in "
                             f'{table[0].name}:={text}; names are '
                             f'{", ".join(entry.name for entry in table)}')
    return changed(defaults, assigned(table, texts, ':='))


def watch_signals(nodes: RunningSystem) -> threading.Event:
    """
    Return an event that every signal to end sets, as Ctrl-C; it also ends the nodes at once.

    The signals do not interrupt running code: waiting code polls the event. If this process has
    not ended after LATEST_S, it is ended by force.
    """
    interrupted = threading.Event()

    def give_up() -> None:
        try:
            nodes.kill()
        finally:
            os._exit(INTERRUPTED)

    def on_signal(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            call_after(LATEST_S, give_up)
        nodes.terminate()

    for number in signals_to_end():
        signal.signal(number, on_signal)
    return interrupted


def follow(nodes: RunningSystem, listener: RunListener, interrupted: threading.Event,
           say: Callable[[str], None], show: Callable[[], object] = lambda: None) -> None:
    """
    Follow the nodes until one has finished or the user interrupts.

    :param say: gets the nodes' lines
    :param show: called now and then, while the listener's record is at rest
    :raises SpowlError: a node failed
    """
    finished = False
    while not finished and not interrupted.wait(POLL_S):
        finished = nodes.poll(say)
        with listener.lock:
            show()
