# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Make the clip of one episode, and the time line of an eventful one, from a bundle.

Drives and records the episodes with `spowl sim`::

    python -m benchmarks.episode_pictures models/SafetyPointGoal1-v0

It writes docs/images/point_goal.gif and docs/images/episode.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import tempfile

import matplotlib as mpl

from benchmarks import run_command
from benchmarks.replay_pictures import EVENTFUL, EVENTFUL_SEED, IMAGES, record
from spowl_ros.control import bundle
from spowl_ros.replay import plots
from spowl_ros.replay.replay import replay


def main() -> None:
    """Drive, film and draw one episode."""
    parser = argparse.ArgumentParser(description="Make the README's pictures of one episode.")
    parser.add_argument('bundle', type=Path, help='directory of the bundle')
    parser.add_argument('--seed', type=int, default=0, help="of the clip's episode")
    parser.add_argument('--eventful', type=int, default=EVENTFUL_SEED,
                        help="seed of the time line's")
    args = parser.parse_args()
    loaded = bundle.load(args.bundle)
    with tempfile.TemporaryDirectory() as folder:
        task = f'task:={loaded.contract.task}'
        record(Path(folder) / 'clip', args.bundle, 1, args.seed, task,
               '--video', str(IMAGES / 'point_goal.gif'))
        path = Path(folder) / 'bag'
        record(path, args.bundle, 1, args.eventful, task, settings=EVENTFUL)
        trace = replay(path, loaded).recorded
    assert trace is not None  # the run recorded its decisions
    with mpl.rc_context(plots.STYLE):
        plots.timeline(trace).savefig(IMAGES / 'episode.png', dpi=110)


if __name__ == '__main__':
    run_command(main)
