# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""An errand: drive to a goal; it ends reached, cancelled or timed out. Without ROS."""

from __future__ import annotations

from dataclasses import dataclass
import enum
import math

from spowl_ros.base.errors import SpowlError

FARTHEST = 1e6
"""A position farther than this from the origin is an error, metres."""
_QUIET_S = 5.0
"""Seconds without a goal after which an equal one without a stamp is a new one."""


class State(enum.Enum):
    """State of the last goal; values as in action_msgs/msg/GoalStatus."""

    NONE = 0
    ACCEPTED = 1
    """Until the robot's frame is known."""
    DRIVING = 2
    REACHED = 4
    CANCELLED = 5
    ABORTED = 6


_OPEN = (State.ACCEPTED, State.DRIVING)


@dataclass(frozen=True)
class Goal:
    """Where to go."""

    x: float
    """Metres, in the frame."""
    y: float
    frame: str
    stamp_ns: int = 0
    """When it was sent; 0: unknown."""


class Errand:
    """
    Follows one goal after another; between goals the robot stands.

    :param tolerance: metres between robot's centre and goal at which the goal is reached
    :param timeout: seconds after which a goal is aborted; infinity: never
    """

    def __init__(self, tolerance: float, timeout: float) -> None:
        self.tolerance = tolerance
        self.timeout = timeout
        self.state = State.NONE
        self.reason = 'no goal yet'
        """Reason for the state."""
        self.goal: Goal | None = None
        self.number = 0
        """Number of the goal, from 1."""
        self.distance = math.nan
        """Metres to the goal, if known."""
        self._begun = 0.0
        self._heard = -math.inf
        """Steady time of the last goal, or of its last repetition."""
        self._frame: str | None = None

    @property
    def driving(self) -> bool:
        """Whether the robot should move."""
        return self.state is State.DRIVING

    def send(self, goal: Goal, now: float) -> bool:
        """
        Begin an errand in place of the present one; return whether the goal is new.

        A message that arrives twice is one goal. Without a stamp it is one as long as it is
        repeated: a repetition must not undo a cancellation.

        :param now: steady clock, seconds
        :raises SpowlError: the goal is no valid position, or in another frame than the robot; or
            it repeats one that was cancelled or given up
        """
        if not (abs(goal.x) <= FARTHEST and abs(goal.y) <= FARTHEST):
            raise SpowlError(f'the goal {goal.x:g}, {goal.y:g} is not a position within '
                             f'{FARTHEST:g} m')
        if not goal.frame.strip('/'):
            raise SpowlError('the goal names no frame; send it in the frame of odom')
        if self._frame is not None:
            self._check_frame(goal, self._frame)
        if goal == self.goal and (goal.stamp_ns > 0 or self.driving):
            self._heard = now
            return False
        repeated = goal == self.goal and now - self._heard < _QUIET_S
        self._heard = now
        if repeated and self.state in (State.CANCELLED, State.ABORTED):
            raise SpowlError(f'the goal {goal.x:g}, {goal.y:g} is {self.state.name.lower()}, and '
                             'without a stamp a repetition is not a new one; give it a stamp, or '
                             f'send nothing for {_QUIET_S:g} s')
        self.goal, self._begun, self.number = goal, now, self.number + 1
        self.distance = math.nan
        self.state = State.ACCEPTED if self._frame is None else State.DRIVING
        self.reason = f'to {goal.x:.2f}, {goal.y:.2f} in {goal.frame}'
        return True

    def cancel(self) -> bool:
        """Cancel the goal; return whether there was one."""
        return self._end(State.CANCELLED, 'cancelled')

    def abort(self, reason: str) -> None:
        """Give the goal up, if there is one."""
        self._end(State.ABORTED, reason)

    def be_at(self, x: float, y: float, frame: str, now: float) -> None:
        """
        Store the robot's position, metres in a frame.

        :raises SpowlError: the goal is in another frame; it has been aborted
        """
        self._frame = frame
        if self.goal is None or self.state not in _OPEN:
            return
        try:
            self._check_frame(self.goal, frame)
        except SpowlError as error:
            self.abort(str(error))
            raise
        self.distance = math.hypot(self.goal.x - x, self.goal.y - y)
        if self.distance <= self.tolerance:
            self._end(State.REACHED, f'reached to {self.distance:.2f} m in '
                      f'{now - self._begun:.1f} s')
        else:
            self.state = State.DRIVING
            self.tick(now)

    def tick(self, now: float) -> None:
        """Abort a goal that has taken too long."""
        if self.state in _OPEN and not now - self._begun <= self.timeout:
            self.abort(f'not reached within {self.timeout:g} s'
                       + ('' if math.isnan(self.distance) else f', {self.distance:.2f} m away'))

    def _check_frame(self, goal: Goal, frame: str) -> None:
        if goal.frame.strip('/') != frame.strip('/'):
            raise SpowlError(f"the goal is in frame '{goal.frame}', odom in '{frame}'; send goals "
                             'in the frame of odom')

    def _end(self, state: State, reason: str) -> bool:
        """End the goal; return whether there was one to end."""
        if self.state not in _OPEN:
            return False
        self.state, self.reason = state, reason
        return True
