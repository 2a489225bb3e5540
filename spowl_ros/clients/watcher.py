# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Follows one controller and its supervisor from outside, for an operator."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION, STATE
from spowl_ros.control.decision import Decision
from spowl_ros.ros.qos import LATCHED

RECENT = 200  # decisions from which latency and rate are computed
EVENTS = 8
UNREADABLE = 'unreadable'
"""Stands for the source in an event where a record could not be read."""


@dataclass
class Picture:
    """What is known about a running controller."""

    decision: Decision | None = None
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Steady clock, seconds."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Seconds."""
    sources: Counter[str] = field(default_factory=Counter)
    misses: int = 0
    interventions: int = 0
    """How often a monitor or a stop took over."""
    events: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=EVENTS))
    """Time of day in seconds, who took over, and why; the newest last."""
    supervisor: str = ''
    supervisor_level: int = DiagnosticStatus.STALE[0]
    diagnostics: dict[str, tuple[int, str, float]] = field(default_factory=dict)
    """Name to level, message and steady time of arrival."""

    def add(self, decision: Decision, now: float) -> None:
        """Take a decision that arrived at a time of the steady clock."""
        before = self.decision.source if self.decision else ''
        if decision.source != before:
            self.events.append((time.time(), decision.source, decision.reason))
            self.interventions += decision.source in ('monitor', 'stop')
        self.decision = decision
        self.arrivals.append(now)
        self.latencies.append(decision.seconds.get('total', 0.0))
        self.sources[decision.source] += 1
        self.misses += decision.deadline_missed

    def refuse(self, reason: str) -> None:
        """Tell of a record that cannot be read, once in a row."""
        if not self.events or self.events[-1][1] != UNREADABLE:
            self.events.append((time.time(), UNREADABLE, reason))


class Watcher(Node):
    """Keeps a picture up to date; one namespace holds one controller."""

    def __init__(self, namespace: str) -> None:
        super().__init__('spowl_top', namespace=namespace, enable_rosout=False,
                         start_parameter_services=False)
        self.picture = Picture()
        self._prefix = self.get_namespace().strip('/')
        self.create_subscription(DiagnosticArray, DECISION, self._on_decision, 100)
        self.create_subscription(DiagnosticStatus, STATE, self._on_supervisor, LATCHED)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 50)

    def _on_decision(self, message: DiagnosticArray) -> None:
        try:
            decision = Decision.from_items((item.key, item.value)
                                           for item in message.status[0].values)
        except (SpowlError, IndexError) as error:
            self.picture.refuse(str(error))
            return
        self.picture.add(decision, time.monotonic())

    def _on_supervisor(self, message: DiagnosticStatus) -> None:
        self.picture.supervisor = message.message
        self.picture.supervisor_level = message.level[0]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        for status in message.status:
            if status.name.lstrip('/').startswith(self._prefix):
                self.picture.diagnostics[status.name] = status.level[0], status.message, now
