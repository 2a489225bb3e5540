# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
The live view as a node: shows every controller of the domain on a page in the browser.

It only listens; its buttons call the same services as an operator. Callbacks store; one thread
fills the page.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
import math
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Float64
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION, EPISODE, MARKERS, STATE
from spowl_ros.base.settings import Setting, fixed
from spowl_ros.control.decision import Decision
from spowl_ros.ros.callbacks import follow, work
from spowl_ros.ros.parameters import Parameters
from spowl_ros.ros.qos import EVERY_KEPT, EVERY_MESSAGE, LATCHED
from spowl_ros.view.frame import Frame, Health, History, Present
from spowl_ros.view.page import Page, open_browser

DISCOVERY_PERIOD_S = 1.0
ANSWER_S = 3.0
"""Longest time for a service to answer, seconds."""
STALE_S = 3.0
SHOWN_NODES = ('controller', 'supervisor')
"""Nodes whose settings are shown."""
Asked = tuple[Any, str, dict[str, bool]]
BUTTONS: dict[str, Asked] = {
    'Stop': (SetBool, 'supervisor/stop', {'data': True}),
    'Release': (Trigger, 'supervisor/release', {})}
"""Label to a service's type and name, and the request."""
SIMULATION: dict[str, Asked] = {
    'Pause': (SetBool, 'simulator/pause', {'data': True}),
    'Go on': (SetBool, 'simulator/pause', {'data': False}),
    'One step': (Trigger, 'simulator/step', {}),
    'Restart': (Trigger, 'simulator/reset', {})}


@dataclass(frozen=True)
class ViewerSettings:
    """Where the page is served."""

    host: str = fixed('127.0.0.1', 'address of the page; if other machines reach it, visitors '
                      'need the token')
    port: int = fixed(8080, 'port of the page; 0: a free one', low=0, high=65535)
    token: str = fixed('', 'secret that visitors must give; empty: generated if one is needed')
    open_browser: bool = fixed(True, 'open the page in a browser')
    rate: float = fixed(10.0, 'updates of the page per second', low=0.5, high=30.0)


class Watched(Present):
    """What is known about one robot; guarded by the node's lock."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.arrival = -math.inf
        """Of the last decision; steady clock, seconds."""
        self.history = History()
        self.diagnostics: dict[str, tuple[Health, float]] = {}

    def frame_at(self, now: float) -> Frame:
        """Return the page's present frame; `now` is the steady clock, seconds."""
        parts = tuple(Health(part.name, 3 if now - heard > STALE_S else part.level, part.message)
                      for part, heard in self.diagnostics.values())
        return replace(self.frame, silence=now - self.arrival, diagnostics=parts)

    def take(self, decision: Decision) -> None:
        """Take a decision that has just arrived."""
        self.frame = replace(self.frame, decision=decision)
        self.arrival = time.monotonic()
        self.history.add(decision, self.frame.scene)


class ViewerNode(Node):
    """
    Follows every controller of the domain.

    :raises SpowlError: a bad parameter, or the page cannot be served
    """

    def __init__(self) -> None:
        super().__init__('viewer', automatically_declare_parameters_from_overrides=True,
                         enable_rosout=False)
        self.settings = Parameters(self, ViewerSettings()).settings
        self._lock = threading.Lock()
        self._robots: dict[str, Watched] = {}
        self._scans: set[str] = set()
        """Topics of scans that are followed."""
        self._group = ReentrantCallbackGroup()
        self.page = Page(self.settings.host, self.settings.port, self.settings.token)
        self.page.panel.connect(self)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 50)
        self.create_timer(DISCOVERY_PERIOD_S, self._discover)
        self._ended = threading.Event()
        self._thread = work(self, 'page', self._show)
        print(f'the live view is at {self.page.url}', flush=True)
        if self.settings.open_browser:
            open_browser(self.page.url)

    def close(self) -> None:
        """Stop serving the page."""
        self._ended.set()
        self._thread.join(2.0)
        self.page.close()

    def _show(self) -> None:
        while not self._ended.wait(1.0 / self.settings.rate):
            if not self.page.visitors:
                continue
            now = time.monotonic()
            with self._lock:
                frames = tuple(robot.frame_at(now) for robot in self._robots.values())
                chosen = self._robots.get(self.page.panel.selected)
                history = History() if chosen is None else copy_of(chosen.history)
            self.page.show(frames, history)

    # Controllers and their messages

    def _discover(self) -> None:
        """Follow new controllers."""
        for topic, types in self.get_topic_names_and_types():
            if topic.endswith(f'/{DECISION}') and 'diagnostic_msgs/msg/DiagnosticArray' in types:
                name = topic.removesuffix(DECISION).strip('/')
                if name not in self._robots:
                    self._follow(name)
        for robot in tuple(self._robots.values()):
            prefix = _prefix(robot.frame.name)
            for topic, types in self.get_topic_names_and_types():
                if (topic.startswith(prefix) and '/' not in topic.removeprefix(prefix)
                        and 'sensor_msgs/msg/LaserScan' in types and topic not in self._scans):
                    self._scans.add(topic)
                    follow(self, self._lock, LaserScan, topic, partial(robot.on_scan, topic),
                           qos_profile_sensor_data)

    def _follow(self, name: str) -> None:
        robot = Watched(name)
        with self._lock:
            self._robots[name] = robot
        readers = robot.readers | {DECISION: partial(self._on_decision, robot),
                                   EPISODE: lambda _: robot.begin_episode()}
        for kind, topic, qos in ((DiagnosticArray, DECISION, EVERY_KEPT),
                                 (MarkerArray, MARKERS, EVERY_MESSAGE),
                                 (Float64, 'reward', EVERY_MESSAGE),
                                 (Float64, 'cost', EVERY_MESSAGE),
                                 (DiagnosticArray, EPISODE, EVERY_MESSAGE),
                                 (DiagnosticStatus, STATE, LATCHED)):
            follow(self, self._lock, kind, _prefix(name) + topic, readers[topic], qos)

    def _on_decision(self, robot: Watched, message: DiagnosticArray) -> None:
        try:
            robot.take(Decision.from_items(
                (item.key, item.value) for item in message.status[0].values))
        except (SpowlError, IndexError) as error:
            self.get_logger().warning(f'a decision of {robot.frame.name or "the robot"} cannot be '
                                      f'read and is left out: {error}', once=True)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        with self._lock:
            for status in message.status:
                path = status.name.partition(':')[0].strip('/').rpartition('/')[0]
                robot = self._robots.get(path)
                if robot is not None:
                    robot.diagnostics[status.name] = (
                        Health(status.name, status.level[0], status.message), now)

    # The buttons' actions: called in the page's threads

    buttons = tuple(BUTTONS)
    simulation = tuple(SIMULATION)

    def press(self, robot: str, button: str) -> str:
        """
        Call the service of a button, and return its answer.

        :raises SpowlError: no node offers it, it does not answer, or it refuses
        """
        kind, service, request = (BUTTONS | SIMULATION)[button]
        answer = self._call(robot, kind, service, **request)
        if not answer.success:
            raise SpowlError(answer.message)
        return str(answer.message)

    def settings_of(self, robot: str) -> dict[str, tuple[Setting, ...]]:
        """Return the settings that can be changed now, by node, with their present values."""
        found = {}
        for node in SHOWN_NODES:
            with contextlib.suppress(SpowlError):
                found[node] = self._settings_of_node(robot, node)
        return found

    def change(self, robot: str, node: str, entry: Setting, value: Any) -> str:
        """
        Set a parameter, and return the result.

        :raises SpowlError: it was refused
        """
        value = entry.check(entry.kind(value))
        answer = self._call(robot, SetParameters, f'{node}/set_parameters', parameters=[
            Parameter(entry.name, value=value).to_parameter_msg()])
        if not answer.results[0].successful:
            raise SpowlError(answer.results[0].reason)
        return f'{node}: {entry.name} is {value}'

    def _settings_of_node(self, robot: str, node: str) -> tuple[Setting, ...]:
        names = self._call(robot, ListParameters, f'{node}/list_parameters').result.names
        descriptors = self._call(robot, DescribeParameters, f'{node}/describe_parameters',
                                 names=names).descriptors
        values = self._call(robot, GetParameters, f'{node}/get_parameters', names=names).values
        found = []
        for descriptor, value in zip(descriptors, map(parameter_value_to_python, values),
                                     strict=True):
            kind = type(value)
            ranges = (*descriptor.floating_point_range, *descriptor.integer_range)
            if not descriptor.read_only and (kind is bool or ranges and kind in (int, float)):
                found.append(Setting(descriptor.name, kind, value, descriptor.description,
                                     ranges[0].from_value if ranges else None,
                                     ranges[0].to_value if ranges else None))
        return tuple(sorted(found, key=lambda entry: entry.name))

    def _call(self, robot: str, kind: Any, service: str, **request: Any) -> Any:
        """
        Return the answer of a service to a request with these fields.

        :raises SpowlError: no node offers it, or it does not answer in time
        """
        name = _prefix(robot) + service
        client: Any = self.create_client(kind, name, callback_group=self._group)
        try:
            if not client.wait_for_service(ANSWER_S):
                raise SpowlError(f'nobody offers {name}')
            answered = threading.Event()
            future = client.call_async(kind.Request(**request))
            future.add_done_callback(lambda _: answered.set())
            if not answered.wait(ANSWER_S):
                raise SpowlError(f'{name} has not answered within {ANSWER_S:g} s')
            return future.result()
        finally:
            self.destroy_client(client)


def _prefix(robot: str) -> str:
    return f'/{robot}/' if robot else '/'


def copy_of(history: History) -> History:
    """Return a copy that another thread may read."""
    return History(history.times.copy(),
                   {name: column.copy() for name, column in history.columns.items()},
                   history.path.copy())


NODE = ViewerNode
