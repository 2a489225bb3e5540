# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C ends a command even if a library swallows the exception while it loads."""

from __future__ import annotations

from collections.abc import Iterator
import signal

import pytest

from spowl_ros.cli import _interrupt, _nodes
from spowl_ros.cli import main as cli
from spowl_ros.system.running import RunningSystem


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers of signals back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    _interrupt.remember()
    for number, handler in before.items():
        signal.signal(number, handler)


def swallowed(*_: object) -> None:
    """Do what some libraries do while they load."""
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_swallowed_interrupt_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs after it, and the exit code is that of Ctrl-C."""
    monkeypatch.setattr(cli, 'require', swallowed)
    assert cli.main(['inspect', 'nowhere']) == cli.INTERRUPTED


def test_after_a_swallowed_interrupt_no_node_starts() -> None:
    """Whoever waits for signals learns of the one that came before."""
    _interrupt.remember()
    swallowed()
    with pytest.raises(KeyboardInterrupt):
        _nodes.watch_signals(RunningSystem([]))
