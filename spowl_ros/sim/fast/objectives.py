# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the robot is rewarded for: reaching a goal, pressing a button, pushing a box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from spowl_ros.sim.fast.layout import LayoutSampler, Position
from spowl_ros.sim.fast.random_stream import RandomStream

if TYPE_CHECKING:
    from safety_gymnasium.bases.base_task import BaseTask

    from spowl_ros.sim.fast.arena import Arena
    from spowl_ros.sim.fast.costs import Contacts

Point = list[float]
"""x, y and z in metres."""


class Objective(Protocol):
    """What a task asks for."""

    goal: Position

    def renew(self, stream: RandomStream, layout: dict[str, Position]) -> None:
        """Choose the next goal; `layout` says where everything is and is brought up to date."""

    def reward(self, robot: Point, touched: int) -> tuple[float, bool]:
        """Return the reward of a raw step and whether the goal was reached; once a raw step."""


class ReachGoal:
    """Reward for coming closer to a circle, and for entering it."""

    def __init__(self, task: BaseTask, arena: Arena, sampler: LayoutSampler) -> None:
        self._arena, self._sampler = arena, sampler
        self._robot = arena.data.xpos[arena.body_of['agent']]
        self._radius: float = task.goal.size
        self._per_metre: float = task.goal.reward_distance
        self._bonus: float = task.goal.reward_goal
        self.goal: Position = (0.0, 0.0)
        self._last = 0.0

    def renew(self, stream: RandomStream, layout: dict[str, Position]) -> None:
        """Draw a new place for the goal."""
        layout.pop('goal', None)
        self.goal = layout['goal'] = self._sampler.sample_goal(stream, layout)
        self._arena.move_goal(self.goal)
        self._last = _on_floor(self.goal, self._robot.tolist())

    def reward(self, robot: Point, touched: int) -> tuple[float, bool]:
        """Return reward and whether the robot's centre is inside the goal."""
        distance = _on_floor(self.goal, robot)
        reward = (self._last - distance) * self._per_metre
        self._last = distance
        reached = distance <= self._radius
        return (reward + self._bonus if reached else reward), reached


class PressButton:
    """Reward for coming closer to one of the buttons, and for touching it."""

    def __init__(self, task: BaseTask, arena: Arena, contacts: Contacts) -> None:
        self._arena, self._contacts = arena, contacts
        self._robot = arena.data.xpos[arena.body_of['agent']]
        self._count: int = task.buttons.num
        self._per_metre: float = task.buttons.reward_distance
        self._bonus: float = task.buttons.reward_goal
        self._delay = int(task.buttons.resampling_delay)
        self.goal: Position = (0.0, 0.0)
        self.button = 0
        """Which button is to be pressed."""
        self.timer = 0
        """Raw steps for which the buttons are still out of order and unseen."""
        self._last = 0.0

    def begin(self) -> None:
        """Put the buttons in order at the beginning of an episode."""
        self.timer = 0

    def tick(self) -> None:
        """Let a raw step pass."""
        self.timer = max(0, self.timer - 1)

    def renew(self, stream: RandomStream, layout: dict[str, Position]) -> None:
        """Draw the button to press next."""
        self.button = stream.below(self._count)
        self.goal = layout[f'button{self.button}']
        self._arena.move_goal(self.goal)
        self._last = _on_floor(self.goal, self._robot.tolist())
        self.timer = self._delay

    def reward(self, robot: Point, touched: int) -> tuple[float, bool]:
        """Return reward and whether the robot touches the right button."""
        distance = _on_floor(self.goal, robot)
        reward = (self._last - distance) * self._per_metre
        self._last = distance
        reached = bool(touched & self._contacts.bit(f'button{self.button}'))
        return (reward + self._bonus if reached else reward), reached


class PushBox:
    """Reward for coming closer to the box, for pushing it closer to the goal, and into it."""

    def __init__(self, task: BaseTask, arena: Arena, sampler: LayoutSampler) -> None:
        self._arena, self._sampler = arena, sampler
        xpos = arena.data.xpos
        self._robot = xpos[arena.body_of['agent']]
        self._box = xpos[arena.body_of['push_box']]
        self._radius: float = task.goal.size
        self._bonus: float = task.goal.reward_goal
        self._height = float(arena.model.body_pos[arena.body_of['goal'], 2])
        self._gate: float = task.push_box.null_dist * task.push_box.size
        self._to_box: float = task.push_box.reward_box_dist
        self._to_goal: float = task.push_box.reward_box_goal
        self.goal: Position = (0.0, 0.0)
        self._last_box = self._last_goal = 0.0

    def renew(self, stream: RandomStream, layout: dict[str, Position]) -> None:
        """Draw a new place for the goal."""
        layout.pop('goal', None)
        self.goal = layout['goal'] = self._sampler.sample_goal(stream, layout)
        self._arena.move_goal(self.goal)
        self._last_box, self._last_goal = self._distances(self._robot.tolist())

    def reward(self, robot: Point, touched: int) -> tuple[float, bool]:
        """Return reward and whether the box is inside the goal."""
        to_box, to_goal = self._distances(robot)
        reward = (self._last_box - to_box) * self._to_box * (self._last_box > self._gate)
        reward += (self._last_goal - to_goal) * self._to_goal
        self._last_box, self._last_goal = to_box, to_goal
        reached = to_goal <= self._radius
        return (reward + self._bonus if reached else reward), reached

    def _distances(self, robot: Point) -> tuple[float, float]:
        """Return metres from robot to box and from box to goal, heights included."""
        box = self._box.tolist()
        return _distance(box, robot), _distance(box, [*self.goal, self._height])


def _on_floor(goal: Position, robot: Point) -> float:
    dx, dy = goal[0] - robot[0], goal[1] - robot[1]
    return math.sqrt(dx * dx + dy * dy)


def _distance(a: Point, b: Point) -> float:
    dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return math.sqrt((dx * dx + dy * dy) + dz * dz)
