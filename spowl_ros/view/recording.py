# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bag as frames: one for each decision, with its scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
import math
from typing import TYPE_CHECKING, Any

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION
from spowl_ros.control.decision import Decision
from spowl_ros.view.frame import Frame, Health, History, Robot, Scene, Solid, scan_points, scene_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from spowl_ros.bags.reader import Bag

JUMPS = ('cost', 'switch', 'alarm', 'episode')
"""Kinds of moments to jump to: a cost, a change of source, a monitor's trip, a new episode."""
SCAN = 'sensor_msgs/msg/LaserScan'


@dataclass(frozen=True)
class Moment:
    """One decision of a recording."""

    frame: Frame
    cost_after: float
    """Cost until the next decision."""


class BagFrames:
    """
    The decisions of one robot in a bag.

    :param namespace: the robot's; None takes the only one with decisions
    :raises SpowlError: no decisions, or decisions of several robots
    """

    def __init__(self, bag: Bag, namespace: str | None = None) -> None:
        self._prefix = _prefix(bag, namespace)
        self.moments: list[Moment] = []
        self._scene: Scene | None = None
        self._supervisor: Health | None = None
        self._solids: dict[str, Solid] = {}
        heard = {name for name, topic in bag.topics.items() if topic.messages}
        self._nothing_yet = tuple(0.0 if self._prefix + name in heard else math.nan
                                  for name in ('reward', 'cost'))
        self._episode = 1
        self._return, self._cost = self._nothing_yet
        self._cost_after = 0.0
        readers: dict[str, Callable[[Any], None]] = {
            DECISION: self._on_decision, 'simulator/markers': self._on_markers,
            'reward': self._on_reward, 'cost': self._on_cost,
            'supervisor/state': self._on_supervisor}
        self._scans: dict[str, NDArray[np.float64]] = {}
        names = {self._prefix + topic: reader for topic, reader in readers.items()}
        names |= {name: partial(self._on_scan, name) for name, topic in bag.topics.items()
                  if topic.type == SCAN and name.startswith(self._prefix)}
        for stored in bag.messages([name for name in names if name in bag.topics]):
            names[stored.topic](bag.decode(stored))
        self._close_last()
        if not self.moments:
            raise SpowlError(f'bag {bag.path} holds no decision of a controller; record a run '
                             'with record:=PATH')
        period = self._period()
        count = len(self.moments)
        self.moments = [
            replace(moment, frame=replace(
                moment.frame, period=period,
                position=f'decision {number} of {count}, '
                         f'{self._seconds(moment):.1f} s'))
            for number, moment in enumerate(self.moments, start=1)]

    @property
    def name(self) -> str:
        """Return the robot's namespace."""
        return self._prefix.strip('/')

    def frame(self, moment: int) -> Frame:
        """Return the frame of one moment."""
        return self.moments[moment].frame

    def history(self, moment: int) -> History:
        """Return curves and path of the episode until a moment."""
        first = moment
        while first > 0 and self._decision(first).step > 0:
            first -= 1
        history = History()
        for each in self.moments[first:moment + 1]:
            frame = each.frame
            if frame.decision is not None:
                history.add(frame.decision, None if frame.scene is None else frame.scene.robot)
        return history

    def next(self, kind: str, moment: int) -> int | None:
        """Return the next moment of a kind in JUMPS after a moment; None: there is none."""
        for other in range(moment + 1, len(self.moments)):
            before, here = self._decision(other - 1), self._decision(other)
            if {'cost': self.moments[other].cost_after > 0.0,
                    'switch': here.source != before.source,
                    'alarm': bool(set(here.tripped) - set(before.tripped)),
                    'episode': here.step == 0}[kind]:
                return other
        return None

    def _decision(self, moment: int) -> Decision:
        decision = self.moments[moment].frame.decision
        assert decision is not None
        return decision

    def _seconds(self, moment: Moment) -> float:
        first, decision = self._decision(0), moment.frame.decision
        assert decision is not None
        return (decision.now_ns - first.now_ns) * 1e-9

    def _period(self) -> float:
        times = [self._decision(moment).now_ns for moment in range(len(self.moments))]
        gaps = sorted(b - a for a, b in zip(times, times[1:], strict=False) if b > a)
        return gaps[len(gaps) // 2] * 1e-9 if gaps else math.nan

    # What the topics say

    def _on_decision(self, message: Any) -> None:
        for status in message.status:
            decision = Decision.from_items((item.key, item.value) for item in status.values)
            self._close_last()
            if decision.step == 0 and self.moments:
                self._episode += 1
                self._return, self._cost = self._nothing_yet
            self.moments.append(Moment(Frame(
                self.name, self._scene, tuple(self._scans.values()), decision,
                silence=0.0, episode=self._episode, episode_return=self._return,
                cost=self._cost, supervisor=self._supervisor), 0.0))

    def _close_last(self) -> None:
        """Set the cost of the last decision."""
        if self.moments and self._cost_after > 0.0:
            self.moments[-1] = replace(self.moments[-1], cost_after=self._cost_after)
        self._cost_after = 0.0

    def _on_markers(self, message: Any) -> None:
        scene = scene_of(message)
        if scene is None:
            return
        solids = []
        for solid in scene.solids:  # solids that stand still are stored once
            if self._solids.get(solid.name) != solid:
                self._solids[solid.name] = solid
            solids.append(self._solids[solid.name])
        self._scene = Scene(tuple(solids), Robot(scene.robot.position, scene.robot.heading))

    def _on_scan(self, topic: str, message: Any) -> None:
        self._scans[topic] = scan_points(message.ranges, message.angle_min,
                                         message.angle_increment)

    def _on_reward(self, message: Any) -> None:
        self._return += float(message.data)

    def _on_cost(self, message: Any) -> None:
        self._cost += float(message.data)
        self._cost_after += float(message.data)

    def _on_supervisor(self, message: Any) -> None:
        level = message.level if isinstance(message.level, int) else message.level[0]
        self._supervisor = Health('supervisor', level, message.message)


def _prefix(bag: Bag, namespace: str | None) -> str:
    """
    Return the namespace with decisions in the bag, with slashes at both ends.

    :raises SpowlError: no such namespace, or several
    """
    if namespace is not None:
        return f'/{namespace.strip("/")}/'.replace('//', '/')
    found = sorted(name.removesuffix(DECISION) for name, topic in bag.topics.items()
                   if name.endswith('/' + DECISION) and topic.messages)
    if len(found) > 1:
        raise SpowlError(f'bag {bag.path} holds the decisions of {len(found)} robots; choose a '
                         f'--namespace of {", ".join(found)}')
    return found[0] if found else '/'
