# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Changes the model during a drive: loads the new one beside the old, hands over, rolls back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import contextlib
from dataclasses import dataclass
import os
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_srvs.srv import Trigger

from spowl_ros.base.errors import SpowlError, one_line
from spowl_ros.base.settings import setting
from spowl_ros.control.controller import Controller
from spowl_ros.control.decision import Decision
from spowl_ros.ros.callbacks import serve
from spowl_ros.ros.diagnostics import OK, WARN, status
from spowl_ros.ros.qos import LATCHED

_SWITCH_S = 0.0005
"""Interpreter switch interval while a model is loaded, seconds: other threads wait less."""


@dataclass(frozen=True)
class RollbackSettings:
    """When a new model is taken back by itself."""

    monitor: str = setting('', 'names of monitors, separated by spaces; if one of them trips, '
                               'the previous model takes over again; empty: none')
    within: float = setting(30.0, "seconds after the new model's first decision during which "
                                  'they do so', low=0.0, high=86400.0)


@dataclass(frozen=True)
class Model:
    """A model that is ready to decide."""

    path: str
    """Directory of the bundle."""
    controller: Controller


class Succession:
    """
    Manages which model drives: loads another one in its own thread, hands over, and rolls back.

    All methods run in the node's executor, except `watch` and the loading thread.

    :param node: gets `~/model` and `~/rollback`
    :param prepare: returns the controller of the model in a directory, verified and warmed up, or
        raises SpowlError; called in the loading thread
    :param install: lets a model decide from the next decision on, or raises SpowlError
    :param settled: called when a request has ended, with the directory of the model that drives
    """

    def __init__(self, node: Node, prepare: Callable[[str], Controller],
                 install: Callable[[Model], None], settled: Callable[[str], None]) -> None:
        self._node, self._prepare = node, prepare
        self._install, self._settled = install, settled
        self._current: Model | None = None
        self._former: Model | None = None
        self._settings = RollbackSettings()
        self._loading = ''
        self._request: Future[Model] | None = None
        self._watched: str | None = None
        self._since: float | None = None
        self._tripped: tuple[str, ...] = ()
        self._alarm = ''
        self._state = node.create_publisher(DiagnosticStatus, '~/model', LATCHED)
        serve(node, Trigger, '~/rollback', self._on_rollback)
        self._woken = node.create_guard_condition(self._on_woken)

    @property
    def driving(self) -> str:
        """Directory of the model that drives; empty if none does."""
        return '' if self._current is None else self._current.path

    def start(self, model: Model, settings: RollbackSettings) -> None:
        """Begin with a model that drives."""
        self._current, self._former, self._settings = model, None, settings
        self._say(OK, 'drives since the start')

    def end(self) -> None:
        """Stop: no model drives any more, and a model being loaded is dropped."""
        self._finish()
        self._current = self._former = self._watched = self._since = None

    def change(self, settings: RollbackSettings) -> None:
        """Use other settings from the next decision on."""
        self._settings = settings

    def check(self) -> None:
        """
        Check that a model can be requested now.

        :raises SpowlError: another one is being loaded
        """
        if self._loading:
            raise SpowlError(f'{self._loading} is being loaded; wait for its end on ~/model')

    def request(self, path: str) -> None:
        """
        Load a model beside the one that drives, and then let it take over.

        :raises SpowlError: as `check`
        """
        self.check()
        self._loading = path
        self._request = request = Future[Model]()
        self._say(OK, f'{path} is being loaded')
        threading.Thread(target=self._load, args=(request, path), name='loading',
                         daemon=True).start()

    def watch(self, decision: Decision) -> None:
        """Examine a decision, in the thread that decides: a monitor may trigger a rollback."""
        before, self._tripped = self._tripped, decision.tripped
        watched = self._watched
        if watched is None:
            return
        if self._since is None:
            if watched not in decision.settings:
                return  # the old model still decides
            self._since = time.monotonic()
        if time.monotonic() - self._since > self._settings.within:
            self._watched = None
            return
        new = set(decision.tripped) - set(before)
        if found := new & set(self._settings.monitor.split()):
            self._watched = None
            self._alarm = ', '.join(sorted(found))
            self._woken.trigger()

    # In the thread that loads

    def _load(self, request: Future[Model], path: str) -> None:
        _be_ordinary()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, _SWITCH_S))
        try:
            request.set_result(Model(path, self._prepare(path)))
        except SpowlError as error:
            request.set_exception(error)
        except Exception as error:  # whatever the error, the old model drives on
            request.set_exception(SpowlError(f'{type(error).__name__}: {one_line(error)}'))
        finally:
            sys.setswitchinterval(interval)
        self._woken.trigger()

    # In the executor's thread

    def _on_woken(self) -> None:
        alarm, self._alarm = self._alarm, ''
        if alarm:
            with contextlib.suppress(SpowlError):
                self._take_back(f'monitor {alarm} tripped')
        if self._request is None or not self._request.done():
            return
        level, news = OK, 'took over'
        try:
            self._exchange(self._request.result())
        except SpowlError as error:
            level, news = WARN, f'{self._loading} is refused: {error}'
        self._finish()
        self._say(level, news)

    def _exchange(self, model: Model) -> None:
        """Let a model take over from the one that drives."""
        self._install(model)
        self._former, self._current = self._current, model
        self._since, self._watched = None, model.controller.bundle.digest

    def _take_back(self, reason: str) -> None:
        """
        Let the former model drive again.

        :raises SpowlError: there is none, or it does not accept a setting
        """
        if self._former is None:
            raise SpowlError('there is no model to go back to')
        self._exchange(self._former)
        self._former = self._watched = None
        self._finish()
        self._say(WARN, f'drives again: {reason}')

    def _finish(self) -> None:
        """End the request, if there is one."""
        self._loading, self._request = '', None
        if self._current is not None:
            self._settled(self.driving)

    def _on_rollback(self, _: Trigger.Request) -> str:
        self._take_back('~/rollback was called')
        return f'{self.driving} drives again'

    def _say(self, level: bytes, what: str) -> None:
        """Publish and log the state of the models."""
        current, former = self._current, self._former
        log = self._node.get_logger()
        if level == OK:
            log.info(f'model: {what}')
        else:
            log.warning(f'model: {what}')
        self._state.publish(status(f'{self._node.get_name()}: model', level, what, [
            ('model', self.driving),
            ('bundle', '' if current is None else current.controller.bundle.digest),
            ('former', '' if former is None else former.path),
            ('loading', self._loading)]))


def _be_ordinary() -> None:
    """Give this thread ordinary priority, below a deciding thread's real-time priority."""
    if hasattr(os, 'sched_setscheduler'):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_OTHER, os.sched_param(0))
