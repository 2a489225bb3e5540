# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the robot is rewarded for: reaching a goal, pressing a button, pushing a box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spowl_ros.sim.fast.layout import LayoutSampler, Position, on_floor
from spowl_ros.sim.fast.random_stream import RandomStream

if TYPE_CHECKING:
    from safety_gymnasium.assets.geoms import Buttons, Goal
    from safety_gymnasium.bases.base_task import BaseTask

    from spowl_ros.sim.fast.arena import Arena

Point = list[float]
"""x, y and z in metres."""


class ReachGoal:
    """
    Reward for coming closer to a circle, and for entering it.

    :param aim: has the sizes and the rewards
    """

    def __init__(self, aim: Goal | Buttons, arena: Arena, sampler: LayoutSampler) -> None:
        self._aim, self._arena, self._sampler = aim, arena, sampler
        self._robot = arena.data.xpos[arena.body_of['agent']]
        self._goal: Position = (0.0, 0.0)
        self._last: tuple[float, ...] = ()
        """Distances at the last reward."""

    def renew(self, stream: RandomStream, layout: dict[str, Position]) -> None:
        """Choose the next goal; `layout` says where everything is and is brought up to date."""
        self._goal = self._choose(stream, layout)
        self._arena.move_goal(self._goal)
        self._last = self._distances(self._robot.tolist())

    def reward(self, robot: Point, touched: set[str]) -> tuple[float, bool]:
        """
        Return the reward of a raw step and whether the goal was reached; once a raw step.

        :param touched: as `Contacts.touched` returns it
        """
        distances = self._distances(robot)
        reward = self._progress(distances)
        self._last = distances
        reached = self._reached(touched)
        return (reward + self._aim.reward_goal if reached else reward), reached

    def _choose(self, stream: RandomStream, layout: dict[str, Position]) -> Position:
        """Draw a new place for the goal."""
        layout.pop('goal', None)
        layout['goal'] = self._sampler.find('goal', layout, stream)
        return layout['goal']

    def _distances(self, robot: Point) -> tuple[float, ...]:
        """Return the distances that shall become smaller, metres; the last one is the goal's."""
        return (on_floor(self._goal, robot),)

    def _progress(self, distances: tuple[float, ...]) -> float:
        """Return the reward for the distances since the last ones."""
        return (self._last[0] - distances[0]) * self._aim.reward_distance

    def _reached(self, touched: set[str]) -> bool:
        """Return whether what shall be there is inside the goal."""
        return self._last[-1] <= self._aim.size


class PressButton(ReachGoal):
    """Reward for coming closer to one of the buttons, and for touching it."""

    def __init__(self, task: BaseTask, arena: Arena, sampler: LayoutSampler) -> None:
        super().__init__(task.buttons, arena, sampler)
        self.button = ''
        """Which button is to be pressed."""
        self.timer = 0
        """Raw steps for which the buttons are still out of order and unseen."""

    def _choose(self, stream: RandomStream, layout: dict[str, Position]) -> Position:
        """Draw the button to press next."""
        self.button = f'button{stream.below(self._aim.num)}'
        self.timer = int(self._aim.resampling_delay)
        return layout[self.button]

    def _reached(self, touched: set[str]) -> bool:
        """Return whether the robot touches the right button."""
        return self.button in touched


class PushBox(ReachGoal):
    """Reward for coming closer to the box, for pushing it closer to the goal, and into it."""

    def __init__(self, task: BaseTask, arena: Arena, sampler: LayoutSampler) -> None:
        super().__init__(task.goal, arena, sampler)
        self._push = task.push_box
        self._box = arena.data.xpos[arena.body_of['push_box']]
        self._height = float(arena.model.body_pos[arena.body_of['goal'], 2])
        self._gate: float = self._push.null_dist * self._push.size

    def _distances(self, robot: Point) -> tuple[float, ...]:
        """Return metres from robot to box and from box to goal, heights included."""
        box = self._box.tolist()
        return _distance(box, robot), _distance(box, [*self._goal, self._height])

    def _progress(self, distances: tuple[float, ...]) -> float:
        (last_box, last_goal), (to_box, to_goal) = self._last, distances
        return ((last_box - to_box) * self._push.reward_box_dist * (last_box > self._gate)
                + (last_goal - to_goal) * self._push.reward_box_goal)


def _distance(a: Point, b: Point) -> float:
    dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return math.sqrt((dx * dx + dy * dy) + dz * dz)
