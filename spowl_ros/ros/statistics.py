# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The content of the controller's /diagnostics, once a second (REP-107)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
import threading

from diagnostic_msgs.msg import DiagnosticStatus

from spowl_ros.base.statistics import latency_ms
from spowl_ros.control.decision import Decision
from spowl_ros.ros.diagnostics import ERROR, OK, WARN, status

Part = tuple[bytes, str, dict[str, object]]
"""Level, message and values of one part of a node."""
_RECENT = 1000  # decisions that the latency's quantiles come from


class Statistics:
    """Counts decisions and messages; one thread fills it, another reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._misses = 0
        self._sources: Counter[str] = Counter()
        self._switches: Counter[str] = Counter()
        self._messages: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._refusal: dict[str, str] = {}
        self._last: Decision | None = None
        self._decisions_told = 0
        self._messages_told: Counter[str] = Counter()

    def decided(self, decision: Decision) -> bool:
        """Count a decision; return whether its source differs from the last one's."""
        with self._lock:
            switched = self._last is None or self._last.source != decision.source
            if switched:
                before = 'start' if self._last is None else self._last.source
                self._switches[f'{before}_to_{decision.source}'] += 1
            self._misses += decision.deadline_missed
            self._sources[decision.source] += 1
            if decision.plan is not None:
                self._latencies.append(decision.seconds['total'])
            self._last = decision
            return switched

    def received(self, topic: str) -> None:
        """Count a message."""
        with self._lock:
            self._messages[topic] += 1

    def refused(self, topic: str, reason: str) -> None:
        """Count a message that could not be used."""
        with self._lock:
            self._refused[topic] += 1
            self._refusal[topic] = reason

    def statuses(self, name: str, hardware: str, elapsed: float, silences: dict[str, float],
                 age: float, longest_age: float,
                 implausible: Mapping[str, str]) -> list[DiagnosticStatus]:
        """
        Return diagnostics on the time since the last call.

        :param elapsed: seconds since the last call, for the rates
        :param silences: seconds since each field arrived
        :param age: seconds since the last decision
        :param longest_age: seconds after which the next decision is overdue
        :param implausible: field to why its values are implausible
        """
        with self._lock:
            parts = {'decisions': self._decision_part(elapsed, age, longest_age),
                     'sensors': self._sensor_part(elapsed, silences, implausible)}
        return [status(f'{name}: {part}', level, message, [
            (key, f'{value:.4g}' if isinstance(value, float) else value)
            for key, value in values.items()], hardware)
            for part, (level, message, values) in parts.items()]

    def _decision_part(self, elapsed: float, age: float, longest_age: float) -> Part:
        last, decisions = self._last, self._sources.total()
        level, message = OK, 'deciding'
        if age > longest_age:
            level = ERROR
            message = f'no decision for {age:.2f} s, {longest_age:.2f} s are allowed'
        elif last is None:
            level, message = WARN, 'no decision yet'
        elif last.source == 'stop':
            level, message = ERROR, f'stop: {last.reason}'
        elif last.monitor:
            level, message = WARN, f'{last.source}: {last.reason}'
        values: dict[str, object] = {
            'rate_hz': (decisions - self._decisions_told) / elapsed, 'age_s': age,
            'decisions': decisions, 'deadline_misses': self._misses,
            'source': '' if last is None else last.source,
            'reason': '' if last is None else last.reason,
            'tripped': '' if last is None else ', '.join(last.tripped)}
        if self._latencies:
            values |= {f'latency_ms_{name}': value
                       for name, value in latency_ms(self._latencies).items()}
        values |= {f'decisions_{source}': count for source, count in self._sources.items()}
        values |= {f'switches_{change}': count for change, count in self._switches.items()}
        self._decisions_told = decisions
        return level, message, values

    def _sensor_part(self, elapsed: float, silences: dict[str, float],
                     implausible: Mapping[str, str]) -> Part:
        level = WARN if self._refused or implausible else OK
        new = self._messages - self._messages_told
        late = [field for field, silence in silences.items() if silence > 1.0]
        texts = [f'{what}: {why}' for what, why in {**self._refusal, **implausible}.items()]
        if late:
            level = ERROR
            texts.insert(0, f'silent: {", ".join(late)}')
        message = '; '.join(texts) or 'all sensors arrive'
        values: dict[str, object] = {
            f'{topic}_hz': new[topic] / elapsed for topic in self._messages}
        values |= {f'{topic}_refused': count for topic, count in self._refused.items()}
        values |= {f'{field}_silent_s': silence for field, silence in silences.items()}
        self._refused.clear()
        self._refusal.clear()
        self._messages_told = self._messages.copy()
        return level, message, values
