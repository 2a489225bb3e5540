# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A bag as frames: one for each decision, with its scene."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
import math
from statistics import median_high
from typing import Any

from spowl_ros.bags.reader import Bag
from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION
from spowl_ros.control.decision import Decision
from spowl_ros.view.frame import TOTALS, Frame, History, Present

JUMPS = ('cost', 'switch', 'alarm', 'episode')
"""Kinds of moments to jump to: a cost, a change of source, a monitor's trip, a new episode."""
SCAN = 'sensor_msgs/msg/LaserScan'


class BagFrames:
    """
    The decisions of one robot in a bag.

    :param namespace: the robot's; None takes the only one with decisions
    :raises SpowlError: no decisions, or decisions of several robots
    """

    def __init__(self, bag: Bag, namespace: str | None = None) -> None:
        prefix = _prefix(bag, namespace)
        self.moments: list[Frame] = []
        self.decisions: list[Decision] = []
        """Of the moments."""
        self._now = Present(prefix.strip('/'), {
            topic for topic in TOTALS
            if prefix + topic in bag.topics and bag.topics[prefix + topic].messages})
        self._cost_after = 0.0
        readers = self._now.readers | {DECISION: self._on_decision, 'cost': self._on_cost}
        names = {prefix + topic: reader for topic, reader in readers.items()}
        names |= {name: partial(self._now.on_scan, name) for name, topic in bag.topics.items()
                  if topic.type == SCAN and name.startswith(prefix)}
        for stored in bag.messages(names):
            names[stored.topic](bag.decode(stored))
        self._close_last()
        if not self.moments:
            raise SpowlError(f'bag {bag.path} holds no decision of a controller; record a run '
                             'with record:=PATH')
        times = [decision.now_ns for decision in self.decisions]
        gaps = [after - before for before, after in pairwise(times) if after > before]
        self.period = median_high(gaps) * 1e-9 if gaps else math.nan
        """Seconds between two decisions; not-a-number for a single one."""
        self.moments = [
            replace(frame, position=f'decision {number} of {len(times)}, '
                                    f'{(now_ns - times[0]) * 1e-9:.1f} s')
            for number, (frame, now_ns) in enumerate(zip(self.moments, times), start=1)]

    def history(self, moment: int) -> History:
        """Return curves and path of the episode until a moment."""
        first = moment
        while first > 0 and self.decisions[first].step > 0:
            first -= 1
        history = History()
        for index in range(first, moment + 1):
            history.add(self.decisions[index], self.moments[index].scene)
        return history

    def next(self, kind: str, moment: int) -> int | None:
        """Return the next moment of a kind in JUMPS after a moment; None: there is none."""
        for other in range(moment + 1, len(self.moments)):
            before, here = self.decisions[other - 1:other + 1]
            if {'cost': self.moments[other].cost_after > 0.0,
                    'switch': here.source != before.source,
                    'alarm': bool(set(here.tripped) - set(before.tripped)),
                    'episode': here.step == 0}[kind]:
                return other
        return None

    # What the topics say

    def _on_decision(self, message: Any) -> None:
        for status in message.status:
            decision = Decision.from_items((item.key, item.value) for item in status.values)
            self._close_last()
            if decision.step == 0 and self.moments:
                self._now.begin_episode()
            self.decisions.append(decision)
            self.moments.append(replace(self._now.frame, decision=decision, silence=0.0))

    def _close_last(self) -> None:
        """Set the cost of the last decision."""
        if self.moments and self._cost_after > 0.0:
            self.moments[-1] = replace(self.moments[-1], cost_after=self._cost_after)
        self._cost_after = 0.0

    def _on_cost(self, message: Any) -> None:
        self._now.readers['cost'](message)
        self._cost_after += float(message.data)


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
