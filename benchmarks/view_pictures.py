# Copyright 2026 spowl_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""
Take the documentation's pictures of the live view, with a headless Chromium, from real runs.

    python -m benchmarks.view_pictures models/SafetyPointGoal1-v0

It writes docs/images/view.png, view_stopped.png, view_bag.png and view_two_robots.png.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
import re
import tempfile
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks import run_command
from benchmarks.live_view import browsing, viewing
from benchmarks.replay_pictures import EVENTFUL, EVENTFUL_SEED, IMAGES, record
from spowl_ros.control import bundle
from spowl_ros.system import nodes as system
from spowl_ros.system.running import RunningSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page as BrowserPage

SIZE = (1280, 800)
DRIVES_MS = 15_000.0
"""So long a robot drives before a picture, so that there is a path."""
SHOWN_MS = 6_000.0
"""After an act, before a picture."""


def take(page: BrowserPage, name: str) -> None:
    """Write a picture of the page, without viser's notice that there is no graphics card."""
    for notice in page.locator('.mantine-Notification-closeButton').all():
        notice.dispatch_event('click')
    page.wait_for_timeout(1_000.0)
    file = IMAGES / f'{name}.png'
    page.screenshot(path=file)
    Image.open(file).convert('RGB').save(file, optimize=True)
    print(f'{file}: {file.stat().st_size / 1e3:.0f} kB', flush=True)


def let_drive(page: BrowserPage) -> None:
    """Wait until the robot that is shown has driven for some time."""
    page.get_by_text(re.compile('the (plan|policy) acts')).first.wait_for()
    page.wait_for_timeout(DRIVES_MS)


def simulation(model: Path, rate: float, **arguments: object) -> tuple[system.NodeSpec, ...]:
    """Return the nodes of a simulation in real time."""
    return tuple(system.simulation(system.SimulationArguments(
        task=bundle.read_contract(model).task, model=str(model), episodes=0, rate=rate,
        **arguments)))  # type: ignore[arg-type]


def live(model: Path, rate: float) -> None:
    """Take a driving and a stopped robot."""
    with (RunningSystem(simulation(model, rate)), viewing() as (_, address),
          browsing(address, SIZE) as page):
        let_drive(page)
        take(page, 'view')
        page.get_by_role('button', name='Stop').dispatch_event('click')
        page.get_by_text('the supervisor has stopped the robot').wait_for()
        page.wait_for_timeout(SHOWN_MS)
        take(page, 'view_stopped')


def recorded(model: Path, folder: Path) -> None:
    """Take an eventful recording at its first cost."""
    record(folder / 'bag', model, 1, EVENTFUL_SEED, settings=EVENTFUL)
    with (viewing(str(folder / 'bag')) as (_, address), browsing(address, SIZE) as page):
        page.get_by_text('cost', exact=True).first.dispatch_event('click')
        page.wait_for_timeout(SHOWN_MS)
        take(page, 'view_bag')


def fleet(model: Path) -> None:
    """Take two robots on wheels."""
    robot = Path(__file__).resolve().parent.parent / 'config' / 'robot' / 'diff_drive.yaml'
    specs = [spec for name in ('red', 'blue') for spec in (
        system.NodeSpec('diff_drive', name, {}),
        *system.robot(system.RobotArguments(robot=str(robot), model=str(model), namespace=name,
                                            released=True, log_level='warn')))]
    with (RunningSystem(specs), viewing() as (_, address), browsing(address, SIZE) as page):
        let_drive(page)
        take(page, 'view_two_robots')


def main() -> int:
    """Take all, or those that are named."""
    acts: dict[str, Callable[[Path, float, Path], None]] = {
        'live': lambda model, rate, _: live(model, rate),
        'bag': lambda model, _, folder: recorded(model, folder),
        'fleet': lambda model, _, __: fleet(model)}
    parser = argparse.ArgumentParser(description="Take the documentation's pictures of the view.")
    parser.add_argument('model', type=Path)
    parser.add_argument('--only', choices=list(acts), action='append')
    parser.add_argument('--rate', type=float, default=1.0, help='real-time factor')
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in args.only or acts:
            acts[name](args.model.resolve(), args.rate, folder)
    return 0


if __name__ == '__main__':
    run_command(main)
