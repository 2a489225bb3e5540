# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, and who is turned away."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import viser
from viser.infra import WebsockServer
import websockets
from websockets.frames import Frame as WebsocketFrame
from websockets.frames import Opcode

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import Setting
from spowl_ros.control.decision import Decision
from spowl_ros.view.frame import Frame, History, Scene, Solid
from spowl_ros.view.page import Page

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

SCENE = Scene((Solid('robot/0', 'robot', 'sphere', (0.2, 0.2, 0.2), (0.0, 0.0, 0.1),
                     (1.0, 0.0, 0.0, 0.0)),
               Solid('hazards/1', 'hazards', 'cylinder', (0.4, 0.4, 0.02), (1.0, 0.0, 0.01),
                     (1.0, 0.0, 0.0, 0.0))), (0.0, 0.0, 0.1), 0.0)

CAMERA = {'type': 'ViewerCameraMessage', 'wxyz': (1, 0, 0, 0), 'position': (0, 0, 1), 'fov': 1.0,
          'near': 0.1, 'far': 10.0, 'image_height': 10, 'image_width': 10, 'look_at': (0, 0, 0),
          'up_direction': (0, 0, 1)}
"""What viser's page sends first."""


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


async def connect(page: Page | int, path: str, origin: str | None, host: str = '127.0.0.1',
                  ) -> int:
    """
    Connect as viser's page does; return the code it is closed with, 0: it is served.

    :param page: or its port
    :param origin: header Origin; None: without it
    :param host: name of this machine's address, as a browser that believed it sends it
    """
    port = page if isinstance(page, int) else page.server.get_port()
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


def test_nobody_is_let_in_while_the_page_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor that comes as soon as the port is open is refused like any other."""
    start, codes = WebsockServer.start, []

    def visited(server: WebsockServer) -> None:
        start(server)
        codes.append(asyncio.run(connect(server._port, '/', 'http://evil.example')))

    monkeypatch.setattr(WebsockServer, 'start', visited)
    Page('127.0.0.1', 0).close()
    assert codes == [1008]


@pytest.mark.parametrize(('origin', 'heard'), [('http://evil.example', False), (None, True)])
def test_what_a_refused_visitor_sends_is_not_heard(page: Page, origin: str | None,
                                                   heard: bool, monkeypatch: pytest.MonkeyPatch
                                                   ) -> None:
    """Also what comes with the handshake, before the visitor can know that it is refused."""
    shared: list[bool] = []
    monkeypatch.setattr(viser.ViserServer, 'request_share_url',
                        lambda *_, **__: shared.append(True))
    operator = Button()
    page.panel.connect(operator)
    button, = (uuid for uuid, handle in page.server.gui._gui_input_handle_from_uuid.items()
               if getattr(handle._impl.props, 'label', '') == 'Stop')
    port = page.server.get_port()
    lines = ['GET / HTTP/1.1', f'Host: 127.0.0.1:{port}', 'Upgrade: websocket',
             'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
             f'Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}',
             f'Sec-WebSocket-Protocol: viser-v{viser.__version__}']
    if origin is not None:
        lines.append(f'Origin: {origin}')
    messages = ({'type': 'ShareUrlRequest'}, CAMERA,
                {'type': 'GuiUpdateMessage', 'uuid': button, 'updates': {'value': True}})
    with socket.create_connection(('127.0.0.1', port)) as visitor:
        visitor.sendall('\r\n'.join([*lines, '', '']).encode() + b''.join(
            WebsocketFrame(Opcode.BINARY, msgspec.msgpack.encode(message)).serialize(
                mask=True, extensions=[]) for message in messages))
        if not heard:
            visitor.shutdown(socket.SHUT_WR)  # else the page waits for an answer to its refusal
        assert operator.pressed.wait(10.0 if heard else 2.0) == heard
    assert not shared


@pytest.mark.parametrize('token', ['plain', 'a&b+c#d%e f/?='])
def test_the_address_brings_any_token(token: str) -> None:
    """A browser reads the address of the connection out of the page's address."""
    page = Page('127.0.0.1', 0, token)
    try:
        address, = parse_qs(urlsplit(page.url).query)['websocket']
        path = '/' + address.removeprefix('ws://').partition('/')[2]
        assert asyncio.run(connect(page, path, None)) == 0
        assert asyncio.run(connect(page, '/?token=guess', None)) == 1008
    finally:
        page.close()


def test_settings_are_those_of_the_robot_that_is_shown(page: Page) -> None:
    """Where another robot is chosen, the controls of the one before are gone."""
    operator = Button()
    operator.settings_of = lambda robot: {'supervisor': (  # type: ignore[method-assign]
        Setting('limits.margin', float, 0.05, 'metres', 0.0, 3.0),)}
    panel = page.panel
    panel.connect(operator)
    panel.list_robots((Frame('/r1', SCENE), Frame('/r2', SCENE)))
    panel._load(operator)
    assert panel._knobs and 'r1' in panel._answer.content
    panel._robots.value = panel._robots.options[1]
    wait_for = threading.Event()
    for _ in range(50):
        if not panel._knobs or wait_for.wait(0.1):
            break
    assert not panel._knobs and not panel._settings.visible
    panel._press(operator, 'Stop')
    assert 'r2: Stop of' in panel._answer.content


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
