# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Opens a browser, if there is one."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_browser(url: str) -> bool:
    """Open a page if there is a screen; return whether that worked."""
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
            or sys.platform == 'darwin'):
        return False
    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
