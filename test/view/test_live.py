# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The live view over a running simulation, in a real browser; and the bag that it leaves."""

from __future__ import annotations

import math
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64

from spowl_ros.bags.reader import Bag
from spowl_ros.bags.writer import BagWriter
from spowl_ros.cli.main import main
from spowl_ros.control.decision import Decision
from spowl_ros.view import player
from spowl_ros.view.recording import JUMPS, BagFrames

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

SPOWL = str(Path(sys.executable).with_name('spowl'))
WAIT_MS = 90_000


def address(process: subprocess.Popen[str]) -> str:
    """Return where a view says that it serves its page."""
    assert process.stdout is not None
    for line in process.stdout:
        if (found := re.search(r'http://\S+', line)) and 'at http' in line:
            return found.group()
    raise AssertionError('the view ended without an address')


@pytest.mark.slow
def test_the_stop_button_stops_the_robot_and_the_page_says_so(
        ros_domain: int, browser_page: BrowserPage, tmp_path: Path) -> None:
    """A browser sees a simulation, stops and releases its robot; the bag shows the same."""
    bag = tmp_path / 'bag'
    view = subprocess.Popen([SPOWL, 'view', '--port', '0', '--no-browser'],
                            stdout=subprocess.PIPE, text=True)
    run = subprocess.Popen([SPOWL, 'sim', 'episodes:=0', 'rate:=1.0', f'record:={bag}'],
                           stdout=subprocess.DEVNULL)
    try:
        browser_page.goto(address(view))
        acts = browser_page.get_by_text(re.compile('the (plan|policy) acts'))
        acts.first.wait_for(timeout=WAIT_MS)
        browser_page.get_by_role('button', name='Stop').dispatch_event('click')
        stopped = browser_page.get_by_text('the supervisor has stopped the robot')
        stopped.wait_for(timeout=WAIT_MS)
        browser_page.reload()  # closing and opening it again changes nothing
        stopped.wait_for(timeout=WAIT_MS)
        browser_page.get_by_role('button', name='Release').dispatch_event('click')
        acts.first.wait_for(timeout=WAIT_MS)
    finally:
        for process in (run, view):
            process.terminate()
            process.wait(30.0)
    assert view.returncode == 0
    with Bag(bag) as recorded:
        frames = BagFrames(recorded)
    said = [frame.supervisor.message for frame in frames.moments if frame.supervisor is not None]
    assert any('operator' in message for message in said)
    assert frames.next('switch', 0) is not None
    assert all(frames.next(kind, len(frames.moments) - 1) is None for kind in JUMPS)
    rerun = Path(sys.executable).with_name('rerun')
    if rerun.exists():  # the extra [rerun]
        file = tmp_path / 'run.rrd'
        subprocess.run([SPOWL, 'view', str(bag), '--rerun', str(file)], check=True)
        subprocess.run([str(rerun), 'analytics', 'disable'], check=True, capture_output=True)
        subprocess.run([str(rerun), 'rrd', 'verify', str(file)], check=True)


def recorded_stops(path: Path, spoken: bool = False) -> Path:
    """Write a bag of two decisions, with costs where those are spoken; return its path."""
    bag = BagWriter(path)
    decision = bag.add_topic('/controller/decision', 'diagnostic_msgs/msg/DiagnosticArray')
    cost = bag.add_topic('/cost', 'std_msgs/msg/Float64')
    made = Decision(step=0, now_ns=0, action=(0.0,), source='stop', reason='')
    for time_ns in (1, 3):
        bag.write(decision, time_ns, serialize_message(DiagnosticArray(status=[DiagnosticStatus(
            values=[KeyValue(key=key, value=value) for key, value in made.to_items()])])))
        if spoken:
            bag.write(cost, time_ns + 1, serialize_message(Float64(data=0.0)))
    bag.close()
    return path


@pytest.mark.parametrize('spoken', [True, False])
def test_a_silent_topic_of_a_bag_tells_no_cost(tmp_path: Path, spoken: bool) -> None:
    """A recorder lists topics on which nobody spoke; the page then knows no cost."""
    with Bag(recorded_stops(tmp_path / 'bag', spoken)) as recorded:
        frame = BagFrames(recorded).moments[1]
    assert frame.cost == 0.0 if spoken else math.isnan(frame.cost)
    assert math.isnan(frame.episode_return)


def test_a_bag_that_was_cut_off_is_shown_with_a_note(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    """What could be read is shown, and a line says that it is not all."""
    shown: list[BagFrames] = []
    monkeypatch.setattr(player, 'play', lambda frames, *_: shown.append(frames))
    file = recorded_stops(tmp_path / 'bag') / 'bag_0.mcap'
    for size in (file.stat().st_size, file.stat().st_size - 100):
        os.truncate(file, size)
        assert main(['view', str(file.parent)]) == 0
    assert [len(frames.moments) for frames in shown] == [2, 2]
    assert capsys.readouterr().out.count('NOTE') == 1


def test_what_cannot_be_shown_is_told_in_one_line(tmp_path: Path) -> None:
    """No such bag, a bag without decisions, and no file to write to: exit code 2."""
    for arguments in ((str(tmp_path / 'none'),), ('--rerun', 'x.rrd')):
        done = subprocess.run([SPOWL, 'view', *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
