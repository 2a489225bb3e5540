# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A real browser without a screen, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

ARGUMENTS = ('--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
             '--enable-unsafe-swiftshader')


@pytest.fixture(scope='session')
def chromium() -> str:
    """Return the path of Chromium; skip where there is none."""
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if path := shutil.which(name):
            return path
    pytest.skip('no Chromium is installed; on Debian: apt-get install chromium')


@pytest.fixture
def browser_page(chromium: str) -> Iterator[BrowserPage]:
    """Return an empty page of a browser without a screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser.new_page(viewport={'width': 900, 'height': 600})
        browser.close()
