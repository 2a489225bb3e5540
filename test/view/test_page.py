# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, and who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import viser
import websockets

from spowl_ros.base.errors import SpowlError
from spowl_ros.control.decision import Decision
from spowl_ros.view.frame import Frame, History, Scene, Solid
from spowl_ros.view.page import Page

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

SCENE = Scene((Solid('robot/0', 'robot', 'sphere', (0.2, 0.2, 0.2), (0.0, 0.0, 0.1),
                     (1.0, 0.0, 0.0, 0.0)),
               Solid('hazards/1', 'hazards', 'cylinder', (0.4, 0.4, 0.02), (1.0, 0.0, 0.01),
                     (1.0, 0.0, 0.0, 0.0))), (0.0, 0.0, 0.1), 0.0)


@pytest.fixture
def page() -> Iterator[Page]:
    """Return a page that only this machine reaches."""
    made = Page('127.0.0.1', 0)
    yield made
    made.close()


class Button:
    """An operator that notes what was pressed."""

    buttons = ('Stop',)
    simulation = ()

    def __init__(self) -> None:
        self.pressed = threading.Event()

    def press(self, robot: str, button: str) -> str:
        """Note it."""
        self.pressed.set()
        return f'{button} of {robot or "the robot"}'

    def settings_of(self, robot: str) -> dict[str, Any]:
        """Return none."""
        return {}

    def change(self, *_: Any) -> str:
        """Refuse."""
        raise SpowlError('refused')


def moment(source: str) -> Frame:
    """Return a frame with a scene and a decision of a source."""
    return Frame('', SCENE, decision=Decision(step=0, now_ns=0, action=(0.1,), source=source,
                                              reason='because'), silence=0.0)


@pytest.mark.slow
def test_a_browser_shows_who_acts_and_its_button_reaches_the_operator(
        page: Page, browser_page: BrowserPage) -> None:
    """The page shows a frame, a press arrives, and the answer is shown."""
    operator = Button()
    page.panel.connect(operator)
    browser_page.goto(page.url)
    history = History()
    frame = moment('policy')
    assert frame.decision is not None
    history.add(frame.decision, SCENE)
    page.show((frame,), history)
    browser_page.get_by_text('the policy acts').wait_for(timeout=180_000)
    assert 'because' in browser_page.locator('body').inner_text()
    browser_page.get_by_role('button', name='Stop').dispatch_event('click')
    assert operator.pressed.wait(90.0)
    browser_page.get_by_text('Stop of the robot').wait_for(timeout=90_000)
    page.show((moment('stop'),), history)
    browser_page.get_by_text('the robot is stopped').wait_for(timeout=90_000)


async def connect(page: Page, path: str, origin: str | None, host: str = '127.0.0.1') -> int:
    """
    Connect as viser's page does; return the code it is closed with, 0: it is served.

    :param origin: header Origin; None: without it
    :param host: name of this machine's address, as a browser that believed it sends it
    """
    port = page.server.get_port()
    protocol = websockets.Subprotocol(f'viser-v{viser.__version__}')
    async with websockets.connect(
            f'ws://{host}:{port}{path}', subprotocols=[protocol], host='127.0.0.1', port=port,
            additional_headers={} if origin is None else {'Origin': origin}) as connection:
        try:
            await asyncio.wait_for(connection.recv(), 5.0)
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else -1
        return 0


def test_another_web_site_cannot_reach_the_buttons(page: Page) -> None:
    """A visitor whose page came from elsewhere is turned away before anything is sent."""
    own = f'http://127.0.0.1:{page.server.get_port()}'
    assert asyncio.run(connect(page, '/', own)) == 0
    assert asyncio.run(connect(page, '/', 'http://evil.example')) == 1008


@pytest.mark.parametrize('origin', ['null', '', 'file://', 'http://[', 'data:,'])
def test_a_page_without_an_origin_cannot_reach_the_buttons(page: Page, origin: str) -> None:
    """A web site's frame in a sandbox is turned away; a program that is no browser is served."""
    assert asyncio.run(connect(page, '/', origin)) == 1008
    assert asyncio.run(connect(page, '/', None)) == 0


def test_a_name_that_a_web_site_gave_to_this_machine_is_refused(page: Page) -> None:
    """After DNS rebinding a site's origin equals the host; but it is no loopback name."""
    port = page.server.get_port()
    evil = f'http://evil.example:{port}'
    assert asyncio.run(connect(page, '/', evil, host='evil.example')) == 1008
    own = f'http://localhost:{port}'
    assert asyncio.run(connect(page, '/', own, host='localhost')) == 0


def test_visitors_of_an_open_page_bring_the_token() -> None:
    """A page that other machines reach is for those who know its token."""
    page = Page('0.0.0.0', 0)
    try:
        token = page.url.rpartition('=')[2]
        own = f'http://127.0.0.1:{page.server.get_port()}'
        assert len(token) > 15
        assert asyncio.run(connect(page, f'/?token={token}', own)) == 0
        assert asyncio.run(connect(page, '/?token=guess', own)) == 1008
        assert asyncio.run(connect(page, '/?token=%C3%A9', own)) == 1008
        assert asyncio.run(connect(page, '/', own)) == 1008
    finally:
        page.close()


def test_a_port_in_use_is_told() -> None:
    """The page does not move to another port by itself."""
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        with pytest.raises(SpowlError, match='--port'):
            Page('127.0.0.1', other.getsockname()[1])
