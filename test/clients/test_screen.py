# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The screen of `spowl top` shows texts as they were sent, and outlives a refused record."""

from __future__ import annotations

import io
import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import pytest
from rich.console import Console

from spowl_ros.clients.screen import screen
from spowl_ros.clients.spinning import spinning
from spowl_ros.clients.watcher import UNREADABLE, Picture, Watcher
from spowl_ros.control.decision import Decision
from spowl_ros.control.monitors.base import Reading


def message(decision: Decision) -> DiagnosticArray:
    """Return a decision as a node sends it."""
    return DiagnosticArray(status=[DiagnosticStatus(
        values=[KeyValue(key=key, value=value) for key, value in decision.to_items()])])


def shown(picture: Picture) -> str:
    """Return what a terminal gets."""
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    console.print(screen(picture, 0.0))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_record_that_is_refused_is_told_once_and_the_screen_goes_on(ros_domain: int) -> None:
    """An unknown source is an event; the decisions before and after it are shown."""
    good = Decision(step=0, now_ns=0, action=(0.0,), source='policy', reason='it is safer')
    bad = Decision(step=1, now_ns=0, action=(0.0,), source='dance', reason='')
    with spinning(lambda: Watcher('')) as node:
        for sent in (good, bad, bad, bad, DiagnosticArray()):
            node._on_decision(message(sent) if isinstance(sent, Decision) else sent)
        assert [source for _, source, _ in node.picture.events] == ['policy', UNREADABLE]
        assert 'dance' in shown(node.picture)
        node._on_decision(message(good))
    assert node.picture.sources == {'policy': 2}
    assert 'POLICY' in shown(node.picture)


def test_a_fault_of_a_callback_is_raised_at_the_end(ros_domain: int) -> None:
    """What is heard no more does not pass for a whole record."""
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), spinning(lambda: Watcher('')) as node:
        node.create_timer(0.01, fail)
        for thread in threading.enumerate():
            if thread.name == node.get_name():
                thread.join(30.0)


def test_texts_from_the_network_neither_end_the_screen_nor_steer_the_terminal() -> None:
    """Square brackets are no markup, and no control character reaches the terminal."""
    evil = '[/red] \x1b]0;title\x07'
    picture = Picture()
    picture.add(Decision(step=0, now_ns=0, action=(0.0,), source='stop', reason=evil,
                         readings=(Reading('values', reason=evil),)), 0.0)
    picture.supervisor = evil
    picture.diagnostics[evil] = 0, evil, 0.0
    said = shown(picture)
    assert said.count('[/red]') >= 5
    assert '\x1b]' not in said and '\x07' not in said
