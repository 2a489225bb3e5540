# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Plays a recording on a page."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import Any

import viser

from spowl_ros.base.environment import signals_to_end
from spowl_ros.view.page import Page, open_browser
from spowl_ros.view.recording import JUMPS, BagFrames

_TICK_S = 0.05


def play(frames: BagFrames, host: str, port: int, token: str, browser: bool) -> None:
    """
    Show a recording until a signal to end.

    :param browser: open the page in a browser
    :raises SpowlError: the page cannot be served
    """
    ended = threading.Event()
    for number in signals_to_end():
        signal.signal(number, lambda *_: ended.set())
    page = Page(host, port, token, label='spowl: recording')
    try:
        timeline = Timeline(page.server, frames)
        print(f'{len(frames.moments)} decisions; the page is at {page.url}', flush=True)
        if browser:
            open_browser(page.url)
        shown = None
        due = time.monotonic()
        while not ended.wait(_TICK_S):
            now = time.monotonic()
            if timeline.playing and math.isfinite(frames.period):
                steps = int((now - due) * timeline.speed / frames.period)
                if steps:
                    due = now
                    timeline.move(timeline.moment + steps)
            else:
                due = now
            if (moment := timeline.moment) != shown:
                shown = moment
                page.show((frames.moments[moment],), frames.history(moment))
    finally:
        page.close()


class Timeline:
    """A slider over a recording, with play, pause and jumps."""

    def __init__(self, server: viser.ViserServer, frames: BagFrames) -> None:
        self._frames = frames
        self._last = len(frames.moments) - 1
        gui = server.gui
        with gui.add_folder('Recording', order=-1.0):
            self._slider: Any = gui.add_slider('Decision', 0, max(self._last, 1), 1, 0)
            self._play = gui.add_button('Play')
            self._speed = gui.add_slider('Speed', 0.25, 16.0, 0.25, 1.0)
            self._said = gui.add_html('')
            jumps = gui.add_button_group('Go to the next', JUMPS)
        self.playing = False
        self._play.on_click(self._toggle)
        jumps.on_click(lambda _: self._jump(str(jumps.value)))

    @property
    def speed(self) -> float:
        """Return the playback speed relative to the robot."""
        return float(self._speed.value)

    @property
    def moment(self) -> int:
        """Return the index of the current moment."""
        return min(int(self._slider.value), self._last)

    def move(self, moment: int) -> None:
        """Go to a moment, or to the last one."""
        self._slider.value = min(moment, self._last)

    def _toggle(self, _: Any) -> None:
        self.playing = not self.playing
        self._play.label = 'Pause' if self.playing else 'Play'

    def _jump(self, kind: str) -> None:
        moment = self._frames.next(kind, self.moment)
        self._said.content = f'no further {kind}' if moment is None else ''
        if moment is not None:
            self.move(moment)
