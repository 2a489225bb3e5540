# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Drive a simulated robot with the same nodes as `ros2 launch spowl_ros sim.launch.py`.

Each node is a separate process; other ROS 2 programs see the nodes' topics. The run ends after the
last episode, on Ctrl-C, or when any node ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import time

from spowl_ros.base.errors import INTERRUPTED, SpowlError
from spowl_ros.base.files import check_writable, write_json
from spowl_ros.base.tasks import RAW_STEPS
from spowl_ros.cli._nodes import (
    POLL_S,
    add_launch_arguments,
    follow,
    launch_arguments,
    watch_signals,
)
from spowl_ros.control.run_record import RunRecord
from spowl_ros.system import nodes as system

HELP = 'drive a simulated robot'
LAST_MESSAGES_S = 0.3
"""After the simulator's end, this long without a decision means that none will come."""
PATIENCE_S = 5.0
"""How long to wait for an episode's result."""
VIDEO_FORMATS = ('.mp4', '.gif')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the launch file, and where results go."""
    add_launch_arguments(parser, system.SimulationArguments())
    parser.add_argument('--view', action='store_true', help='the same as view:=true')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the summary as JSON')
    parser.add_argument('--video', type=Path, metavar='FILE',
                        help='record the scene from above (.mp4 or .gif)')


def run(args: argparse.Namespace) -> int:
    """Drive, follow, and print a summary."""
    texts = [*args.arguments, *(['view:=true'] if args.view else [])]
    arguments = launch_arguments(system.SimulationArguments(), texts)
    check_writable(args.json, args.video)
    if args.video and args.video.suffix.lower() not in VIDEO_FORMATS:
        raise SpowlError(f'{args.video} is no video: the name must end in '
                         f'{" or ".join(VIDEO_FORMATS)}')
    if args.video and not arguments.episodes:
        raise SpowlError('--video cannot go with episodes:=0, which has no end to draw up to; '
                         'give a number of episodes')
    specs = system.simulation(arguments)

    from spowl_ros.system.running import RunningSystem

    print(arguments.greeting(specs), flush=True)
    nodes = RunningSystem(specs)
    interrupted = watch_signals(nodes)
    record = RunRecord(str(specs[0].parameters['task']), arguments.episodes)
    recording = None
    progress = RunProgress(record, arguments.episodes, int(specs[0].parameters['action_repeat']))
    with nodes, progress.bar:
        if not interrupted.is_set():
            from spowl_ros.clients.listener import listening  # takes a while: the nodes start
            from spowl_ros.drawing.video import Recording

            recording = Recording(record) if args.video else None
            with listening(record, arguments.namespace, recording) as listener:
                follow(nodes, listener, interrupted, progress.say, progress.update)
                if not interrupted.is_set():
                    await_episodes(record)
            for line in nodes.stop():
                progress.say(line)
    if args.json:  # before the lines, whose reader may leave
        write_json(args.json, record.summary())
    if record.decisions:
        print(record.table())
    if recording:
        if not interrupted.is_set():
            recording.write(args.video, interrupted)
        print('video      '
              + ('not written: interrupted' if interrupted.is_set() else str(args.video)))
    if args.json:
        print(f'summary    {args.json}')
    return INTERRUPTED if interrupted.is_set() else 0


class RunProgress:
    """
    A progress bar on a terminal; one line per episode everywhere. Close `bar` at the end.

    :param record: the run to show
    :param episodes: how many the run has; 0: no end
    :param action_repeat: raw steps of one decision
    """

    def __init__(self, record: RunRecord, episodes: int, action_repeat: int) -> None:
        from tqdm import tqdm

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
        self.bar.write(line, file=sys.stderr)

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


def await_episodes(record: RunRecord) -> None:
    """
    Wait for the messages still in transit after the simulator has ended.

    :raises SpowlError: some never arrive
    """
    decisions, changed = -1, time.monotonic()
    deadline = changed + PATIENCE_S
    while time.monotonic() - changed < LAST_MESSAGES_S or not record.complete:
        if record.decisions != decisions:
            decisions, changed = record.decisions, time.monotonic()
        if time.monotonic() > deadline:
            if record.complete:
                return
            raise SpowlError(f'the simulator ended after {len(record.episodes)} of '
                             f'{record.expected} episodes')
        time.sleep(POLL_S)
