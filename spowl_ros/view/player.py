# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Plays a recording on a page."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import TYPE_CHECKING

from spowl_ros.base.environment import signals_to_end
from spowl_ros.view.browser import open_browser
from spowl_ros.view.page import Page, Timeline
from spowl_ros.view.recording import JUMPS

if TYPE_CHECKING:
    from spowl_ros.view.recording import BagFrames

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
        changed = threading.Event()
        changed.set()
        timeline = Timeline(page.server, len(frames.moments), JUMPS, changed.set,
                            lambda kind: frames.next(kind, timeline.moment))
        print(f'{len(frames.moments)} decisions; the page is at {page.url}', flush=True)
        if browser:
            open_browser(page.url)
        due = time.monotonic()
        while not ended.wait(_TICK_S):
            now = time.monotonic()
            if timeline.playing and math.isfinite(frames.period):
                steps = int((now - due) * timeline.speed / frames.period)
                if steps:
                    due = now
                    timeline.move(min(timeline.moment + steps, len(frames.moments) - 1))
            else:
                due = now
            if changed.is_set():
                changed.clear()
                moment = timeline.moment
                page.show((frames.moments[moment],), frames.history(moment))
    finally:
        page.close()
