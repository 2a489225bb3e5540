# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Records a running simulation from outside, over its topics."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
import threading
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_msgs.msg import Float64
from visualization_msgs.msg import MarkerArray

from spowl_ros.base.errors import SpowlError
from spowl_ros.base.names import DECISION, EPISODE, MARKERS
from spowl_ros.clients.spinning import spinning
from spowl_ros.control.decision import Decision
from spowl_ros.control.run_record import Episode, RunRecord
from spowl_ros.ros.callbacks import follow
from spowl_ros.ros.qos import EVERY_KEPT

if TYPE_CHECKING:
    from spowl_ros.drawing.video import Recording


class RunListener(Node):
    """
    Fills a record from the topics of one namespace.

    Hold `lock` to read the record while it runs.

    :param recording: if given, also receives the scene and the decisions
    """

    def __init__(self, record: RunRecord, namespace: str,
                 recording: Recording | None = None) -> None:
        super().__init__('run_listener', namespace=namespace, enable_rosout=False,
                         start_parameter_services=False)
        self.record = record
        self._recording = recording
        self.lock = threading.Lock()
        hear = partial(follow, self, self.lock)
        hear(Float64, 'reward', self._on_reward)
        hear(Float64, 'cost', self._on_cost)
        hear(DiagnosticArray, EPISODE, self._on_episode)
        hear(DiagnosticArray, DECISION, self._on_decision, EVERY_KEPT)
        if recording is not None:
            hear(MarkerArray, MARKERS, recording.add_markers)

    def _on_reward(self, message: Float64) -> None:
        self.record.reward += message.data

    def _on_cost(self, message: Float64) -> None:
        self.record.cost += message.data

    def _on_episode(self, message: DiagnosticArray) -> None:
        try:
            values = {item.key: item.value for item in message.status[0].values}
            episode = Episode(float(values['return']), float(values['cost']),
                              int(values['steps']))
        except (LookupError, ValueError) as error:
            self._leave_out('an episode', error)
            return
        self.record.add_episode(episode)

    def _on_decision(self, message: DiagnosticArray) -> None:
        try:
            decision = Decision.from_items((item.key, item.value)
                                           for item in message.status[0].values)
        except (SpowlError, IndexError) as error:
            self._leave_out('a decision', error)
            return
        self.record.add_decision(decision)
        if self._recording is not None:
            self._recording.add_decision(decision)

    def _leave_out(self, what: str, error: Exception) -> None:
        self.get_logger().warning(f'{what} cannot be read, and is left out: {error}', once=True)


def listening(record: RunRecord, namespace: str, recording: Recording | None = None
              ) -> AbstractContextManager[RunListener]:
    """Return the context in which a listener fills the record, in its own thread."""
    return spinning(RunListener, record, namespace, recording)
