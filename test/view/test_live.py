# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The live view over a running simulation, in a real browser; and the bag that it leaves."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spowl_ros.bags.reader import Bag
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
    said = [frame.supervisor.message for frame in
            (frames.frame(index) for index in range(len(frames.moments)))
            if frame.supervisor is not None]
    assert any('operator' in message for message in said)
    assert frames.next('switch', 0) is not None
    assert all(frames.next(kind, len(frames.moments) - 1) is None for kind in JUMPS)
    rerun = Path(sys.executable).with_name('rerun')
    if rerun.exists():  # the extra [rerun]
        file = tmp_path / 'run.rrd'
        subprocess.run([SPOWL, 'view', str(bag), '--rerun', str(file)], check=True)
        subprocess.run([str(rerun), 'analytics', 'disable'], check=True, capture_output=True)
        subprocess.run([str(rerun), 'rrd', 'verify', str(file)], check=True)


def test_what_cannot_be_shown_is_told_in_one_line(tmp_path: Path) -> None:
    """No such bag, a bag without decisions, and no file to write to: exit code 2."""
    for arguments in ((str(tmp_path / 'none'),), ('--rerun', 'x.rrd')):
        done = subprocess.run([SPOWL, 'view', *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
