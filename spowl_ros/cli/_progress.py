# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the progress of a run."""

from __future__ import annotations

import sys

from tqdm import tqdm

from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.control.run_record import RunRecord


class RunProgress:
    """
    A progress bar on a terminal; one line per episode everywhere. Close `bar` at the end.

    :param record: the run to show
    :param episodes: how many the run has; 0: no end
    :param action_repeat: raw steps of one decision
    """

    def __init__(self, record: RunRecord, episodes: int, action_repeat: int) -> None:
        self._record = record
        self._action_repeat = action_repeat
        self._expected = episodes
        self._length = RAW_STEPS  # of an episode; an own task's are known once one has ended
        self._shown_episodes = 0
        self._earlier_decisions = 0
        self.bar = tqdm(
            desc='starting',
            total=episodes * RAW_STEPS or None,
            unit=' steps',
            file=sys.stderr,
            disable=None,  # where stderr is no terminal
            bar_format='{desc} ' + ('{bar:20} ' if episodes else '') + '{elapsed}{postfix}',
        )

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        tqdm.write(line, file=sys.stderr)

    def update(self) -> None:
        """Show the current state of the record."""
        record = self._record
        for number in range(self._shown_episodes, len(record.episodes)):
            episode = record.episodes[number]
            self.say(f'episode {number + 1}: return {episode.episode_return:.2f}, '
                     f'cost {episode.cost:.0f}, {episode.steps} steps')
            self._earlier_decisions = record.decisions
            self._length = max(one.steps for one in record.episodes)
            self.bar.total = self._expected * self._length or None
        self._shown_episodes = len(record.episodes)
        if record.decisions == 0:
            return
        sources = ' '.join(f'{source} {fraction:.0%}'
                           for source, fraction in record.source_fraction().items() if fraction)
        steps = (record.decisions - self._earlier_decisions) * self._action_repeat
        self.bar.n = self._shown_episodes * self._length + min(steps, self._length)
        self.bar.set_description_str(f'episode {self._shown_episodes + 1}', refresh=False)
        self.bar.set_postfix_str(
            f'return {record.reward:.1f} cost {record.cost:.0f} | {sources} | '
            f'latency p95 {record.latency_ms()["p95"]:.0f} ms')
