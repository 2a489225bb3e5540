# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What controller and supervisor share: parameters, a life cycle, an own start, /diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
import threading
import time
import traceback
from typing import Any, ClassVar, Generic, Self, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.settings import fixed, setting
from spowl_ros.ros import process
from spowl_ros.ros.diagnostics import Diagnostics
from spowl_ros.ros.discovery import DISCOVERY_S, is_unknown, other_publishers
from spowl_ros.ros.parameters import Parameters

TOO_LATE = 'it takes effect when the node is configured; deactivate it and clean it up first'
"""Why a change of a parameter is refused that cannot change between two decisions."""
_POLL_S = 0.02


@dataclass(frozen=True)
class DriverSettings:
    """What both need: the bundle, who must have signed it, and the robot."""

    AT_RUN_TIME: ClassVar[tuple[str, ...]] = ()
    """Fields that can change once the node is configured."""

    model: str = setting('', 'directory of the bundle')
    require_signature: str = setting(
        '', 'public key (PEM) of the signature that a bundle must have, checked before the '
            'bundle is parsed; empty: no signature is required')
    robot: str = fixed('', "YAML file of the robot's topics, units and limits; empty: those of "
                       'the contract')
    autostart: bool = fixed(False, 'configure and activate at once')

    def needs_configure(self, now: Self) -> bool:
        """Whether these differ from the present ones in what takes effect at configure only."""
        return replace(self, **{name: getattr(now, name) for name in self.AT_RUN_TIME}) != now


def priority(default: int, high: int) -> Any:
    """Declare the real-time priority of a node."""
    return fixed(
        default, 'real-time priority (SCHED_FIFO) of the whole process where `rate` is not 0 and '
        'the system allows it; 0: ordinary', low=0, high=high)


S = TypeVar('S', bound=DriverSettings)


class ManagedNode(LifecycleNode, Generic[S]):  # type: ignore[misc]
    """
    Lifecycle node; subclasses write `configure`, `activate`, `deactivate` and `examine`.

    A SpowlError raised in one of them refuses the transition and the node stays where it was. Any
    other exception leads through error processing, which deactivates and cleans up, to
    *unconfigured*. The publishers, subscriptions, services and timers that `configure` made are
    destroyed at *cleanup*, and where it fails; so is what it has put on the stack `undo`, first.

    :param defaults: the node's parameters
    :param later: settings objects whose parameters the node will have later
    :raises SpowlError: a bad parameter
    """

    def __init__(self, name: str, defaults: S, *later: Any) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True)
        self._made = time.monotonic()
        self.problem = ''
        """Why the last transition failed; empty if it succeeded."""
        self.active = False
        """Whether the node is in state active."""
        self.configured = False
        """Whether the node is in state inactive or active."""
        self.undo = ExitStack()
        self._starting = False
        self._closed = False
        # Transitions come in the executor, the end in the main thread: one after the other.
        self._changing = threading.RLock()
        self._table = Parameters(self, defaults, self.accept, self.change, later)
        self.diagnostics = Diagnostics(self, self.examine)

    @property
    def settings(self) -> S:
        """The present parameters."""
        return self._table.settings

    def accept(self, settings: S) -> None:
        """
        Refuse changes without effect before the next configuration.

        :raises SpowlError: the node is configured
        """
        if self.configured and settings.needs_configure(self.settings):
            raise SpowlError(TOO_LATE)

    def change(self, settings: S) -> None:
        """Use changed parameters."""

    def examine(self) -> list[DiagnosticStatus]:
        """Look at everything once a second, and return its state."""
        raise NotImplementedError

    def configure(self) -> None:
        """Get ready."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Leave the robot in a safe state and stop acting; may be called twice."""

    def destroy_node(self) -> None:
        """Leave the network; rclpy forgets the state machine, which would stay in it."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def start(self) -> None:
        """
        Configure and activate, for a node that starts by itself.

        :raises SpowlError: names what was wrong, or the process was told to end
        """
        self._starting = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                self.close()  # no thread of a half-started node lives on
                raise SpowlError(self.problem)
        self._starting = False

    def keep_time(self, rate: float, priority: int) -> None:
        """Call `process.keep_time` in real time; log it if the system allows no such priority."""
        if rate > 0.0 and not process.keep_time(priority):
            self.get_logger().info(
                f'real-time priority {priority} is not allowed here; it is ordinary, and commands '
                "may be late on a busy machine ('ulimit -r' says what is allowed)")

    def refuse_others(self, topic: str) -> None:
        """
        Check that no other node publishes a topic on which this node does; may wait.

        :raises SpowlError: names the other nodes, or the process was told to end
        """
        while not process.told_to_end():
            ended = time.monotonic() - self._made >= DISCOVERY_S
            names = other_publishers(self, topic)
            if names and (ended or not any(map(is_unknown, names))):
                raise SpowlError(f'{", ".join(names)} publishes {self.resolve_topic_name(topic)} '
                                 'already, and two cannot drive one robot; end the other one, or '
                                 'use another namespace')
            if ended:
                return
            time.sleep(_POLL_S)
        raise SpowlError('told to end before it was clear that nobody else drives the robot')

    def close(self) -> None:
        """Shut down cleanly from any state; later transitions fail."""
        with self._changing:
            self._closed = True
            self._leave()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *inactive*."""
        return self._attempt(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *active*."""
        return self._attempt(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *inactive* again."""
        return self._attempt(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *unconfigured* again."""
        return self._attempt(self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *finalized*."""
        return self._attempt(self._leave)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to *unconfigured* after an unexpected exception."""
        return self._attempt(self._leave)

    def _configure(self) -> None:
        if not self.settings.model:
            raise SpowlError("parameter 'model' is empty; name the directory of a bundle")
        before = self._entities()
        try:
            self.configure()
            self.configured = True
        finally:
            entities = ExitStack()
            for entity, destroy in self._entities().items():
                if entity not in before:
                    entities.callback(destroy, entity)
            entities.push(self.undo.pop_all())  # closed first: a thread may use an entity
            self.undo = entities
            if not self.configured:
                self.undo.close()

    def _entities(self) -> dict[Any, Callable[[Any], object]]:
        """Return what the node has in the network, and its timers, each with what destroys it."""
        return {entity: destroy for entities, destroy in (
            (self.publishers, self.destroy_publisher),
            (self.subscriptions, self.destroy_subscription),
            (self.services, self.destroy_service),
            (self.timers, self.destroy_timer)) for entity in entities}

    def _activate(self) -> None:
        self.activate()
        self.active = True

    def _deactivate(self) -> None:
        self.active = False
        self.deactivate()

    def _clean_up(self) -> None:
        self.configured = False
        self.undo.close()

    def _leave(self) -> None:
        if self.active:
            self._deactivate()
        if self.configured:
            self._clean_up()

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        with self._changing:
            if self._closed:  # what a step would use is gone
                return TransitionCallbackReturn.FAILURE
            try:
                step()
            except SpowlError as error:
                self.problem = str(error)
                if not self._starting:
                    self.get_logger().error(self.problem)
                return TransitionCallbackReturn.FAILURE
            except Exception as error:
                self.problem = f'unexpected {type(error).__name__}: {error}'
                self.get_logger().error(traceback.format_exc())
                return TransitionCallbackReturn.ERROR
            self.problem = ''
            return TransitionCallbackReturn.SUCCESS
