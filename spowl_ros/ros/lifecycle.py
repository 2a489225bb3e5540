# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A lifecycle node that can start by itself, and whose steps raise what is wrong."""

from __future__ import annotations

import threading
import time
import traceback

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from spowl_ros.base.errors import SpowlError
from spowl_ros.ros import process
from spowl_ros.ros.discovery import DISCOVERY_S, is_unknown, other_publishers

TOO_LATE = 'it takes effect when the node is configured; deactivate it and clean it up first'
"""Why a change of a parameter is refused that cannot change between two decisions."""
_POLL_S = 0.02


class ManagedNode(LifecycleNode):  # type: ignore[misc]
    """
    Lifecycle node; subclasses write `configure`, `activate`, `deactivate` and `cleanup`.

    A SpowlError raised in one of them refuses the transition and the node stays where it was. Any
    other exception leads through error processing, which deactivates and cleans up, to
    *unconfigured*.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True)
        self._made = time.monotonic()
        self.problem = ''
        """Why the last transition failed; empty if it succeeded."""
        self._active = False
        self._configured = False
        self._starting = False
        self._closed = False
        # Transitions come in the executor, the end in the main thread: one after the other.
        self._changing = threading.RLock()

    def configure(self) -> None:
        """Get ready."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Leave the robot in a safe state and stop acting; may be called twice."""

    def cleanup(self) -> None:
        """Release what `configure` acquired."""

    def destroy_node(self) -> None:
        """Leave the network; rclpy forgets the state machine, which would stay in it."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    @property
    def active(self) -> bool:
        """Whether the node is in state active."""
        return self._active

    @property
    def configured(self) -> bool:
        """Whether the node is in state inactive or active."""
        return self._configured

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

    def keep_time(self, priority: int) -> None:
        """Call `process.keep_time`, and log it if the system does not allow real-time priority."""
        if not process.keep_time(priority):
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
        with self._changing:
            result = self._attempt(self.configure)
            self._configured = result == TransitionCallbackReturn.SUCCESS
            return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *active*."""
        with self._changing:
            result = self._attempt(self.activate)
            self._active = result == TransitionCallbackReturn.SUCCESS
            return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *inactive* again."""
        with self._changing:
            self._active = False
            return self._attempt(self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *unconfigured* again."""
        with self._changing:
            self._configured = False
            return self._attempt(self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enter *finalized*."""
        with self._changing:
            return self._attempt(self._leave)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to *unconfigured* after an unexpected exception."""
        with self._changing:
            return self._attempt(self._leave)

    def _leave(self) -> None:
        if self._active:
            self._active = False
            self.deactivate()
        if self._configured:
            self._configured = False
            self.cleanup()

    def _attempt(self, step: object) -> TransitionCallbackReturn:
        assert callable(step)
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
