# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An e-stop stops when pressed, and when it falls silent once it was heard."""

from __future__ import annotations

import math

from spowl_ros.supervisor.heartbeat import Heartbeat


def test_pressed_and_lost_are_stops_and_never_heard_is_none() -> None:
    """A robot without an e-stop drives; one that had it does not drive without."""
    heartbeat = Heartbeat(0.5)
    assert heartbeat.complaint(1e9) == ''
    heartbeat.hear(False, 10.0)
    assert heartbeat.complaint(10.5) == ''
    assert 'not heard' in heartbeat.complaint(10.51)
    assert 'not heard' in heartbeat.complaint(math.nan)
    heartbeat.hear(True, 11.0)
    assert heartbeat.complaint(11.0) == 'the e-stop is pressed'
    heartbeat.hear(False, 11.1)
    assert heartbeat.complaint(11.2) == ''


def test_one_that_is_needed_is_missed() -> None:
    """Where a robot needs an e-stop, it does not drive before one is heard."""
    heartbeat = Heartbeat(0.5, needed=True)
    heartbeat.look(False, '', 10.0)
    assert 'needs one' in heartbeat.complaint(10.0)
    assert 'needs one' in heartbeat.refusal(math.nan)
    heartbeat.hear(False, 11.0)
    assert heartbeat.refusal(11.1) == ''
    assert 'not heard' in heartbeat.complaint(12.0)


def test_a_sender_that_says_nothing_is_no_released_one() -> None:
    """From its timeout on it is a stop, and a release before counts as little."""
    heartbeat = Heartbeat(0.5)
    heartbeat.look(True, '', 10.0)
    assert 'nothing was heard' in heartbeat.refusal(10.0)
    assert heartbeat.complaint(10.5) == ''
    heartbeat.look(True, '', 10.6)
    assert 'nothing was heard' in heartbeat.complaint(10.6)
    heartbeat.look(False, '', 10.7)
    assert heartbeat.refusal(10.7) == ''
    heartbeat.look(True, '', 10.8)
    heartbeat.hear(False, 10.9)
    assert heartbeat.refusal(11.0) == ''
