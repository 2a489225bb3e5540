# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Opens a page in a browser, if there is one."""

from __future__ import annotations

from contextlib import suppress
import os
import sys
import webbrowser


def open_browser(url: str) -> None:
    """Open a page if there is a screen; else print that it could not be opened."""
    screen = (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
              or sys.platform == 'darwin')
    opened = False
    with suppress(webbrowser.Error):
        opened = bool(screen) and webbrowser.open(url)
    if not opened:
        print('no browser could be opened here; open the address yourself', flush=True)
