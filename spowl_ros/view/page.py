# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The page: a scene, a panel, and buttons that call an `Operator`.

One thread calls `Page.show`; viser calls the buttons' functions in its own threads. The page
rejects visitors that come from another web site, or from a web page without an origin. If other
machines can reach the page, it also rejects visitors without the token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import contextlib
from functools import partial
import hmac
import html
import io
import math
import os
import secrets
import socket
import sys
import time
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit
import webbrowser

import numpy as np
import viser
from viser import uplot

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import Setting
from spowl_ros.drawing.picture import SOURCE_COLOURS
from spowl_ros.view import words
from spowl_ros.view.frame import CHARTS, Frame, History
from spowl_ros.view.scene import SceneView

LOOPBACK = ('127.0.0.1', '::1', 'localhost')
CHART_PERIOD_S = 0.5
"""How often curves are redrawn."""
NOBODY = '(none yet)'


class Operator(Protocol):
    """Carries out the actions of the buttons; each call may wait for an answer."""

    buttons: tuple[str, ...]
    """Labels of the robot's buttons, in order."""
    simulation: tuple[str, ...]
    """Labels of a simulation's buttons."""

    def press(self, robot: str, button: str) -> str:
        """
        Do a button's action on a robot, and return the result as text.

        :raises SpowlError: the action failed
        """
        ...

    def settings_of(self, robot: str) -> dict[str, tuple[Setting, ...]]:
        """Return the settings that may be changed now, by node, with their current values."""
        ...

    def change(self, robot: str, node: str, setting: Setting, value: Any) -> str:
        """
        Change a setting, and return the result as text.

        :raises SpowlError: the change was refused
        """
        ...


class Page:
    """
    A page in the browser.

    :param host: address to listen on; the token is mandatory if other machines can reach it
    :param port: 0 takes a free one
    :param token: a visitor must have it; empty: a random one is made if needed
    :raises SpowlError: the port is in use, or there is no such address
    """

    def __init__(self, host: str, port: int, token: str = '', label: str = 'spowl') -> None:
        port = _free_port(host, port)
        self._host = host
        self._token = token or ('' if host in LOOPBACK else secrets.token_urlsafe(16))
        with contextlib.redirect_stdout(io.StringIO()):  # it would draw a box with the address
            self.server = _Server(self._complaint, host=host, port=port, label=label,
                                  verbose=False)
        self.server.gui.configure_theme(show_logo=False, show_share_button=False)
        self.server.scene.set_up_direction('+z')
        self._scene = SceneView(self.server)
        self.panel = Panel(self.server)

    @property
    def url(self) -> str:
        """Return the URL for a browser."""
        host = f'[{self._host}]' if ':' in self._host else self._host
        if self._host in ('0.0.0.0', '::'):
            host = socket.gethostname()
        address = f'{host}:{self.server.get_port()}'
        if not self._token:
            return f'http://{address}'
        connection = f'ws://{address}/?token={quote(self._token, safe="")}'
        return f'http://{address}/?websocket={quote(connection, safe=":/?=[]")}'

    @property
    def visitors(self) -> int:
        """Return the number of browsers that show the page."""
        return len(self.server.get_clients())

    def show(self, frames: tuple[Frame, ...], history: History) -> None:
        """
        Show the current moment.

        :param frames: one for each robot
        :param history: of the selected robot
        """
        self.panel.list_robots(frames)
        frame = next((each for each in frames if each.name == self.panel.selected), None)
        if frame is None:
            return
        with self.server.atomic():
            self._scene.show(frame, history)
            self.panel.show(frame, history)

    def close(self) -> None:
        """Close the page."""
        with contextlib.redirect_stdout(None):
            self.server.stop()

    def _complaint(self, request: Any) -> str:
        """Return why a visitor is refused: from another site, or without the token; or ''."""
        if not _from_here(request.headers, self._host in LOOPBACK):
            return 'opened from another web site'
        brought = parse_qs(urlsplit(request.path).query).get('token', [''])[0]
        if self._token and not hmac.compare_digest(brought.encode(), self._token.encode()):
            return 'the token is missing or wrong'
        return ''


class _Server(viser.ViserServer):
    """
    Hears nothing that a refused visitor sends, and is never shared through the internet.

    :param complaint: returns why a visitor is refused, by its request, or an empty text
    """

    def __init__(self, complaint: Callable[[Any], str], **settings: Any) -> None:
        self._complaint = complaint
        super().__init__(**settings)

    @property
    def _websock_server(self) -> Any:
        return self._guarded

    @_websock_server.setter
    def _websock_server(self, server: Any) -> None:
        """Guard the server before viser starts it, and before viser's own callbacks."""
        self._guarded = server
        server.on_client_connect(self._admit)

    async def _admit(self, visitor: Any) -> None:
        """
        Close the connection of a visitor that is refused.

        :raises asyncio.CancelledError: it is refused; this ends viser's handler of the connection
            before it reads what the visitor has sent
        """
        connections = self._guarded._live_connections
        connection = connections[visitor.client_id]
        if complaint := self._complaint(connection.request):
            await connection.close(1008, complaint)
            del connections[visitor.client_id]
            del self._guarded._client_state_from_id[visitor.client_id]
            raise asyncio.CancelledError

    def request_share_url(self, verbose: bool = True) -> None:
        """Refuse: any visitor may send this request, even where no button is shown."""


def _from_here(headers: Any, loopback: bool) -> bool:
    """
    Return whether a visitor is no web page, or one that this server has sent.

    A browser names the origin of the page that asks: 'null' for one without an origin, such as
    a frame in a sandbox. A web site can give its own name the address of this machine (DNS
    rebinding); then the origin equals the header Host, but the name is no loopback name.

    :param loopback: whether the page is served to this machine only
    """
    try:
        origin, host = headers.get('Origin'), headers.get('Host', '')
        if origin is None:
            return True
        site, name = urlsplit(origin).netloc, urlsplit(f'//{host}').hostname
    except (LookupError, ValueError):  # two of one header, or no address
        return False
    return site != '' and site == host and (not loopback or name in LOOPBACK)


def _free_port(host: str, port: int) -> int:
    """
    Return the port, a free one for 0; viser itself would silently take another.

    :raises SpowlError: the port is in use, or there is no such address
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise SpowlError(f'the page cannot be served on {host}, port {port}: {reason}; choose '
                         "another with --port, or with the viewer's parameter `port` in "
                         'params_file, or 0 for a free one') from error


def open_browser(url: str) -> None:
    """Open a page if there is a screen; else print that it could not be opened."""
    screen = (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
              or sys.platform == 'darwin')
    opened = False
    with contextlib.suppress(webbrowser.Error):
        opened = bool(screen) and webbrowser.open(url)
    if not opened:
        print('no browser could be opened here; open the address yourself', flush=True)


class Panel:
    """The column beside the scene."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        gui = server.gui
        self._operate = gui.add_folder('Operate', visible=False)  # above what changes height
        self._robots: Any = gui.add_dropdown('Robot', (NOBODY,), visible=False)
        self._robots.on_update(lambda _: self._choose())
        self._others = gui.add_markdown('', visible=False)
        self._texts: dict[Callable[[Frame], str], Any] = {
            words.headline: gui.add_html('waiting for a controller'),
            words.supervisor: gui.add_html(''), words.outcome: gui.add_html('')}
        gui.add_html(words.legend())
        with gui.add_folder('Plan and policy'):
            self._texts[words.comparison] = gui.add_markdown('')
        self._charts: dict[str, Any] = {}
        with gui.add_folder('Curves (s)'):
            for title, curves in CHARTS.items():
                series = (uplot.Series(label='s'), *(
                    uplot.Series(label=curve.label, width=2,
                                 stroke=f'rgb{SOURCE_COLOURS[curve.source]}')
                    for curve in curves))
                self._charts[title] = gui.add_uplot(
                    (np.zeros(1),) * len(series), series, title=title, height=150,
                    scales={'x': uplot.Scale(time=False)})
        with gui.add_folder('Monitors'):
            self._texts[words.monitors] = gui.add_markdown('')
        with gui.add_folder('Diagnostics', expand_by_default=False):
            self._texts[words.diagnostics] = gui.add_markdown('')
        self._charted = -math.inf
        self._settings: Any = None
        self._knobs: list[Any] = []

    @property
    def selected(self) -> str:
        """Return the name of the selected robot."""
        shown = str(self._robots.value)
        return '' if shown in (NOBODY, words.title('')) else shown

    def list_robots(self, frames: tuple[Frame, ...]) -> None:
        """List the robots for selection."""
        titles = tuple(words.title(frame.name) for frame in frames)
        if titles and titles != self._robots.options:
            self._robots.options = titles  # the choice stays if it can
        self._robots.visible = self._others.visible = len(titles) > 1
        if len(titles) > 1:
            self._others.content = words.robots(frames)

    def show(self, frame: Frame, history: History) -> None:
        """Update everything from a frame."""
        for text_of, handle in self._texts.items():
            text = text_of(frame)
            if handle.content != text:
                handle.content = text
        now = time.monotonic()
        if history.times and now - self._charted >= CHART_PERIOD_S:
            self._charted = now
            for title, curves in CHARTS.items():
                self._charts[title].data = history.curve(*(curve.column for curve in curves))

    def connect(self, operator: Operator) -> None:
        """Show an operator's buttons and settings."""
        self._operate.visible = True
        gui = self._server.gui
        with self._operate:
            for label in operator.buttons:
                button = gui.add_button(label, color=SOURCE_COLOURS['stop' if label == 'Stop'
                                                                    else 'plan'])
                button.on_click(partial(self._press, operator, label))
            if operator.simulation:
                group = gui.add_button_group('Simulation', operator.simulation)
                group.on_click(lambda _: self._press(operator, str(group.value)))
            self._answer = gui.add_html('')
            load = gui.add_button('Show settings')
            load.on_click(lambda _: self._load(operator))
            self._settings = gui.add_folder('Settings', visible=False)

    def _press(self, operator: Operator, label: str, _: object = None) -> None:
        robot = self.selected
        self._tell(robot, lambda: operator.press(robot, label))

    def _tell(self, robot: str, act: Callable[[], str]) -> None:
        """Show the result of an action on a robot, with its name where there are several."""
        name = f'{words.title(robot)}: ' if self._robots.visible else ''
        try:
            self._answer.content = html.escape(name + act())
        except SpowlError as error:
            self._answer.content = f'<b style="color:red">{html.escape(name + str(error))}</b>'

    def _load(self, operator: Operator) -> None:
        robot = self.selected
        self._tell(robot, lambda: self._show_settings(operator, robot))

    def _choose(self) -> None:
        """Take away the settings of the robot that was shown before."""
        if self._settings is not None:
            self._settings.visible = False
        while self._knobs:
            self._knobs.pop().remove()

    def _show_settings(self, operator: Operator, robot: str) -> str:
        """Make a control for each setting of a robot that may be changed now."""
        found = operator.settings_of(robot)
        self._choose()
        self._settings.visible = True
        with self._settings:
            for node, settings in found.items():
                folder = self._server.gui.add_folder(node, expand_by_default=False)
                self._knobs.append(folder)
                with folder:
                    for setting in settings:
                        change = partial(operator.change, robot, node, setting)
                        self._add_control(robot, setting, change)
        return f'{sum(map(len, found.values()))} settings of {words.title(robot)}'

    def _add_control(self, robot: str, setting: Setting, change: Callable[[Any], str]) -> None:
        """Make a check box, a slider or a number field, depending on the setting."""
        gui = self._server.gui
        control: Any
        shown: dict[str, Any] = {'initial_value': setting.default, 'hint': setting.description}
        if setting.kind is bool:
            control = gui.add_checkbox(setting.name, **shown)
        elif setting.kind is float and setting.low is not None and setting.high is not None and (
                setting.high - setting.low <= 100.0):
            control = gui.add_slider(setting.name, setting.low, setting.high,
                                     (setting.high - setting.low) / 1000.0, **shown)
        elif setting.kind in (int, float):
            control = gui.add_number(setting.name, **shown)
        else:
            return
        control.on_update(lambda event: self._tell(robot, lambda: change(event.target.value)))
